"""Times of what was spoken -> times of what was written."""

from __future__ import annotations

from collections.abc import Sequence

from antiphon.spoken.text import Spoken
from antiphon.types import Word


def written_times(written: Sequence[Spoken], told: Sequence[Word]) -> tuple[Word, ...]:
    """Times of the written words, from those that a voice told of what it spoke.

    A voice should tell one word for each piece of its text between white space. One that tells
    more, fewer or none of the marks is followed by the letters of its words. What has no words of
    its own has no length, at the end of the word before it.
    """
    if not told:
        return ()
    pieces = [len(word.spoken.split()) for word in written]
    if sum(pieces) == len(told):
        return _grouped(written, told, pieces)
    voiced = [sum(map(_has_letters, word.spoken.split())) for word in written]
    if sum(voiced) == len(told):
        return _grouped(written, told, voiced)
    return _by_letters(written, told)


def _has_letters(text: str) -> bool:
    return any(char.isalnum() for char in text)


def _grouped(
    written: Sequence[Spoken], told: Sequence[Word], counts: Sequence[int]
) -> tuple[Word, ...]:
    words, at, end_ms = [], 0, told[0].start_ms
    for word, count in zip(written, counts, strict=True):
        start_ms = end_ms
        if count:
            group = told[at : at + count]
            at += count
            start_ms = max(end_ms, group[0].start_ms)
            end_ms = max(start_ms, group[-1].end_ms)
        words.append(Word(word.written, start_ms, end_ms))
    return tuple(words)


def _by_letters(written: Sequence[Spoken], told: Sequence[Word]) -> tuple[Word, ...]:
    """Letter by letter, evenly within each told word."""
    lengths = [max(1, sum(map(str.isalnum, word.text))) for word in told]
    expected = [sum(map(str.isalnum, word.spoken)) for word in written]
    scale = sum(lengths) / max(1, sum(expected))
    words, position = [], 0.0
    for word, length in zip(written, expected, strict=True):
        start_ms = _time_at(position, lengths, told, at_end=not length)
        position += length * scale
        end_ms = max(start_ms, _time_at(position, lengths, told, at_end=True))
        words.append(Word(word.written, start_ms, end_ms))
    return tuple(words)


def _time_at(letter: float, lengths: Sequence[int], told: Sequence[Word], *, at_end: bool) -> int:
    """The time of a letter. Between two words it is the end of the first or the start of the
    second."""
    before = 0.0
    for word, length in zip(told, lengths, strict=True):
        if letter < before + length - 1e-6 or (at_end and letter < before + length + 1e-6):
            share = max(0.0, letter - before) / length
            return round(word.start_ms + share * (word.end_ms - word.start_ms))
        before += length
    return told[-1].end_ms
