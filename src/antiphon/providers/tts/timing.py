"""Times of a vendor's words, given to the words as they are written."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.types import Word

Told = tuple[str, float, float]
"""A word as the vendor spells it, and when it starts and ends, in milliseconds."""


def onto_written(text: str, told: Sequence[Told], length_ms: int) -> tuple[Word, ...]:
    """One `Word` for each piece of `text` between white space, in order.

    A vendor joins, splits and respells words ("3" -> "three"): letters are laid side by side, and a
    written word has the times of those beside its own.

    Args:
        told: in order; times from the start of the text's audio.
        length_ms: of that audio; no time is beyond it.
    """
    written = text.split()
    if not told or not written:
        return ()
    if len(told) == len(written):
        spans = [(start, end) for _, start, end in told]
    else:
        spans = _spans([_letters(word) for word in written], told)
    words, latest = [], 0
    for word, (start, end) in zip(written, spans, strict=True):
        start_ms = min(length_ms, max(latest, round(start)))
        latest = min(length_ms, max(start_ms, round(end)))
        words.append(Word(word, start_ms, latest))
    return tuple(words)


def _letters(word: str) -> int:
    return sum(letter.isalnum() for letter in word)


def _spans(counts: list[int], told: Sequence[Told]) -> list[tuple[float, float]]:
    # Where in time each of the vendor's letters lies.
    marks: list[tuple[float, float]] = []
    for word, start, end in told:
        count = max(1, _letters(word))
        step = (end - start) / count
        marks += [(start + n * step, start + (n + 1) * step) for n in range(count)]
    scale = len(marks) / max(1, sum(counts))
    spans, before = [], 0
    for count in counts:
        first = min(len(marks) - 1, int(before * scale))
        before += count
        last = min(len(marks) - 1, max(first, round(before * scale) - 1))
        # A word of marks alone takes no time.
        end = marks[last][1] if count else marks[first][0]
        spans.append((marks[first][0], end))
    return spans
