"""Times of words for a voice that does not tell them, from the sound of what it said.

Speech pauses where the text has marks, and a word takes as long as it is long. So the pauses that
are heard are matched with the boundaries between words, marks preferred, such that what lies
between two pauses fits the words that are thought to be in it; inside it the words share the time.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from antiphon.audio.levels import FULL_SCALE
from antiphon.types import Word

_BLOCK_MS = 10
_FLOOR_DBFS = -55.0
_BELOW_SPEECH_DB = 38.0
"""Quieter than loud speech by so much is silence."""
_PAUSE_MS = 70
"""Shorter silence is a stop inside a word."""
_MOST_PAUSES, _MOST_SKIPPED = 16, 4

_VOWELS = re.compile(r"[aeiouyäöüáéíóúàèêâîôûœæ]+")
_WORD_LENGTH = 30.0
_SPREAD = 0.4
"""A run of words is as long as expected, give or take this share of it, less for more words."""
# What it costs to believe that a pause is between words without a mark, or in the middle of one,
# and that a comma, or the end of a sentence, was spoken without a pause.
_NO_MARK, _NO_BOUNDARY, _COMMA_UNHEARD, _STOP_UNHEARD = 2.0, 3.0, 0.7, 2.0


@dataclass(frozen=True, slots=True)
class _Pause:
    """Silence from block `start` to `end` (excluded)."""

    start: int
    end: int


class Aligner:
    """Aligns one segment. Keeps a level for each 10 ms of its audio, not the audio."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._block_bytes = sample_rate_hz * _BLOCK_MS // 1000 * 2
        self._pending = bytearray()
        self._energies: list[np.ndarray] = []
        self._bytes = 0

    def push(self, pcm: bytes) -> None:
        """Take mono s16 PCM of the segment."""
        self._bytes += len(pcm)
        self._pending += pcm
        whole = len(self._pending) // self._block_bytes * self._block_bytes
        if whole:
            samples = np.frombuffer(bytes(self._pending[:whole]), "<i2").astype(np.float32)
            del self._pending[:whole]
            self._energies.append(
                np.square(samples).reshape(-1, self._block_bytes // 2).mean(axis=1)
            )

    def words(self, written: Sequence[str], spoken: Sequence[str]) -> tuple[Word, ...]:
        """Times of the words of the whole segment, one for each of `written`, from the first sound
        to the last, with gaps where pauses are heard. `spoken` is what is said for each; one for
        which nothing is said has no length. Takes about a millisecond."""
        length_ms = self._bytes * 500 // self._rate_hz
        lengths = np.array([_length(text) for text in spoken])
        voiced = np.flatnonzero(lengths > 0)
        if not len(voiced):
            return tuple(Word(text, 0, 0) for text in written)
        numbers = voiced.tolist()
        found = self._spans([spoken[n] for n in numbers], lengths[voiced])
        spans = dict(zip(numbers, found, strict=True))
        words, end_ms = [], 0
        for number, text in enumerate(written):
            start_ms, end_ms = spans.get(number, (end_ms, end_ms))
            words.append(Word(text, min(start_ms, length_ms), min(end_ms, length_ms)))
        return tuple(words)

    def _spans(self, spoken: Sequence[str], lengths: np.ndarray) -> list[tuple[int, int]]:
        """Where each voiced word begins and ends, in ms."""
        first, last, pauses = self._silences()
        joints = [(first, first, 0)]
        joints += _match(spoken, lengths, first, last, pauses)
        joints.append((last, last, len(spoken)))
        spans: list[tuple[int, int]] = []
        for (_, begin, a), (end, _, b) in itertools.pairwise(joints):
            shares = np.concatenate(([0.0], np.cumsum(lengths[a:b]))) / lengths[a:b].sum()
            edges = np.rint((begin + shares * (end - begin)) * _BLOCK_MS).astype(int).tolist()
            spans += itertools.pairwise(edges)
        return spans

    def _silences(self) -> tuple[int, int, list[_Pause]]:
        """First and last block of sound, and the pauses between them."""
        if not self._energies:
            return 0, 0, []
        levels = 10.0 * np.log10(np.concatenate(self._energies) / FULL_SCALE**2 + 1e-12)
        loud = float(np.percentile(levels, 95))
        sound = levels > max(_FLOOR_DBFS, loud - _BELOW_SPEECH_DB)
        at = np.flatnonzero(sound)
        if not len(at):
            return 0, len(levels), []
        gaps = np.flatnonzero(np.diff(at) > _PAUSE_MS // _BLOCK_MS)
        pauses = [_Pause(int(at[n]) + 1, int(at[n + 1])) for n in gaps]
        longest = sorted(pauses, key=lambda p: p.start - p.end)[:_MOST_PAUSES]
        return int(at[0]), int(at[-1]) + 1, sorted(longest, key=lambda p: p.start)


def _length(spoken: str) -> float:
    """How long a word takes to say, in units of a tenth of a letter, more or less."""
    letters = sum(map(str.isalpha, spoken))
    if not letters:
        # Digits and signs that were left to the voice to read.
        return 30.0 * sum(map(str.isdecimal, spoken)) + 5.0 * bool(spoken)
    vowels = len(_VOWELS.findall(spoken.lower()))
    final = 10.0 if spoken.rstrip("\"')]»”’")[-1:] in ".,;:!?…" else 0.0
    return 6.6 * letters + 6.0 * vowels + final + 30.0 * sum(map(str.isdecimal, spoken))


def _match(
    spoken: Sequence[str], lengths: np.ndarray, first: int, last: int, pauses: Sequence[_Pause]
) -> list[tuple[int, int, int]]:
    """Which pauses lie between words: (start, end, number of words before it), in their order.

    Dynamic programming over the pauses: the best way to have pause `p` after `b` words follows from
    the best ways to have an earlier pause after fewer.
    """
    count = len(spoken)
    if count < 2 or not pauses:
        return []
    before = np.concatenate(([0.0], np.cumsum(lengths)))
    silent = sum(p.end - p.start for p in pauses)
    # Blocks of sound for each unit of length; silence inside a run counts as sound of it.
    scale = max(1.0, last - first - silent) / before[-1]
    missed, marked = _marks(spoken)
    stops = [(first, first), *((p.start, p.end) for p in pauses), (last, last)]
    skipped = np.concatenate(([0.0], np.cumsum([_skip(p) for p in pauses])))
    expected = (before[None, :] - before[:, None]) * scale
    unheard = missed[None, :] - missed[:, None]
    lower = np.tril(np.full((count + 1, count + 1), np.inf))
    spread = _SPREAD**2 * np.maximum(expected, 1.0) * _WORD_LENGTH * 2.0
    best = [np.full(count + 1, np.inf) for _ in stops]
    best[0][0] = 0.0
    back: list[list[tuple[int, int]]] = [[] for _ in stops]
    for p in range(1, len(stops)):
        found = np.full(count + 1, np.inf)
        source = np.zeros((2, count + 1), dtype=int)
        for q in range(max(0, p - _MOST_SKIPPED - 1), p):
            # Marks strictly between the two boundaries were spoken without a pause.
            actual = stops[p][0] - stops[q][1]
            way = best[q][:, None] + (actual - expected) ** 2 / spread + unheard + lower
            way += skipped[p - 1] - skipped[q]
            cost, origin = way.min(axis=0), way.argmin(axis=0)
            better = cost < found
            found[better] = cost[better]
            source[0][better], source[1][better] = q, origin[better]
        best[p] = found + (marked if p < len(stops) - 1 else 0.0)
        back[p] = list(zip(source[0].tolist(), source[1].tolist(), strict=True))
    return _walk_back(stops, back, count)


def _marks(spoken: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """For each boundary: the cost of all marks before it if no pause is heard at them, but for the
    one at the boundary itself; and the cost of a pause there."""
    missed, marked = [0.0], [np.inf]
    total = 0.0
    for text in spoken:
        mark = text.rstrip("\"')]»”’")[-1:]
        missed.append(total)
        if mark in (".", "!", "?", "…"):
            total += _STOP_UNHEARD
            marked.append(-_STOP_UNHEARD)
        elif mark in (",", ";", ":", "-", "–", "—"):
            total += _COMMA_UNHEARD
            marked.append(-_COMMA_UNHEARD)
        else:
            marked.append(_NO_MARK)
    return np.array(missed), np.array([*marked[:-1], np.inf])


def _skip(pause: _Pause) -> float:
    """The cost of a pause in the middle of a word: the longer, the less likely."""
    return _NO_BOUNDARY * (pause.end - pause.start) * _BLOCK_MS / 150.0


def _walk_back(
    stops: Sequence[tuple[int, int]], back: Sequence[Sequence[tuple[int, int]]], count: int
) -> list[tuple[int, int, int]]:
    joints = []
    p, boundary = back[-1][count]
    while p:
        joints.append((*stops[p], boundary))
        p, boundary = back[p][boundary]
    return joints[::-1]
