"""A call that loses its connections, on a clock that the test turns."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support.fake_host import FakeSession

from antiphon.channels.client_events import Playout
from antiphon.channels.pacer import Pacer
from antiphon.channels.rtp.receive import LineStats
from antiphon.channels.voice.base import PATIENT, Patience
from antiphon.channels.voice.call import AWAY_AFTER_S, VoiceCall
from antiphon.types import FRAME_BYTES


class FakeConnection:
    """Keeps what it is given; the test says when something was last heard from the caller."""

    def __init__(self) -> None:
        self.played: list[bytes | None] = []
        self.sent: list[dict[str, Any]] = []
        self.playout = Playout()
        self.delay_ms = 95
        self.silent_s = 0.0
        self.closed = 0
        self.stats = LineStats()
        self.still_s: float | None = None
        """Sound that is so near to the ear is heard whatever is called back."""

    def play(self, pcm: bytes | None) -> None:
        self.played.append(pcm)

    def poll(self, now_s: float) -> None: ...

    def clear(self) -> float | None:
        return self.still_s

    def send(self, text: str) -> None:
        self.sent.append(json.loads(text))

    def on_playout(self, playout: Playout) -> None:
        self.playout = playout

    def alive_s(self, now_s: float) -> float:
        return now_s - self.silent_s

    async def aclose(self) -> None:
        self.closed += 1


class Stage:
    """A call that has been taken, whose clock ticks by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self.now_s = loop.time()
        monkeypatch.setattr(Pacer, "start", lambda pacer: None)
        self.call = VoiceCall("webrtc")
        monkeypatch.setattr(self.call, "_loop", self)
        self._loop = loop
        self.first = FakeConnection()
        self.session = FakeSession(self.call, "call_1", "Cafe")
        self.call.begin(self.session)

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, *args: Any) -> asyncio.TimerHandle:
        self.patience_s = delay_s
        return self._loop.call_later(delay_s, *args)

    def tick(self, times: int = 1) -> None:
        for _ in range(times):
            self.now_s += 0.02
            self.call._tick(1)

    def say(self, frames: int) -> None:
        """The session has so much to say, without words."""
        self.session.frames.extend([b"\1\0" * 480] * frames)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


async def test_events_wait_for_the_first_connection(stage: Stage) -> None:
    stage.call.notify({"type": "session.created"})
    assert stage.call.connected(stage.first) is None
    assert [event["type"] for event in stage.first.sent] == ["session.created"]
    assert not stage.call.away
    assert stage.session.holds == []
    assert stage.session.returns == 0


async def test_heard_is_what_was_played_less_the_way_to_the_ear(stage: Stage) -> None:
    stage.call.connected(stage.first)
    stage.say(20)
    stage.tick(5)
    assert stage.session.heard_by_caller == 0
    stage.tick(5)
    assert stage.session.heard_by_caller == 5
    stage.first.delay_ms = 20
    stage.tick(30)
    assert stage.session.heard_by_caller == 20


async def test_what_is_called_back_is_not_heard_but_for_what_is_at_the_ear(stage: Stage) -> None:
    stage.call.connected(stage.first)
    stage.say(20)
    stage.tick(10)
    assert stage.session.heard_by_caller == 5
    assert not stage.call.clear(), "a browser's jitter buffer is heard"
    stage.first.still_s = 0.05
    assert stage.call.clear()
    assert stage.session.heard_by_caller == 7
    stage.session.frames.clear()
    stage.tick(20)
    assert stage.session.heard_by_caller == 7
    stage.say(1)
    stage.tick(10)
    assert stage.session.heard_by_caller == 11, "what comes afterwards is counted on"


async def test_who_is_not_there_hears_nothing_of_what_is_called_back(stage: Stage) -> None:
    stage.call.connected(stage.first)
    stage.say(20)
    stage.tick(10)
    stage.first.still_s, stage.first.silent_s = 1.0, 0.5
    assert stage.call.clear()
    assert stage.session.heard_by_caller == 5
    stage.call.lost(stage.first)
    assert stage.call.clear()


async def test_what_is_on_its_way_when_the_line_is_lost_was_not_heard(stage: Stage) -> None:
    stage.call.connected(stage.first)
    stage.say(200)
    stage.tick(20)
    heard = stage.session.heard_by_caller
    assert heard == 15
    ticks = int(AWAY_AFTER_S / 0.02)
    for _ in range(ticks):
        stage.first.silent_s += 0.02
        stage.tick()
    assert stage.session.holds == []
    assert stage.session.heard_by_caller <= heard + 4
    stage.first.silent_s += 0.04
    stage.tick()
    assert stage.session.holds == [True]
    assert stage.call.away
    assert stage.patience_s == PATIENT.resume_s
    left = len(stage.session.frames)
    stage.tick(10)
    assert len(stage.session.frames) == left, "nothing is read of the session"
    assert stage.first.played[-10:] == [None] * 10, "the clock of the line goes on"
    stage.first.silent_s = 0.0
    stage.call.on_frame(stage.first, bytes(FRAME_BYTES))
    assert stage.session.holds == [True, False]
    assert stage.session.heard_frames == 1
    stage.tick(1)
    assert len(stage.session.frames) == left - 1


async def test_another_connection_carries_the_call_on(stage: Stage) -> None:
    stage.call.connected(stage.first)
    second = FakeConnection()
    stage.call.expect(second)
    assert stage.call.connected(second) is stage.first
    assert stage.session.holds == [True, False]
    assert stage.session.returns == 1
    assert second.sent[-1]["type"] == "antiphon.session.resumed"
    stage.call.on_frame(stage.first, bytes(FRAME_BYTES))
    stage.call.on_message(stage.first, '{"type": "antiphon.hang_up"}')
    assert stage.session.heard_frames == 0
    assert not stage.call.ended, "the old one is not listened to any more"
    stage.call.lost(stage.first)
    assert not stage.call.away
    stage.call.on_message(second, '{"type": "antiphon.playout", "output_ms": 12}')
    assert second.playout == Playout(output_ms=12.0)


async def test_events_between_two_connections_are_kept(stage: Stage) -> None:
    stage.call.connected(stage.first)
    assert stage.call.leaving() is stage.first
    assert stage.session.holds == [True]
    stage.call.notify({"type": "antiphon.state", "user": "away"})
    second = FakeConnection()
    assert stage.call.connected(second) is None
    assert [one["type"] for one in second.sent] == ["antiphon.state", "antiphon.session.resumed"]
    assert stage.session.holds == [True, False]


async def test_a_page_that_has_said_goodbye_is_waited_for_as_long_as_was_set(stage: Stage) -> None:
    stage.call.patience = Patience(60.0, 15.0)
    stage.call.connected(stage.first)
    stage.call.lost(stage.first)
    assert stage.patience_s == 60.0
    stage.now_s += 50.0
    assert stage.call.leaving() is None
    assert stage.patience_s == 10.0, "no longer than it was waited for already"
    stage.call.connected(stage.first)
    assert stage.call.leaving() is stage.first
    assert stage.patience_s == 15.0


async def test_a_page_that_is_gone_is_given_up_with_another_reason(stage: Stage) -> None:
    stage.call.patience = Patience(60.0, 0.02)
    running = asyncio.create_task(stage.call.run())
    stage.call.connected(stage.first)
    stage.call.leaving()
    async with asyncio.timeout(20):
        await running
    assert stage.session.hung_up == ["caller left the page"]
    stage.call.leaving()
    assert stage.call.ended


async def test_a_caller_who_does_not_come_back_is_given_up(stage: Stage) -> None:
    stage.call.patience = Patience(0.02, 0.02)
    running = asyncio.create_task(stage.call.run())
    stage.call.connected(stage.first)
    stage.call.lost(stage.first)
    async with asyncio.timeout(20):
        await running
    assert stage.session.hung_up == ["connection lost"]
    assert stage.call.connected(FakeConnection()) is None
    assert stage.call.away


async def test_everything_is_closed_with_the_call(stage: Stage) -> None:
    coming = FakeConnection()
    stage.call.connected(stage.first)
    stage.call.expect(coming)
    running = asyncio.create_task(stage.call.run())
    stage.call.end("caller hung up")
    async with asyncio.timeout(20):
        await running
        await stage.session.wait_closed()
    assert (stage.first.closed, coming.closed) == (1, 1)
    assert stage.first.sent[-1]["type"] == "antiphon.session.ended"


async def test_a_clock_that_fails_ends_its_call(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.call.connected(stage.first)
    monkeypatch.setattr(FakeSession, "read_frame", lambda session: 1 // 0)
    stage.tick()
    assert stage.call.ended


async def test_garbage_is_answered_and_a_flood_of_it_ends_the_call(stage: Stage) -> None:
    stage.call.connected(stage.first)
    stage.call.on_message(stage.first, "{")
    assert stage.first.sent[-1]["type"] == "error"
    for _ in range(600):
        stage.call.on_message(stage.first, b"\xff")
    assert stage.call.ended


async def test_what_was_lost_is_summed_over_the_connections(stage: Stage) -> None:
    stage.call.connected(stage.first)
    stage.first.stats = LineStats(packets=90, lost=10, concealed_ms=40, round_trip_ms=30.0)
    stage.call.lost(stage.first)
    stage.now_s += 2.0
    second = FakeConnection()
    stage.call.connected(second)
    second.stats = LineStats(packets=50, recovered_ms=20, sent=7, their_lost=1)
    facts = stage.call.line_facts()
    assert facts == stage.call.line_facts()
    assert (facts["connections"], facts["outages"], facts["outage_ms"]) == (2, 1, 2000)
    assert facts["caller"] == {
        "packets": 140,
        "lost": 10,
        "recovered_ms": 20,
        "concealed_ms": 40,
        "jitter_ms": 0.0,
    }
    assert facts["agent"] == {"packets": 7, "lost": 1}
    assert facts["round_trip_ms"] == 30.0
