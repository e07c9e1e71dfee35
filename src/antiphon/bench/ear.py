"""What the caller hears of the agent: when it falls silent, when it goes on, and from where."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.types import FRAME_MS, INPUT_RATE_HZ

_FRAME_S = FRAME_MS / 1000
_FADE_S = 0.06
_PROBE_S = 0.2
_SEARCH_S = 4.0
_LOUD = 200.0  # RMS of what can be found again
_ALIKE = 0.8


@dataclass(frozen=True, slots=True)
class Silence:
    """The agent fell silent at `at_s` for the caller, and sounded again at `again_s`, if it did;
    `repeated_ms` of what had been heard were heard once more."""

    at_s: float
    again_s: float | None
    repeated_ms: int | None


class Ear:
    """Keeps what was heard.

    Args:
        voice: the recording that the agent speaks, s16 PCM at 16 kHz.
        from_s: where in the stream, and in the recording, it begins to sound.
    """

    def __init__(self, voice: bytes, from_s: float) -> None:
        self._voice, self._from_s = voice, from_s
        self._frames: list[tuple[float, bytes | None]] = []
        self._stops: list[tuple[float, int]] = []

    def hear(self, at_s: float, frame: bytes | None) -> None:
        """20 ms that begin to sound at a moment of the stream; None is silence."""
        self._frames.append((at_s, frame))

    def told_to_stop(self, at_s: float) -> None:
        """The agent is to be silent from now on. Of no account when it is."""
        if self._frames and self._frames[-1][1] is not None:
            self._stops.append((at_s, len(self._frames)))

    def silences(self) -> list[Silence]:
        """Every time that the agent fell silent for the caller."""
        found = []
        for number, (at_s, frame) in enumerate(self._stops):
            until = self._stops[number + 1][1] if number + 1 < len(self._stops) else None
            found.append(self._silence(at_s, frame, until))
        return found

    def _silence(self, at_s: float, first: int, until: int | None) -> Silence:
        # The frame that is read after the command is the fade-out.
        quiet = next((n for n in range(first, len(self._frames)) if self._frames[n][1] is None), -1)
        if quiet < 0:
            return Silence(at_s, None, None)
        again = next(
            (n for n in range(quiet, until or len(self._frames)) if self._frames[n][1] is not None),
            None,
        )
        if again is None:
            return Silence(at_s, None, None)
        return Silence(at_s, self._frames[again][0], self._repeated_ms(quiet, again))

    # ---- where in the recording ----------------------------------------------------------------

    def _repeated_ms(self, quiet: int, again: int) -> int | None:
        """How much of what sounded before frame `quiet` sounds once more from frame `again` on."""
        end = self._place(range(quiet - 3, -1, -1), quiet)
        begin = self._place(range(again + round(_FADE_S / _FRAME_S), len(self._frames)), again)
        return None if end is None or begin is None else round((end - begin) * 1000)

    def _place(self, candidates: range, frame: int) -> float | None:
        """The place in the recording, in seconds, that frame `frame` begins with, by the first
        candidate whose sound can be found in the recording."""
        import numpy as np

        voice = np.frombuffer(self._voice, dtype="<i2").astype(np.float64)
        length = round(_PROBE_S / _FRAME_S)
        for number in candidates:
            begin = number - length if candidates.step < 0 else number
            pieces = [f for _, f in self._frames[max(0, begin) : begin + length]]
            if begin < 0 or len(pieces) < length or None in pieces:
                continue
            probe = np.frombuffer(b"".join(p for p in pieces if p), "<i2").astype(np.float64)
            if np.sqrt(np.mean(probe**2)) < _LOUD:
                continue
            around = round((self._frames[begin][0]) * INPUT_RATE_HZ)
            reach = round(_SEARCH_S * INPUT_RATE_HZ)
            low = max(0, around - reach)
            region = voice[low : around + reach + len(probe)]
            if len(region) < len(probe):
                continue
            dots = np.correlate(region, probe, mode="valid")
            sums = np.concatenate(([0.0], np.cumsum(region**2)))
            norms = np.sqrt((sums[len(probe) :] - sums[: -len(probe)]) * np.sum(probe**2))
            alike = dots / np.maximum(norms, 1.0)
            best = int(np.argmax(alike))
            if alike[best] < _ALIKE:
                continue
            return (low + best) / INPUT_RATE_HZ + (frame - begin) * _FRAME_S
        return None
