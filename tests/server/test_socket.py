"""Calls over WebSockets: the real server, called by the `websockets` library."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest
from tests.support.fake_host import TONE_HZ, FakeHost
from tests.support.live import serving
from tests.support.rtc_client import RtcCaller, typed
from tests.support.socket_caller import calling, cut, eventually, pitch_hz, tone

from antiphon.audio import g711
from antiphon.channels.rtp.opus import OpusDecoder, OpusEncoder
from antiphon.channels.webrtc.config import AudioConfig, RtcConfig
from antiphon.server.settings import ServerSettings

Codec = Callable[[bytes], bytes]


def plain(pcm: bytes) -> bytes:
    return pcm


def codecs(name: str) -> tuple[Codec, Codec]:
    """Of a client: to a message, and from one."""
    if name == "opus":
        return OpusEncoder(48_000).encode, OpusDecoder().decode
    if name == "ulaw":
        return lambda pcm: g711.encode(pcm, "mulaw"), lambda data: g711.decode(data, "mulaw")
    if name == "alaw":
        return lambda pcm: g711.encode(pcm, "alaw"), lambda data: g711.decode(data, "alaw")
    return plain, plain


@pytest.mark.parametrize(
    ("name", "rate_hz", "chunk_ms"),
    [
        ("pcm16", 16_000, 20),
        ("pcm16", 8_000, 32),
        ("pcm16", 24_000, 10),
        ("pcm16", 48_000, 100),
        ("ulaw", 8_000, 20),
        ("alaw", 8_000, 40),
        ("opus", 48_000, 20),
    ],
)
async def test_a_tone_comes_through_both_ways(name: str, rate_hz: int, chunk_ms: int) -> None:
    host = FakeHost()
    encode, decode = codecs(name)
    query = f"?agent=Clinic&format={name}&rate={rate_hz}"
    async with serving(host) as url, calling(url, query) as caller:
        opened = await caller.until("antiphon.socket.opened")
        assert opened["up"] == opened["down"] == {"format": name, "rate": rate_hz}
        session = host.sessions[0]
        assert session.agent == "Clinic"
        assert session.call.channel == "websocket"
        assert opened["session_id"] == session.call_id
        assert (await caller.until("session.created"))["session"]["channel"] == "websocket"
        await caller.until("response.output_audio_transcript.done")

        heard = b"".join(decode(message) for message in caller.sound)
        heard_hz = 16_000 if name == "opus" else rate_hz
        assert {len(decode(message)) for message in caller.sound} == {heard_hz // 25}
        middle = heard[heard_hz // 10 * 2 : heard_hz // 10 * 8]
        assert abs(pitch_hz(middle, heard_hz) - TONE_HZ) < 5

        before = len(session.heard)
        spoken = tone(700, 600, rate_hz)
        await caller.speak(
            [encode(one) for one in cut(spoken, rate_hz * chunk_ms // 500)], chunk_ms / 1000
        )
        await eventually(lambda: len(session.heard) >= before + 17_000)
        assert abs(pitch_hz(bytes(session.heard[before + 4_000 :][:10_000]), 16_000) - 700) < 5
        # The caller sends nothing any more, which is heard as a pause.
        await caller.until("input_audio_buffer.speech_stopped")


async def test_each_way_may_have_a_format_of_its_own() -> None:
    host = FakeHost()
    query = "?up_format=ulaw&format=pcm16&rate=24000"
    async with serving(host) as url, calling(url, query) as caller:
        opened = await caller.until("antiphon.socket.opened")
        assert opened["up"] == {"format": "ulaw", "rate": 8000}
        assert opened["down"] == {"format": "pcm16", "rate": 24_000}
        await eventually(lambda: caller.sound)
        assert len(caller.sound[0]) == 960


async def test_events_go_beside_the_sound() -> None:
    host = FakeHost()
    async with serving(host) as url, calling(url) as caller:
        await caller.until("session.created")
        await eventually(lambda: len(caller.sound) > 5)
        await caller.tell(typed("a latte"))
        await caller.until("antiphon.playout.clear")
        done = await caller.until("response.done")
        assert done["response"]["status"] == "cancelled"
        at = caller.order.index("antiphon.playout.clear")
        assert "sound" not in caller.order[at : caller.order.index("response.done")]
        await caller.tell({"type": "antiphon.key", "key": "5"})
        await caller.socket.send("rubbish")
        assert (await caller.until("error"))["error"]["message"]
        assert host.sessions[0].keys == ["5"]
        await caller.tell({"type": "antiphon.hang_up"})
        assert (await caller.until("antiphon.session.ended"))["reason"] == "caller hung up"
        assert await caller.gone() == (1000, "the call is over")
        assert host.active_calls == 0


async def test_opus_has_the_bits_of_rtc_yaml() -> None:
    host = FakeHost()
    settings = ServerSettings(port=0, rtc=RtcConfig(audio=AudioConfig(bitrate=12_000)))
    async with serving(host, settings) as url, calling(url, "?format=opus") as caller:
        await caller.until("response.done")
        assert 10 < sum(map(len, caller.sound)) / len(caller.sound) < 12_000 / 8 / 50 * 1.2


async def test_nothing_is_sent_while_the_agent_is_silent() -> None:
    host = FakeHost()
    async with serving(host) as url, calling(url) as caller:
        await caller.until("response.done")
        await asyncio.sleep(0.1)
        count = len(caller.sound)
        await asyncio.sleep(0.2)
        assert len(caller.sound) == count
        assert count == 12 * 5 + 1


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?format=mp3", "there are pcm16, ulaw, alaw, opus"),
        ("?format=ulaw&rate=16000", "The rate of ulaw is 8000"),
        ("?rate=44100", "8000, 16000, 24000, 48000"),
        ("?rate=%EF%BC%91", "The rate of pcm16"),
        ("?fromat=ulaw", "Unknown parameter 'fromat'"),
        ("?session=call_1&token=abc", "does not belong into an address"),
        ("?agent=Bank", "There is no agent 'Bank'"),
    ],
)
async def test_a_refusal_is_an_event(query: str, said: str) -> None:
    host = FakeHost()
    async with serving(host) as url, calling(url, query) as caller:
        error = (await caller.until("error"))["error"]
        assert error["type"] == "invalid_request_error"
        assert said in error["message"]
        assert await caller.gone() == (1008, "invalid_request_error")
    assert not host.sessions


async def test_a_call_too_many() -> None:
    host = FakeHost(max_calls=0)
    async with serving(host) as url, calling(url) as caller:
        assert (await caller.until("error"))["error"]["type"] == "capacity_error"
        assert await caller.gone() == (1013, "capacity_error")


async def test_a_lost_connection_comes_back_to_its_call() -> None:
    host = FakeHost()
    async with serving(host) as url:
        async with calling(url) as caller:
            opened = await caller.until("antiphon.socket.opened")
            assert opened["resumed"] is False
            await eventually(lambda: len(caller.sound) > 3)
            caller.socket.transport.abort()
        session = host.sessions[0]
        await eventually(lambda: session.holds == [True])
        async with calling(url, f"?session={opened['session_id']}&format=alaw") as caller:
            await caller.tell({"type": "antiphon.socket.resume", "token": opened["token"]})
            again = await caller.until("antiphon.socket.opened")
            assert again["resumed"] is True
            assert again["session_id"] == opened["session_id"]
            assert again["down"] == {"format": "alaw", "rate": 8000}
            await caller.until("antiphon.session.resumed")
            await eventually(lambda: len(caller.sound) > 3)
            assert session.holds == [True, False]
            assert {len(one) for one in caller.sound} == {160}
            await caller.tell(typed("still me"))
            await eventually(lambda: session.texts == ["still me"])
    assert len(host.sessions) == 1


async def test_a_second_connection_takes_the_call_over() -> None:
    host = FakeHost()
    async with serving(host) as url, calling(url) as first:
        opened = await first.until("antiphon.socket.opened")
        async with calling(url, f"?session={opened['session_id']}") as second:
            await second.tell({"type": "antiphon.socket.resume", "token": opened["token"]})
            await second.until("antiphon.socket.opened")
            assert await first.gone() == (4001, "the call goes on without this connection")
            await second.until("response.done")
            assert not host.sessions[0].hung_up


async def test_nobody_gets_into_anothers_call() -> None:
    host = FakeHost()
    async with serving(host) as url, calling(url) as caller:
        opened = await caller.until("antiphon.socket.opened")
        for ident, token, said in (
            (opened["session_id"], "guessed", "not your call"),
            (opened["session_id"], "ü\ud800", "not your call"),
            ("call_99", opened["token"], "not your call"),
        ):
            async with calling(url, f"?session={ident}") as thief:
                await thief.tell({"type": "antiphon.socket.resume", "token": token})
                error = (await thief.until("error"))["error"]
                assert error["type"] == "session_error"
                assert said in error["message"]
                assert await thief.gone() == (1008, "session_error")
        for first in ("rubbish", "[]", json.dumps({"type": "other", "token": opened["token"]})):
            async with calling(url, f"?session={opened['session_id']}") as odd:
                await odd.socket.send(first)
                assert "antiphon.socket.resume" in (await odd.until("error"))["error"]["message"]
        assert not caller.closed.is_set()


async def test_a_call_that_is_over_says_so() -> None:
    host = FakeHost()
    async with serving(host) as url:
        async with calling(url) as caller:
            opened = await caller.until("antiphon.socket.opened")
            await caller.tell({"type": "antiphon.hang_up"})
            await caller.gone()
        await eventually(lambda: not host.active_calls)
        async with calling(url, f"?session={opened['session_id']}") as caller:
            await caller.tell({"type": "antiphon.socket.resume", "token": opened["token"]})
            error = (await caller.until("error"))["error"]
            assert error["type"] == "session_error"
            assert "over" in error["message"]


async def test_closing_with_1000_hangs_up() -> None:
    host = FakeHost()
    async with serving(host) as url:
        async with calling(url) as caller:
            await caller.until("session.created")
        await eventually(lambda: not host.active_calls, 2)
    assert host.sessions[0].hung_up[0] == "caller closed the connection"


async def test_a_server_that_stops_says_so() -> None:
    host = FakeHost()
    async with serving(host) as url, calling(url) as caller:
        await caller.until("session.created")
        await host.drain(0)
        assert (await caller.until("antiphon.session.ended"))["reason"] == "server stopped"
        assert (await caller.gone())[0] == 1000


async def test_pages_of_other_sites_get_no_call() -> None:
    host = FakeHost()
    async with serving(host) as url:
        with pytest.raises(Exception, match="403"):
            async with calling(url, origin="https://evil.example"):
                pass
    assert not host.sessions


async def test_a_call_by_webrtc_goes_on_over_a_websocket_and_back() -> None:
    host = FakeHost()
    async with serving(host) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        rtc = RtcCaller()
        offer = {"sdp": await rtc.offer(), "type": "offer"}
        made = (await http.post("/api/voice/offer", json=offer)).json()
        await rtc.take(made["sdp"])
        await rtc.until("session.created")
        session = host.sessions[0]
        async with calling(url, f"?session={made['session_id']}&format=opus") as caller:
            await caller.tell({"type": "antiphon.socket.resume", "token": made["token"]})
            await caller.until("antiphon.session.resumed")
            await eventually(lambda: len(caller.sound) > 3)
            await rtc.close()
            await caller.tell(typed("by socket"))
            await eventually(lambda: session.texts == ["by socket"])

            again = RtcCaller()
            ticket = {"session_id": made["session_id"], "token": made["token"]}
            back = {"sdp": await again.offer(), "type": "offer", "resume": ticket}
            await again.take((await http.post("/api/voice/offer", json=back)).json()["sdp"])
            assert (await caller.gone())[0] == 4001
            await eventually(lambda: again.data.readyState == "open")
            again.send(typed("by webrtc"))
            await eventually(lambda: session.texts == ["by socket", "by webrtc"])
        await again.close()
    assert len(host.sessions) == 1
    assert session.hung_up == ["server stopped"]
