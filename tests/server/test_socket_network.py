"""Calls over WebSockets when the network, or the client, is not what it should be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from tests.support.fake_host import FakeHost, FakeSession
from tests.support.live import serving
from tests.support.rtc_client import typed
from tests.support.socket_caller import SocketCaller, calling, cut, eventually, tone
from tests.support.tcp_proxy import through

from antiphon.channels.websocket import uplink

QUIET = [bytes(640)]


@asynccontextmanager
async def speaking(caller: SocketCaller, message: bytes) -> AsyncIterator[None]:
    """Sends the same 20 ms again and again."""
    task = asyncio.create_task(caller.speak([message] * 1000))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def loud_frames(session: FakeSession) -> list[bool]:
    frames = cut(bytes(session.heard), 640)
    return [bool(np.abs(np.frombuffer(one, "<i2")).max() > 1000) for one in frames]


async def test_a_network_that_is_away_holds_the_call_and_what_waited_is_cleared() -> None:
    host = FakeHost()
    async with (
        serving(host) as url,
        through(url) as proxy,
        calling(proxy.url, "?format=ulaw") as caller,
        speaking(caller, bytes([0xFF]) * 160),
    ):
        await caller.until("response.done")
        session = host.sessions[0]
        await asyncio.sleep(1.2)
        await caller.tell(typed("tell me more about it " * 10))
        await eventually(lambda: caller.order[-1] == "sound")
        proxy.works.clear()
        before, ready = len(caller.sound), len(session.frames)
        await eventually(lambda: session.holds == [True])
        left = len(session.frames)
        await asyncio.sleep(0.5)
        assert len(session.frames) == left
        proxy.works.set()
        await eventually(lambda: session.holds == [True, False])
        await caller.until("antiphon.playout.clear")
        waited = caller.order[: caller.order.index("antiphon.playout.clear")].count("sound")
        assert ready - left > 40
        assert 0 <= waited - before - (ready - left) < 10, "what was on its way came, too"
        await eventually(lambda: caller.order[-10:].count("sound") > 8)
        assert session.holds == [True, False]


async def test_who_takes_nothing_is_away_until_it_does() -> None:
    host = FakeHost()
    async with (
        serving(host) as url,
        calling(url, "?rate=48000", max_queue=2) as caller,
        speaking(caller, bytes(1920)),
    ):
        await caller.until("response.done")
        session = host.sessions[0]
        caller.task.cancel()
        await asyncio.sleep(0)
        await caller.tell(typed("tell me all about it " * 20))
        await eventually(lambda: session.holds == [True])
        # It goes on to speak, which does not make it one who listens.
        heard = session.heard_frames
        await asyncio.sleep(0.5)
        assert session.holds == [True]
        assert session.heard_frames == heard
        again = SocketCaller(caller.socket)
        await eventually(lambda: session.holds == [True, False])
        await eventually(lambda: session.heard_frames > heard + 25)
        await again.until("antiphon.playout.clear")
        again.task.cancel()


async def test_a_halt_of_the_network_is_no_pause_of_speech() -> None:
    host = FakeHost()
    voice = tone(440, 20, 16_000)
    async with (
        serving(host) as url,
        through(url) as proxy,
        calling(proxy.url) as caller,
        speaking(caller, voice),
    ):
        await caller.until("session.created")
        session: Any = host.sessions[0]
        await eventually(lambda: session.call._connection._alive.streaming)
        count = len(loud_frames(session))
        proxy.works.clear()
        await asyncio.sleep(0.7)
        proxy.works.set()
        await asyncio.sleep(0.3)
        heard = "".join("#" if loud else "." for loud in loud_frames(session))[count:]
        # Nothing is made up in its place, but for a moment on a machine that halts itself, and
        # nothing of it is missing.
        assert "." * 15 not in heard
        assert heard.count("#") > 40


async def test_a_client_that_stops_sending_is_heard_to_pause() -> None:
    host = FakeHost()
    async with serving(host) as url, calling(url) as caller:
        await caller.until("session.created")
        await caller.speak([tone(440, 20, 16_000)] * 70)
        # The double takes half a second of silence for the end.
        await caller.until("input_audio_buffer.speech_stopped")
        assert not host.sessions[0].holds


async def test_a_caller_who_says_nothing_is_there_and_told_so() -> None:
    host = FakeHost()
    async with serving(host) as url, calling(url) as caller:
        await caller.until("response.done")
        await caller.until("antiphon.socket.alive")
        await caller.until("antiphon.socket.alive")
        assert not host.sessions[0].holds
        assert host.sessions[0].heard_frames > 80


async def test_a_flood_of_sound_ends_the_call() -> None:
    host = FakeHost()
    async with serving(host) as url, calling(url) as caller:
        await caller.until("session.created")
        for _ in range(30):
            await caller.socket.send(bytes(32_000))
        assert "rate" in (await caller.until("error"))["error"]["message"]
        ended = await caller.until("antiphon.session.ended")
        assert ended["reason"] == "caller sent too much that is no sound"
        assert await caller.gone() == (1000, "the call is over")
        assert host.sessions[0].heard_frames < 350
        complaints = [one for one in caller.events if one["type"] == "error"]
        assert len(complaints) <= 3


async def test_garbage_is_answered_and_at_last_ends_the_call() -> None:
    host = FakeHost()
    async with serving(host) as url, calling(url, "?up_format=opus") as caller:
        await caller.until("session.created")
        await caller.socket.send(b"")
        await caller.socket.send(b"\xff\xff\xff")
        assert "not sound" in (await caller.until("error"))["error"]["message"]
        for _ in range(uplink.MOST_BROKEN):
            await caller.socket.send(b"\xff\xff\xff")
        assert "no sound" in (await caller.until("antiphon.session.ended"))["reason"]


async def test_a_message_beyond_all_measure_closes_the_connection() -> None:
    host = FakeHost()
    async with serving(host) as url, calling(url) as caller:
        await caller.until("session.created")
        await caller.socket.send(bytes(70_000))
        assert (await caller.gone())[0] == 1009
        await eventually(lambda: host.sessions[0].holds == [True])
