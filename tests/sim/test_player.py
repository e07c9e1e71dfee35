"""The simulated playout beside the real one: the same audio and orders, the same story."""

from __future__ import annotations

import heapq
from random import Random
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.audio import player as real
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.sim.faults import NO_FAULTS
from antiphon.sim.player import Player

RATE_HZ = 8000


class Line:
    """As much of a world as the player needs, with both players in it."""

    def __init__(self) -> None:
        self.now_ms = self._order = 0
        self.faults = NO_FAULTS
        quiet = {"agent_started": lambda: None, "agent_stopped": lambda: None}
        self.caller = SimpleNamespace(**quiet)
        self.vad = SimpleNamespace(**quiet, line="")
        self._queue: list[tuple[int, int, Any, Any]] = []
        self.told: list[tuple[str, int, int]] = []
        world: Any = self
        self.player = Player(world, Random(1))
        self.player.progress_ms = real.PROGRESS_EVERY_MS
        self.real = real.Player(RATE_HZ)
        self.real_told: list[tuple[str, int, int]] = []
        self._given_ms: dict[int, int] = {}

    def after(self, delay_ms: int, action: Any, argument: Any) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self.now_ms + delay_ms, self._order, action, argument))

    def send(self, event: e.Event, source: int = 0) -> None:
        assert isinstance(
            event,
            e.PlaybackStarted | e.PlaybackProgressed | e.PlaybackEnded | e.PlaybackFlushed,
        )
        name = type(event).__name__.removeprefix("Playback")
        self.told.append((name, event.response_id, getattr(event, "played_ms", 0)))

    def wait(self, frames: int) -> None:
        until_ms = self.now_ms + frames * 20
        while self._queue and self._queue[0][0] <= until_ms:
            self.now_ms, _, action, argument = heapq.heappop(self._queue)
            action(argument)
        self.now_ms = until_ms
        for _ in range(frames):
            self.real.read()
            self._poll()

    def _poll(self) -> None:
        for event in self.real.progress():
            if not isinstance(event, real.Underrun):
                name, played_ms = type(event).__name__, getattr(event, "played_ms", 0)
                self.real_told.append((name, event.response_id, played_ms))

    def append(self, response_id: int, ms: int) -> None:
        self._given_ms[response_id] = self._given_ms.get(response_id, 0) + ms
        self.player.append(response_id, self._given_ms[response_id])
        self.real.append(response_id, 0, bytes(RATE_HZ * 2 * ms // 1000))

    def close(self, response_id: int) -> None:
        self.player.close(response_id)
        self.real.end_response(response_id)

    def flush(self, response_id: int) -> None:
        self.player.flush(c.FlushAudio(response_id))
        played_ms = self.real.flush(response_id)
        self.real_told.append(("Flushed", response_id, played_ms))

    def pause(self) -> None:
        self.player.pause(c.PauseAudio())
        self.real.pause()

    def resume(self) -> None:
        self.player.resume(c.ResumeAudio())
        self.real.resume()


def test_an_answer_is_played_to_its_end() -> None:
    line = Line()
    line.player.play(c.PlayAudio(1))
    line.append(1, 400)
    line.close(1)
    line.wait(30)
    assert line.told == [
        ("Started", 1, 0), ("Progressed", 1, 100), ("Progressed", 1, 200), ("Progressed", 1, 300),
        ("Ended", 1, 400),
    ]  # fmt: skip


def test_nothing_is_played_before_it_is_let_go() -> None:
    line = Line()
    line.append(1, 400)
    line.wait(30)
    assert line.told == []


def test_a_pause_keeps_the_place() -> None:
    line = Line()
    line.player.play(c.PlayAudio(1))
    line.append(1, 1000)
    line.wait(20)
    line.pause()
    heard_ms = line.player.heard_ms(1)
    line.wait(50)
    assert line.player.heard_ms(1) == heard_ms
    line.resume()
    line.close(1)
    line.wait(50)
    assert line.told[-1] == ("Ended", 1, 1000)


def test_running_dry_is_told_with_the_exact_position() -> None:
    line = Line()
    line.player.play(c.PlayAudio(1))
    line.append(1, 140)
    line.wait(20)
    assert line.told[-1] == ("Progressed", 1, 140)


ORDERS = st.lists(st.sampled_from(["wait", "append", "pause", "resume"]), max_size=12)


@settings(deadline=None)
@given(ORDERS, st.sampled_from(["close", "flush"]))
def test_it_tells_what_the_real_one_tells(orders: list[str], end: str) -> None:
    line = Line()
    line.player.play(c.PlayAudio(1))
    for order in orders:
        if order == "wait":
            line.wait(7)
        elif order == "append":
            line.append(1, 300)
        elif order == "pause":
            line.pause()
        else:
            line.resume()
    if end == "flush":
        line.flush(1)
    else:
        line.resume()
        line.close(1)
    line.wait(400)
    ends = ("Ended", "Flushed")
    told, real_told = ([x for x in t if x[0] in ends] for t in (line.told, line.real_told))
    assert [x[:2] for x in told if x[2]] == [x[:2] for x in real_told if x[2]]
    # A frame is played whole, so that the real one is up to a frame ahead at each pause.
    for one, other in zip(told, real_told, strict=False):
        assert abs(one[2] - other[2]) <= 20 * (1 + orders.count("pause"))
