"""The WebRTC channel, called by a real peer over loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
from tests.support.fake_host import TONE_HZ, FakeHost, FakeSession
from tests.support.rtc_client import RtcCaller, typed

from antiphon.channels.pacer import MOST_AT_ONCE
from antiphon.channels.voice import call as voice_call
from antiphon.channels.voice.base import OUTPUT_RATE_HZ, Patience
from antiphon.channels.voice.calls import Ticket, VoiceCalls
from antiphon.channels.webrtc.channel import Answer, WebRtcChannel
from antiphon.channels.webrtc.config import AudioConfig, RtcConfig
from antiphon.errors import CapacityError, ForbiddenError, GoneError, UserFacingError


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
async def calls(host: FakeHost) -> AsyncIterator[VoiceCalls]:
    calls = VoiceCalls(host)
    yield calls
    await calls.aclose()


@pytest.fixture
def channel(calls: VoiceCalls) -> WebRtcChannel:
    return WebRtcChannel(calls)


async def connect(channel: WebRtcChannel, host: FakeHost) -> tuple[RtcCaller, FakeSession]:
    caller = RtcCaller()
    answer = await channel.answer(await caller.offer(), None)
    await caller.take(answer.sdp)
    async with asyncio.timeout(20):
        await caller.connected.wait()
    return caller, host.sessions[-1]


async def wait_until_closed(session: FakeSession, timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        await session.closed.wait()


async def until_away(session: FakeSession, timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not session.holds:  # noqa: ASYNC110 - the session has no event for it
            await asyncio.sleep(0.01)


async def test_a_call_hears_speaks_and_carries_events(
    host: FakeHost, channel: WebRtcChannel
) -> None:
    caller, session = await connect(channel, host)
    created = await caller.until("session.created")
    assert created["session"]["channel"] == "webrtc"
    greeting = await caller.until("response.output_audio_transcript.done")
    assert greeting["transcript"] == "Hello, this is the cafe."
    assert session.heard_frames > 20
    assert len(session.heard) == session.heard_frames * 640
    samples = np.frombuffer(bytes(caller.pcm), "<i2").astype(float)
    loud = samples[np.abs(samples) > 200]
    assert len(loud) > 20_000
    spectrum = np.abs(np.fft.rfft(samples[-24_000:]))
    assert abs(float(np.argmax(spectrum)) * 2 - TONE_HZ) < 5
    await caller.close()
    await until_away(session)


async def test_typed_text_reaches_the_session(host: FakeHost, channel: WebRtcChannel) -> None:
    caller, session = await connect(channel, host)
    await caller.until("session.created")
    caller.send(typed("a latte, please"))
    said = await caller.until("conversation.item.input_audio_transcription.completed")
    assert said["transcript"] == "a latte, please"
    assert session.texts == ["a latte, please"]
    await caller.close()


async def test_garbage_on_the_data_channel_is_answered_and_harmless(
    host: FakeHost, channel: WebRtcChannel
) -> None:
    caller, session = await connect(channel, host)
    await caller.until("session.created")
    for rubbish in ("", "{", "[]", b"\xff\xfe", '{"type": 5}', "x" * 60_000, "[" * 9_000):
        if rubbish:
            caller.send(rubbish)
    error = await caller.until("error")
    assert error["error"]["type"] == "invalid_request_error"
    assert error["error"]["message"]
    caller.send(typed("still there?"))
    await caller.until("conversation.item.input_audio_transcription.completed")
    assert session.texts == ["still there?"]
    await caller.close()


async def test_the_caller_can_hang_up_and_is_told_before_the_line_closes(
    host: FakeHost, channel: WebRtcChannel
) -> None:
    caller, session = await connect(channel, host)
    await caller.until("session.created")
    caller.send({"type": "antiphon.hang_up"})
    ended = await caller.until("antiphon.session.ended")
    assert ended["reason"] == "caller hung up"
    await wait_until_closed(session)
    async with asyncio.timeout(20):
        await caller.closed.wait()
    assert session.hung_up[0] == "caller hung up"
    await caller.close()


async def test_only_who_made_a_call_can_end_it(
    host: FakeHost, calls: VoiceCalls, channel: WebRtcChannel
) -> None:
    caller = RtcCaller()
    answer = await channel.answer(await caller.offer(), None)
    await caller.take(answer.sdp)
    session = host.sessions[-1]
    for session_id, token in ((answer.session_id, "wrong"), ("call_99", answer.token)):
        with pytest.raises(ForbiddenError, match="not your call"):
            calls.hang_up(session_id, token)
    calls.hang_up(answer.session_id, answer.token)
    await wait_until_closed(session)
    assert session.hung_up[0] == "caller left the page"
    await asyncio.sleep(0)
    with pytest.raises(GoneError, match="over"):
        calls.hang_up(answer.session_id, answer.token)
    await caller.close()


@pytest.fixture
def brief(calls: VoiceCalls) -> None:
    """Waits for a lost caller half a second."""
    calls.patience = Patience(0.5, 0.5)


@pytest.mark.usefixtures("brief")
async def test_a_peer_that_closes_in_mid_sentence_may_come_back_for_a_while(
    host: FakeHost, channel: WebRtcChannel
) -> None:
    caller, session = await connect(channel, host)
    await caller.until("response.output_audio_transcript.delta")
    await caller.close()
    await until_away(session)
    assert session.holds == [True]
    await wait_until_closed(session)
    assert session.hung_up[0] == "connection lost"
    assert host.active_calls == 0


def cut(caller: RtcCaller) -> None:
    """Cut the cable: the peer's sockets go, and nothing says so to the server."""
    for protocol in caller.pc.sctp.transport.transport._connection._protocols:  # type: ignore[union-attr]
        protocol.transport.abort()


@pytest.mark.usefixtures("brief")
async def test_a_peer_that_falls_silent_is_noticed_and_given_up(
    host: FakeHost, channel: WebRtcChannel
) -> None:
    caller, session = await connect(channel, host)
    await caller.until("session.created")
    cut(caller)
    await until_away(session)
    await wait_until_closed(session)
    assert session.hung_up[0] == "connection lost"
    await caller.close()


async def test_a_caller_comes_back_to_the_same_session(
    host: FakeHost, channel: WebRtcChannel
) -> None:
    first = RtcCaller()
    answer = await channel.answer(await first.offer(), None)
    await first.take(answer.sdp)
    await first.until("response.output_audio_transcript.delta")
    cut(first)
    second = RtcCaller()
    ticket = Ticket(answer.session_id, answer.token)
    offer = await second.offer()
    again = await channel.resume(offer, ticket)
    await second.take(again.sdp)
    assert (await second.until("antiphon.session.resumed"))["session"]["id"] == answer.session_id
    assert len(host.sessions) == 1
    session = host.sessions[0]
    assert session.holds == [True, False]
    heard = session.heard_frames
    await second.until("response.output_audio_transcript.done")
    assert session.heard_frames > heard
    for token in ("", "somebody else's"):
        with pytest.raises(ForbiddenError):
            await channel.resume(offer, Ticket(answer.session_id, token))
    second.send({"type": "antiphon.hang_up"})
    await wait_until_closed(session)
    await asyncio.sleep(0)
    with pytest.raises(GoneError):
        await channel.resume(offer, ticket)
    await first.close()
    await second.close()


async def test_a_half_open_connection_is_closed(
    host: FakeHost, channel: WebRtcChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_call, "CONNECT_TIMEOUT_S", 0.3)
    caller = RtcCaller()
    await channel.answer(await caller.offer(), None)
    session = host.sessions[-1]
    await wait_until_closed(session)
    assert session.hung_up[0].startswith("not connected")
    await caller.close()


async def test_no_more_calls_than_lines(host: FakeHost, channel: WebRtcChannel) -> None:
    host.max_calls = 0
    caller = RtcCaller()
    with pytest.raises(CapacityError, match="busy"):
        await channel.answer(await caller.offer(), None)
    assert not host.sessions
    await caller.close()


async def test_the_agents_voice_is_coded_as_was_set(host: FakeHost, calls: VoiceCalls) -> None:
    config = RtcConfig(audio=AudioConfig(bitrate=24_000, redundancy="always"))
    caller, session = await connect(WebRtcChannel(calls, config), host)
    mouth = session.call._connection._mouth  # type: ignore[attr-defined]
    assert mouth.robust
    assert mouth._mode.bitrate == 24_000
    await caller.close()


async def test_an_unknown_agent_is_named(channel: WebRtcChannel) -> None:
    caller = RtcCaller()
    with pytest.raises(UserFacingError, match="no agent 'Bank'"):
        await channel.answer(await caller.offer(), "Bank")
    await caller.close()


async def test_two_hundred_offers_at_once(
    host: FakeHost, calls: VoiceCalls, channel: WebRtcChannel
) -> None:
    host.max_calls = 5
    caller = RtcCaller()
    offer = await caller.offer()
    results = await asyncio.gather(
        *(channel.answer(offer, None) for _ in range(200)), return_exceptions=True
    )
    taken = [one for one in results if isinstance(one, Answer)]
    refused = [one for one in results if isinstance(one, CapacityError)]
    assert len(taken) == 5
    assert len(refused) == 195
    assert len(host.sessions) == 5
    for answer in taken:
        calls.hang_up(answer.session_id, answer.token)
    for session in host.sessions:
        await wait_until_closed(session)
    await caller.close()


async def test_playback_is_not_faster_than_real_time(
    host: FakeHost, channel: WebRtcChannel
) -> None:
    """How it keeps up is the pacer's, and proven there."""
    caller, session = await connect(channel, host)
    session.frames.extend([bytes(OUTPUT_RATE_HZ // 25)] * 200)
    started, left = time.monotonic(), len(session.frames)
    async with asyncio.timeout(20):
        while left - len(session.frames) < 50:  # noqa: ASYNC110 - the session has no event for it
            await asyncio.sleep(0.01)
    played_ms = (left - len(session.frames)) * 20
    # A tick that was due before may come first, with all that it makes up for.
    assert played_ms <= (time.monotonic() - started) * 1000 + (MOST_AT_ONCE + 1) * 20
    await caller.close()
