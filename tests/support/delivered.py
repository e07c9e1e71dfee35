"""How much of what somebody said came out at the other end of a bad network.

Speech is every 20 ms of the original within 30 dB of its loudest. Such a frame has been delivered
if its spectrum is found where the sound around it was found: eighteen bands up to 4 kHz that
are on average less than `MOST_DB` off. Measured with libopus at 32 kbit/s: of frames whose packet
came, 99 in 100 are less than 3.3 dB off; of those taken from the redundancy in the next packet 93
in 100 less than 4.5 dB; of what the decoder makes up in place of a lost packet 85 in 100 are
further away, and silence is by 10 dB and more. Waveforms would say less: a codec keeps them in
vowels only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RATE_HZ = 16_000
FRAME = RATE_HZ // 50
MOST_DB = 4.5
BELOW_LOUDEST_DB = 30.0
_AROUND = 15
"""Frames by which the place is found."""
_NEAR, _SEARCH, _FAR = 8, RATE_HZ * 3 // 10, RATE_HZ * 4
"""How much the delay may change from one place to the next, in samples: where the sound is found
nearby, nobody looks further away."""
_WINDOW = 400
_FFT = 512
_BANDS = 18
_TOP_HZ = 4000.0

Sound = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Delivered:
    """Frames of speech: how many were said, and how many arrived."""

    said: int
    arrived: int
    missing_at_s: tuple[float, ...] = ()

    @property
    def share(self) -> float:
        return self.arrived / max(1, self.said)


def delivered(said: npt.NDArray[np.int16], received: npt.NDArray[np.int16]) -> Delivered:
    """Compare two recordings at 16 kHz. The second may begin earlier or later by any time, be
    louder or softer, and leave out or repeat what it likes."""
    one, other = said.astype(float), np.pad(received.astype(float), (RATE_HZ, RATE_HZ))
    whole = len(one) // FRAME * FRAME
    levels = np.sqrt((one[:whole].reshape(-1, FRAME) ** 2).mean(axis=1))
    speech = np.flatnonzero(levels > levels.max() * 10 ** (-BELOW_LOUDEST_DB / 20)).tolist()
    lag = _place(one, other)
    differences = []
    for at in speech:
        begin = max(0, at - _AROUND // 2) * FRAME
        lag = _follow(one[begin : begin + _AROUND * FRAME], other, begin + lag) - begin
        differences.append(_bands(other, at * FRAME + lag) - _bands(one, at * FRAME))
    off = np.array(differences)
    distances = np.abs(off - np.median(off)).mean(axis=1)
    missing = tuple(
        round(at * 0.02, 2) for at, far in zip(speech, distances, strict=True) if far > MOST_DB
    )
    return Delivered(len(speech), len(speech) - len(missing), missing)


def _place(one: Sound, other: Sound) -> int:
    """The delay at which two recordings are most alike as a whole."""
    size = 1 << (len(one) + len(other)).bit_length()
    product = np.fft.rfft(other, size) * np.conj(np.fft.rfft(one, size))
    return int(np.argmax(np.fft.irfft(product, size)[: len(other)]))


def _correlations(piece: Sound, window: Sound) -> Sound:
    """Of a piece with every place of a window."""
    if len(window) < len(piece):
        return np.zeros(1)
    size = 1 << (len(piece) + len(window)).bit_length()
    product = np.fft.irfft(np.fft.rfft(window, size) * np.conj(np.fft.rfft(piece, size)), size)
    products = product[: len(window) - len(piece) + 1]
    sums = np.concatenate(([0.0], np.cumsum(window**2)))
    energies = sums[len(piece) :] - sums[: -len(piece)]
    return np.asarray(products / (np.sqrt(np.maximum(energies, 1.0) * (piece**2).sum()) + 1e-9))


def _follow(around: Sound, other: Sound, expected: int) -> int:
    """Where it is: near to where it should be, somewhere else, or not there at all."""
    for reach, sure in ((_NEAR, 0.8), (_SEARCH, 0.5), (_FAR, 0.6)):
        begin = max(0, expected - reach)
        found = _correlations(around, other[begin : expected + reach + len(around)])
        best = int(np.argmax(found))
        if found[best] >= sure:
            return begin + best
    return expected


def _bands(sound: Sound, at: int) -> Sound:
    """Levels in dB of the bands of the frame that begins there."""
    begin = at + FRAME // 2 - _WINDOW // 2
    piece = sound[max(0, begin) : begin + _WINDOW]
    piece = np.pad(piece, (0, _WINDOW - len(piece)))
    power = np.abs(np.fft.rfft(piece * _SHAPE, _FFT)) ** 2
    sums = np.concatenate(([0.0], np.cumsum(power)))
    means = (sums[_EDGES[1:]] - sums[_EDGES[:-1]]) / (_EDGES[1:] - _EDGES[:-1])
    # Below this there is nothing that could be heard, whatever the numbers say.
    return np.asarray(10 * np.log10(means + 1e3))


def _edges() -> npt.NDArray[np.int64]:
    """Bins of the spectrum at which bands begin, equally far apart for the ear (mel)."""
    top = 2595 * np.log10(1 + _TOP_HZ / 700)
    hz = 700 * (10 ** (np.linspace(0, top, _BANDS + 1) / 2595) - 1)
    return np.unique(np.round(hz * _FFT / RATE_HZ).astype(np.int64))


_SHAPE = np.hanning(_WINDOW)
_EDGES = _edges()
