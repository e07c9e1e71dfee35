"""What goes wrong on a telephone line, drawn from a seed. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from antiphon.bench.impair import late_or_lost

RACE_MS = 120.0
"""How long marks are under way where they are to cross a `clear`."""


@dataclass(frozen=True, slots=True)
class Impairments:
    """How bad a line is.

    Frames of the caller come up to `jitter_ms` late, in order, and a share `loss` not at all, as
    they are lost before a company puts them on its stream. Marks come back up to `late_marks_ms`
    after their sound, a share `lose_marks` never. With `clear_race` marks are under way for so long
    that those of the last moment before a `clear` arrive after it, among the next answer's.
    """

    jitter_ms: float = 0.0
    loss: float = 0.0
    late_marks_ms: float = 0.0
    lose_marks: float = 0.0
    clear_race: bool = False

    @classmethod
    def drawn(cls, seed: int) -> Impairments:
        """Some of everything, by the seed."""
        rng = random.Random(f"line/{seed}")
        return cls(
            jitter_ms=round(rng.uniform(0, 80), 1),
            loss=round(rng.uniform(0, 0.05), 4),
            late_marks_ms=round(rng.uniform(0, 300), 1),
            lose_marks=round(rng.uniform(0, 0.02), 4),
            clear_race=rng.random() < 0.5,
        )


class Weather:
    """The draws of one call."""

    def __init__(self, impairments: Impairments, seed: int = 0, call: int = 0) -> None:
        self._is = impairments
        self._frames = random.Random(f"{seed}/{call}/frames")
        self._marks = random.Random(f"{seed}/{call}/marks")

    def frame_delay_ms(self) -> float | None:
        """How much later a frame goes out; None for one that is lost."""
        return late_or_lost(self._frames, self._is.loss, self._is.jitter_ms)

    def mark_delay_ms(self) -> float | None:
        """How much later a mark comes back; None for one that never does."""
        late_ms = late_or_lost(self._marks, self._is.lose_marks, self._is.late_marks_ms)
        if late_ms is None:
            return None
        return late_ms + (RACE_MS if self._is.clear_race else 0.0)
