"""Speech recognition of a simulated world: partials while the caller speaks, finals on demand."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from antiphon.engine.commands import BeginUtterance, EndUtterance, FinalizeUtterance
from antiphon.engine.events import TranscriptCompleted, TranscriptionFailed, TranscriptUpdated
from antiphon.sim.caller import between

if TYPE_CHECKING:
    from antiphon.sim.world import World

_SOURCE = 1


class Stt:
    """One call's recogniser. Half of the worlds have one that knows how complete a phrase is."""

    __slots__ = ("_failed", "_graded", "_lag_ms", "_rng", "_stalled", "_world", "open")

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng
        self._lag_ms = between(rng, 120, 400)
        self._graded = rng.random() < 0.5
        self._stalled = self._failed = False
        self.open: dict[int, int] = {}  # utterances and where they begin

    # ---- what the engine asks for -----------------------------------------------------------

    def begin(self, command: BeginUtterance) -> None:
        self.open[command.utterance_id] = command.speech_at_ms

    def finalize(self, command: FinalizeUtterance) -> None:
        world, rng = self._world, self._rng
        if self._failed or self._stalled:
            return
        if rng.random() < world.faults.errors * 0.1:
            self._failed = True
            world.after(between(rng, 10, 500), self._fail, "")
            return
        if rng.random() < world.faults.stalls * 0.5:
            self._stalled = rng.random() < 0.3  # for good, or only this once
            return
        utterance_id = command.utterance_id
        words, clear = self._words(utterance_id, world.now_ms)
        confidence = between(rng, 70, 99) / 100 if clear else between(rng, 0, 60) / 100
        final = TranscriptCompleted(
            0, utterance_id, command.revision, words, confidence, self._complete(words)
        )
        delay_ms = between(rng, 60, 300)
        if rng.random() < world.faults.slow:
            delay_ms *= between(rng, 2, 12)
        world.after(delay_ms, self._answer, final)
        if rng.random() < world.faults.duplicates:
            world.after(delay_ms + between(rng, 0, 400), self._answer, final)

    def end(self, command: EndUtterance) -> None:
        self.open.pop(command.utterance_id, None)

    # ---- what it hears ----------------------------------------------------------------------

    def caller_speaks(self, start_ms: int, end_ms: int) -> None:
        """Partials come about every half second while the caller speaks."""
        step_ms = between(self._rng, 250, 500)
        for at_ms in range(step_ms, end_ms - start_ms + self._lag_ms, step_ms):
            self._world.after(at_ms, self._partial, 0)

    def _partial(self, _: int) -> None:
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
        heard: list[str] = []
        mumbled = False
        for word in reversed(self._world.caller.spoken):
            if word.end_ms <= begin_ms:
                break
            if word.end_ms <= until_ms and word.start_ms + word.end_ms >= 2 * begin_ms:
                if word.clear:
                    heard.append(word.text)
                else:
                    mumbled = True
        if heard:
            return " ".join(reversed(heard)), True
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
