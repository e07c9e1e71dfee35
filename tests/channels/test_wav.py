"""Calls from recordings: who speaks when, what is recorded, and when it is over."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.stage import agent, providers, speech

from antiphon.audio.wav import StereoWavWriter, read_pcm
from antiphon.channels.wav import Plan, WavCall, WavDriver
from antiphon.observe.metrics import Metrics
from antiphon.session.clock import StreamClock
from antiphon.session.session import Session
from antiphon.types import FRAME_BYTES

FRAME = b"\1\0" * (FRAME_BYTES // 2)


class Puppet:
    """A session that speaks when the test's script says so: frame numbers -> for how long."""

    call_id = "call_1"
    output_rate_hz = 16_000

    def __init__(self, call: WavCall, speaks: dict[int, int]) -> None:
        self.call, self.speaks = call, speaks
        self.heard: list[bytes] = []
        self.left = 0
        self.busy = False
        self.hung_up = ""

    def on_audio(self, pcm: bytes) -> None:
        self.heard.append(pcm)

    def read_frame(self) -> bytes | None:
        self.left += self.speaks.pop(len(self.heard), 0)
        if not self.left:
            return None
        self.left -= 1
        state = "speaking" if self.left else "listening"
        self.call.notify({"type": "antiphon.state", "user": "listening", "agent": state})
        return FRAME

    def on_key(self, key: str) -> None:
        raise AssertionError("a recording presses no keys")

    def on_talk_key(self, held: bool) -> None:
        raise AssertionError("a recording holds no key")

    def on_text(self, text: str) -> None:
        """Nobody types here."""

    def on_heard(self, frames: int) -> None: ...
    def on_hold(self, held: bool) -> None: ...
    def on_return(self) -> None: ...

    def hang_up(self, reason: str) -> None:
        self.hung_up = reason

    async def wait_closed(self) -> None:
        await self.call.close(self.hung_up)

    def said_at(self) -> list[int]:
        """Frames in which the caller made a sound."""
        return [number for number, pcm in enumerate(self.heard) if any(pcm)]


class Tape:
    def __init__(self) -> None:
        self.frames: list[tuple[bytes, bytes]] = []

    def write(self, caller: bytes, agent: bytes) -> None:
        self.frames.append((caller, agent))


async def play(
    plan: Plan, speaks: dict[int, int], tape: Tape | None = None, **driver: Any
) -> tuple[Puppet, list[dict[str, Any]]]:
    notices: list[dict[str, Any]] = []
    call = WavCall(notices.append)
    puppet = Puppet(call, speaks)
    clock = StreamClock()
    await WavDriver(plan, call, tape, **driver).run(puppet, clock.advance)
    return puppet, notices


async def test_the_caller_waits_for_the_greeting_and_a_moment_more() -> None:
    plan = Plan([FRAME * 3], lead_ms=100, linger_ms=200)
    puppet, notices = await play(plan, {2: 5})
    assert puppet.said_at() == [11, 12, 13]
    assert len(puppet.heard) == 14 + 9
    assert puppet.hung_up == "the recording is over"
    assert notices[-1]["agent"] == "listening"


async def test_each_recording_waits_for_its_answer() -> None:
    plan = Plan([FRAME, FRAME], lead_ms=100, linger_ms=200)
    puppet, _ = await play(plan, {8: 4})
    first, second = puppet.said_at()
    assert first == 5
    assert second == first + 1 + 1 + 4 + 5


async def test_a_recording_that_barges_in_does_not_wait() -> None:
    plan = Plan([FRAME], lead_ms=100, linger_ms=200, barge_in_ms=60)
    puppet, _ = await play(plan, {1: 50})
    assert puppet.said_at() == [3]


async def test_the_last_piece_is_filled_up_with_silence() -> None:
    plan = Plan([FRAME + FRAME[:100]], lead_ms=0, linger_ms=100)
    puppet, _ = await play(plan, {})
    assert puppet.heard[1] == FRAME[:100] + bytes(FRAME_BYTES - 100)
    assert all(len(pcm) == FRAME_BYTES for pcm in puppet.heard)


async def test_both_sides_are_recorded_as_they_overlapped() -> None:
    tape = Tape()
    await play(Plan([FRAME * 4], lead_ms=0, linger_ms=100), {2: 2}, tape)
    assert [(any(caller), any(agent)) for caller, agent in tape.frames[:5]] == [
        (True, False),
        (True, True),
        (True, True),
        (True, False),
        (False, False),
    ]


async def test_further_recordings_are_asked_for_when_the_plan_is_played() -> None:
    more = [FRAME, None]
    puppet, _ = await play(
        Plan([FRAME], lead_ms=60, linger_ms=200),
        {8: 2, 20: 2},
        reply=lambda: more.pop(0) if more else None,
    )
    assert len(puppet.said_at()) == 2
    assert more == []


async def test_a_recording_waits_for_the_answer_however_long_the_agent_thinks_it_over() -> None:
    plan = Plan([FRAME, FRAME], lead_ms=40, linger_ms=400)
    puppet, _ = await play(plan, {17: 2})
    assert puppet.said_at() == [2, 20]


async def test_a_recording_that_is_not_answered_is_not_waited_for_long() -> None:
    plan = Plan([FRAME, FRAME], lead_ms=40, linger_ms=400)
    puppet, _ = await play(plan, {})
    assert puppet.said_at() == [2, 22]


async def test_a_call_that_never_falls_silent_is_ended() -> None:
    puppet, _ = await play(Plan([FRAME], longest_ms=1000), {1: 10_000})
    assert len(puppet.heard) == 50


async def test_the_agent_may_hang_up() -> None:
    call = WavCall(lambda notice: None)
    puppet = Puppet(call, {})
    frames = 0

    def advance(step_ms: int) -> None:
        nonlocal frames
        frames += 1
        if frames == 7:
            call.ended.set()

    await WavDriver(Plan([FRAME]), call, None).run(puppet, advance)
    assert len(puppet.heard) == 7


async def test_stream_time_waits_for_what_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    call = WavCall(lambda notice: None)
    puppet = Puppet(call, {})
    puppet.busy = True
    naps: list[float] = []
    sleep = asyncio.sleep

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) % 4 == 0:
            puppet.busy = False
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", nap)
    await WavDriver(Plan([], linger_ms=40), call, None).run(puppet, lambda ms: None)
    assert len(naps) == 4


async def test_in_real_time_a_step_takes_twenty_milliseconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    naps: list[float] = []
    sleep = asyncio.sleep

    async def nap(seconds: float) -> None:
        naps.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", nap)
    call = WavCall(lambda notice: None)
    await WavDriver(Plan([], linger_ms=100), call, None).run(Puppet(call, {}), None)
    # Nothing really slept, so each nap would be until the next frame's moment.
    assert [round(one, 2) for one in naps] == [0.02, 0.04, 0.06, 0.08]


async def test_a_whole_call_is_recorded_in_stereo(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    call = WavCall(lambda notice: None)
    clock = StreamClock()
    session = Session(
        "call_1",
        agent(greeting="Welcome to the cafe."),
        providers(llm={"replies": ["Sure, one coffee."]}),
        call,
        clock,
        Metrics(),
    )
    await session.prepare()
    task = asyncio.create_task(session.run())
    with StereoWavWriter(path, 16_000) as tape:
        plan = Plan([speech(700)], lead_ms=200, linger_ms=1200)
        await WavDriver(plan, call, tape).run(session, clock.advance)
    await task
    spoken = [one.content for one in session.conversation.messages()]
    assert spoken == ["Welcome to the cafe.", "hello there", "Sure, one coffee."]
    assert len(read_pcm(path, 16_000)) > 16_000 * 2 * 3


def test_a_long_recording_is_played_to_its_end() -> None:
    half_an_hour = Plan([FRAME * (30 * 60 * 50)])
    assert half_an_hour.limit_ms == 40 * 60_000
    assert Plan([FRAME], longest_ms=1000).limit_ms == 1000
