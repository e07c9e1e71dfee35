"""A caller's connection, to a scripted server."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest

from antiphon.bench.phone_caller import SimCall
from antiphon.bench.phone_line import Caller, NotConnected, ask_voice, incoming_form
from antiphon.bench.phone_speech import Plan, Turn
from antiphon.bench.phone_wire import Line, StreamPlace, sign
from antiphon.errors import UserFacingError

from .phone_double import Double, running
from .test_phone_caller import SPEECH

SPEED = 10


def make(plan: Plan) -> SimCall:
    return SimCall(Line("1"), plan)


async def test_a_call_from_greeting_to_the_end() -> None:
    late: list[float] = []
    call = make(Plan([Turn(SPEECH)]))
    async with running(Double()) as double:
        await Caller(call, double.url, speed=SPEED, late=late.append).run()
    assert call.measured.ended == "the caller was done"
    assert len(call.measured.first_audio_ms) == 1
    assert double.names("mark") == ["greeting", "answer"]
    assert double.got[-1]["event"] == "stop"
    assert len(late) > 50


async def test_the_agent_may_hang_up() -> None:
    call = make(Plan([Turn(SPEECH)]))
    async with running(Double(hang_up_after_frames=10)) as double:
        await Caller(call, double.url, speed=SPEED).run()
    assert call.measured.ended == "the agent hung up"


async def test_what_is_broken_is_counted_and_the_call_goes_on() -> None:
    call = make(Plan([Turn(SPEECH)]))
    async with running(Double(broken=("{", b"\x00", '{"event":"clear"}'))) as double:
        await Caller(call, double.url, speed=SPEED).run()
    assert len(call.measured.protocol_errors) == 3
    assert len(call.measured.first_audio_ms) == 1


async def test_a_call_that_is_cancelled_lets_go() -> None:
    async with running(Double()) as double:
        task = asyncio.create_task(Caller(make(Plan([Turn(SPEECH)])), double.url).run())
        while not double.count("media"):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_nobody_there_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(NotConnected, match="cannot connect"):
            await Caller(make(Plan()), url).run()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "it answered 403"),
        (b"SSH-2.0-OpenSSH\r\n", "no WebSocket"),
        (b"", "hung up at once|no WebSocket"),
    ],
)
async def test_a_refusal_is_told(answer: bytes, why: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NotConnected, match=why):
            await Caller(make(Plan()), f"ws://127.0.0.1:{port}/").run()


TWIML = (
    '<Response><Connect><Stream url="wss://voice.example.com/twilio/media"/></Connect></Response>'
)


async def _webhook(status: int, seen: list[bytes], body: str = TWIML) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(httpx.Headers(_headers(head))["content-length"])
        seen.extend([head, await reader.readexactly(length)])
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            f"{body}".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return await asyncio.start_server(answer, "127.0.0.1", 0)


def _headers(head: bytes) -> list[tuple[str, str]]:
    lines = head.decode().split("\r\n")[1:-2]
    return [(name.lower(), value) for name, value in (line.split(": ", 1) for line in lines)]


async def test_the_webhook_says_where_the_stream_is() -> None:
    seen: list[bytes] = []
    async with await _webhook(200, seen) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/twilio/voice"
        form = incoming_form("CA1", "AC1", "+15550100100", "+15550100199")
        public = "https://voice.example.com"
        place = await ask_voice(url, form, "secret", public)
    assert place == StreamPlace(url.replace("http", "ws").replace("voice", "media"), {})
    wanted = sign("secret", public + "/twilio/voice", form)
    assert dict(_headers(seen[0]))["x-twilio-signature"] == wanted
    assert dict(httpx.QueryParams(seen[1].decode())) == form


async def test_a_webhook_that_refuses_is_told() -> None:
    async with await _webhook(403, []) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/twilio/voice"
        with pytest.raises(NotConnected, match=r"403 \(is the auth token"):
            await ask_voice(url, {}, "wrong")
    with pytest.raises(NotConnected, match="twilio/voice"):
        await ask_voice(url, {}, "")


async def test_a_document_that_says_no_is_told() -> None:
    refusal = "<Response><Say>All lines are busy.</Say><Hangup/></Response>"
    async with await _webhook(200, [], refusal) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/twilio/voice"
        with pytest.raises(UserFacingError, match="All lines are busy"):
            await ask_voice(url, {}, "secret")
