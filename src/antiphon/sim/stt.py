"""Speech recognition of a simulated world: partials while the caller speaks, finals on demand,
and with some services a signal of their own when the turn is over."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from antiphon.engine.commands import BeginUtterance, EndUtterance, FinalizeUtterance
from antiphon.engine.events import (
    TranscriptCompleted,
    TranscriptionFailed,
    TranscriptUpdated,
    TurnSignalled,
)
from antiphon.sim.latency import STT_FINAL
from antiphon.sim.plan import between

if TYPE_CHECKING:
    from antiphon.sim.world import World

_SOURCE = 1
_NEXT_ASKED_MS = 800
"""A recogniser that does not answer for so long is replaced, where there is another one."""


class Stt:
    """One call's recogniser. Half of the worlds have one that knows how complete a phrase is, a
    third have one that signals ends of turns."""

    __slots__ = (
        "_failed",
        "_graded",
        "_lag_ms",
        "_latency",
        "_pauses",
        "_rng",
        "_signalled",
        "_signals",
        "_stalled",
        "_world",
        "error_chance",
        "open",
        "stall_chance",
    )

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng
        self.error_chance, self.stall_chance = world.faults.errors * 0.1, world.faults.stalls * 0.5
        self._lag_ms = between(rng, 120, 400)
        self._latency = STT_FINAL[between(rng, 0, len(STT_FINAL) - 1)]
        self._graded = rng.random() < 0.5
        self._signals = rng.random() < 0.3 or world.setup.policy.endpointing.mode == "stt"
        self._signalled = ""
        self._pauses = 0
        self._stalled = self._failed = False
        self.open: dict[int, int] = {}  # utterances and where they begin

    def reset(self) -> None:
        """The process died; another one connects anew."""
        self.open.clear()
        self._stalled = self._failed = False
        self._signalled = ""
        self._pauses += 1

    # ---- what the engine asks for -----------------------------------------------------------

    def begin(self, command: BeginUtterance) -> None:
        self.open[command.utterance_id] = command.speech_at_ms

    def finalize(self, command: FinalizeUtterance) -> None:
        world, rng = self._world, self._rng
        if self._failed or self._stalled:
            return
        another_ms = 0
        if rng.random() < self.error_chance:
            if not self._has_another():
                self._failed = True
                world.after(between(rng, 10, 500), self._fail, "")
                return
            another_ms = between(rng, 100, 400)
        elif rng.random() < self.stall_chance:
            if not self._has_another():
                self._stalled = rng.random() < 0.3  # for good, or only this once
                return
            another_ms = _NEXT_ASKED_MS + between(rng, 100, 400)
        utterance_id = command.utterance_id
        words, clear = self._words(utterance_id, world.now_ms)
        confidence = between(rng, 70, 99) / 100 if clear else between(rng, 0, 60) / 100
        final = TranscriptCompleted(
            0, utterance_id, command.revision, words, confidence, self._complete(words)
        )
        # Published figures begin at the end of speech, which is known of a little later.
        delay_ms = another_ms + max(20, self._latency.draw(rng) - between(rng, 100, 220))
        if rng.random() < world.faults.slow:
            delay_ms *= between(rng, 2, 12)
        world.after(delay_ms, self._answer, final)
        if rng.random() < world.faults.duplicates:
            world.after(delay_ms + between(rng, 0, 400), self._answer, final)

    def _has_another(self) -> bool:
        """Whether the next recogniser gets the utterance, and does better."""
        return self._world.setup.stts > 1 and self._rng.random() < 0.9

    def end(self, command: EndUtterance) -> None:
        self.open.pop(command.utterance_id, None)

    # ---- what it hears ----------------------------------------------------------------------

    def caller_speaks(self, start_ms: int, end_ms: int) -> None:
        """Partials come about every half second while the caller speaks."""
        self._pauses += 1
        if self._signalled == "eager":
            self._signal(("resumed", self._pauses))
        self._signalled = ""
        step_ms = between(self._rng, 250, 500)
        for at_ms in range(step_ms, end_ms - start_ms + self._lag_ms, step_ms):
            self._world.after(at_ms, self._partial, None)

    def caller_pauses(self) -> None:
        """Silence, perhaps the end: some services say so, and some are wrong."""
        if self._signals:
            eager_ms = between(self._rng, 200, 450)
            self._pauses += 1
            self._world.after(eager_ms, self._signal, ("eager", self._pauses))
            final_ms = eager_ms + between(self._rng, 150, 500)
            self._world.after(final_ms, self._signal, ("final", self._pauses))

    def agent_comes_back(self) -> None:
        """The agent's own voice has been on the line for a while: a partial of that."""
        self._partial(None)

    def _signal(self, item: tuple[str, int]) -> None:
        signal, pause = item
        world = self._world
        silent = pause != self._pauses or not self.open or self._failed or self._stalled
        if silent or not world.caller.spoken:
            return
        self._signalled = signal
        event = TurnSignalled(world.now_ms, next(reversed(self.open)), signal)
        world.send(event, _SOURCE)
        if self._rng.random() < world.faults.duplicates:
            world.send(event, _SOURCE)

    def _partial(self, _: Any) -> None:
        world = self._world
        if not self.open or self._failed or self._stalled:
            return
        utterance_id = next(reversed(self.open))
        words, clear = self._words(utterance_id, world.now_ms - self._lag_ms)
        if not words or not clear:
            return
        at_ms, complete = world.now_ms, self._complete(words)
        world.send(TranscriptUpdated(at_ms, utterance_id, words, complete), _SOURCE)

    def _words(self, utterance_id: int, until_ms: int) -> tuple[str, bool]:
        """What is understood of an utterance up to a moment, and whether it was clear. Unclear
        speech gives nothing, or something that the recogniser itself does not believe."""
        begin_ms = self.open.get(utterance_id)
        if begin_ms is None:
            return "", True
        heard: list[tuple[int, str]] = []
        mumbled = False
        for word in reversed(self._world.caller.spoken):
            if word.end_ms <= begin_ms:
                break
            if word.end_ms <= until_ms and word.start_ms + word.end_ms >= 2 * begin_ms:
                if word.clear:
                    heard.append((word.start_ms, word.text))
                else:
                    mumbled = True
        heard.reverse()
        if self._world.vad.line:
            heard.extend(self._world.player.came_back(begin_ms, until_ms))
            heard.sort()
        if heard:
            return " ".join([text for _, text in heard]), True
        if mumbled and self._rng.random() < 0.3:
            return "something", False
        return "", not mumbled

    def _complete(self, words: str) -> float | None:
        if not self._graded or not words:
            return None
        done = self._world.caller.act_done
        right = self._rng.random() < 0.85
        return (
            between(self._rng, 60, 99) / 100 if done is right else between(self._rng, 0, 50) / 100
        )

    def _answer(self, final: TranscriptCompleted) -> None:
        world = self._world
        if final.utterance_id not in self.open and self._rng.random() >= world.faults.late:
            return
        world.send(
            TranscriptCompleted(
                world.now_ms,
                final.utterance_id,
                final.revision,
                final.text,
                final.confidence,
                final.complete,
            ),
            _SOURCE,
        )

    def _fail(self, _: str) -> None:
        self._world.send(TranscriptionFailed(self._world.now_ms, "connection lost"), _SOURCE)
