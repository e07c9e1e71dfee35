"""Opus by libopus, which comes with PyAV: mono speech, decoded to 16 kHz, encoded with or without
the redundancy that lets a lost packet be had from the next (RFC 6716 section 2.1.7).

Called directly and not through PyAV, which decodes to 48 kHz only and cannot be asked for a packet
that was lost. A call is 20 to 150 us, so it stays on the event loop.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

from antiphon.errors import UserFacingError
from antiphon.types import FRAME_MS

RATE_HZ = 16_000
FRAME_SAMPLES = RATE_HZ * FRAME_MS // 1000
MOST_BYTES = 1275
"""Of one frame (RFC 6716 section 3.2.1)."""
LONGEST_SAMPLES = RATE_HZ * 120 // 1000
"""Of one packet (RFC 6716 section 3.2.5)."""

_FIRST_HYBRID, _FIRST_CELT = 12, 16
_AUDIO = 2049
_SET_BITRATE, _SET_COMPLEXITY, _SET_FEC, _SET_LOSS, _SET_SIGNAL = 4002, 4010, 4012, 4014, 4024
_VOICE, _MUSIC = 3001, 3002
LEAST_CELT = 32_000
"""Bits per second; with fewer CELT smears speech, and SILK does not."""


@dataclass(frozen=True, slots=True)
class OpusMode:
    """How an encoder codes. `loss_percent` is what it expects, and 0 means without redundancy."""

    bitrate: int
    loss_percent: int = 0
    complexity: int = 5


CLEAR = OpusMode(64_000, complexity=3)
"""CELT, a quarter of the CPU, for networks that lose little. At this rate what a higher complexity
adds is not heard; one of 0 would smear what begins suddenly."""
ROBUST = OpusMode(32_000, 10)
"""SILK, with a coarse copy of each frame in the packet after it."""


def opus_available() -> bool:
    """Whether libopus is there; without it only G.711 can be offered."""
    return _library() is not None


class OpusEncoder:
    """20 ms of mono s16 PCM to one packet.

    Args:
        rate_hz: of the PCM: 8000, 12000, 16000, 24000 or 48000.
        mode: may be changed by `tune` at any frame.

    Raises:
        UserFacingError: there is no libopus.
    """

    def __init__(self, rate_hz: int = RATE_HZ, mode: OpusMode = ROBUST) -> None:
        self._opus = _need_library()
        self._samples = rate_hz * FRAME_MS // 1000
        self._state = ctypes.create_string_buffer(self._opus.opus_encoder_get_size(1))
        self._out = ctypes.create_string_buffer(MOST_BYTES)
        self._view = memoryview(self._out).cast("B")
        _check(self._opus.opus_encoder_init(self._state, rate_hz, 1, _AUDIO))
        self.tune(mode)

    def tune(self, mode: OpusMode) -> None:
        """From the next frame on. One encoder for both, because it passes from SILK to CELT without
        a click (RFC 6716 section 4.5); which of the two it takes is its choice, and it follows the
        kind of signal."""
        lossy = mode.loss_percent > 0
        self._set(_SET_BITRATE, mode.bitrate)
        self._set(_SET_COMPLEXITY, mode.complexity)
        self._set(_SET_FEC, int(lossy))
        self._set(_SET_LOSS, mode.loss_percent)
        speech = lossy or mode.bitrate < LEAST_CELT
        self._set(_SET_SIGNAL, _VOICE if speech else _MUSIC)

    def encode(self, pcm: bytes) -> bytes:
        """The packet of 20 ms; PCM of another length is cut, or filled with silence."""
        samples = self._samples
        if len(pcm) != samples * 2:
            pcm = pcm[: samples * 2].ljust(samples * 2, b"\0")
        size = self._opus.opus_encode(self._state, pcm, samples, self._out, MOST_BYTES)
        return bytes(self._view[:size]) if size > 0 else b""

    def _set(self, setting: int, value: int) -> None:
        # A variadic function: its arguments need their type.
        _check(self._opus.opus_encoder_ctl(self._state, setting, ctypes.c_int(value)))


class OpusDecoder:
    """Packets to PCM at 16 kHz; a stereo packet comes out as mono.

    Raises:
        UserFacingError: there is no libopus.
    """

    def __init__(self) -> None:
        self._opus = _need_library()
        self._state = ctypes.create_string_buffer(self._opus.opus_decoder_get_size(1))
        self._out = ctypes.create_string_buffer(LONGEST_SAMPLES * 2)
        self._view = memoryview(self._out).cast("B")
        _check(self._opus.opus_decoder_init(self._state, RATE_HZ, 1))

    def decode(self, packet: bytes) -> bytes:
        """PCM of a packet, 2.5 to 120 ms; nothing when it is not Opus."""
        return self._decode(packet, LONGEST_SAMPLES, 0) if packet else b""

    def recover(self, following: bytes, samples: int) -> bytes:
        """PCM of the packet before `following`, which was lost: from the copy that `following`
        may have of it, else as `conceal` makes it."""
        return self._decode(following, _whole(samples), 1)

    def conceal(self, samples: int) -> bytes:
        """PCM in place of what was lost, at most 120 ms."""
        return self._decode(None, _whole(samples), 0)

    def _decode(self, packet: bytes | None, samples: int, fec: int) -> bytes:
        length = len(packet) if packet else 0
        count = self._opus.opus_decode(self._state, packet, length, self._out, samples, fec)
        return bytes(self._view[: count * 2]) if count > 0 else b""


def copied_ms(packet: bytes) -> int:
    """How much of what came before a packet it has a copy of (RFC 6716 sections 3.1 and 4.2.4): a
    frame, or nothing. Of packets with several frames nothing is told."""
    if len(packet) < 2 or packet[0] & 0x03:
        return 0
    config = packet[0] >> 3
    if config >= _FIRST_CELT:
        return 0
    frame_ms = (10, 20, 40, 60)[config & 3] if config < _FIRST_HYBRID else (10, 20)[config & 1]
    frames = max(1, frame_ms // FRAME_MS)
    # One bit for each 20 ms that says whether they are speech, then the one for the copy; of two
    # channels one after the other.
    copies = packet[1] >> (7 - frames)
    if packet[0] & 0x04:
        copies |= packet[1] >> max(0, 6 - 2 * frames)
    return frame_ms if copies & 1 else 0


def _whole(samples: int) -> int:
    """Lost sound is made in steps of 2.5 ms."""
    step = RATE_HZ // 400
    return min(LONGEST_SAMPLES, max(step, samples // step * step))


def _check(result: int) -> None:
    if result < 0:
        raise UserFacingError(f"libopus refuses what is asked of it (error {result})")


def _need_library() -> ctypes.CDLL:
    library = _library()
    if library is None:
        raise UserFacingError(
            "libopus is not here: install it (Debian: libopus0), or take opus out of `codecs`"
        )
    return library


@functools.cache
def _library() -> ctypes.CDLL | None:
    for name in _names():
        try:
            library = ctypes.CDLL(name)
            _declare(library)
        except (OSError, AttributeError):
            continue
        return library
    return None


def _names() -> itertools.chain[str]:
    """PyAV's own copy, which is there wherever its wheel is, then the system's."""
    import av

    bundled = Path(av.__file__).parent.with_name("av.libs").glob("libopus*.so*")
    found = ctypes.util.find_library("opus")
    return itertools.chain(map(str, sorted(bundled)), [found] if found else [])


def _declare(library: ctypes.CDLL) -> None:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    signatures: dict[str, list[type]] = {
        "opus_encoder_get_size": [number],
        "opus_encoder_init": [pointer, number, number, number],
        "opus_encode": [pointer, ctypes.c_char_p, number, pointer, number],
        "opus_decoder_get_size": [number],
        "opus_decoder_init": [pointer, number, number],
        "opus_decode": [pointer, ctypes.c_char_p, number, pointer, number, number],
    }
    for name, arguments in signatures.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, number
    library.opus_encoder_ctl.argtypes = [pointer, number]
    library.opus_encoder_ctl.restype = number
