"""WAV files as they arrive: https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html"""

from __future__ import annotations

import struct

from antiphon.audio.resample import LiveResampler
from antiphon.errors import ProviderError


class WavStream:
    """Takes WAV files in pieces, one file after the other, and gives their samples.

    Args:
        provider: the name that errors carry.
        out_hz: what comes out; files of another rate are resampled.
    """

    def __init__(self, provider: str, out_hz: int) -> None:
        self._provider, self._out_hz = provider, out_hz
        self._head = b""
        self._resampler: LiveResampler | None = None

    def push(self, data: bytes) -> bytes:
        """Take a piece of a file, an even number of bytes.

        Raises:
            ProviderError: it is not mono s16 PCM in a WAV file.
        """
        if self._resampler is not None:
            return self._resampler.push(data)
        self._head += data
        start = self._head.find(b"data", 12)
        if start < 0 or len(self._head) < start + 8:
            if len(self._head) > 4096 or not b"RIFF".startswith(self._head[:4]):
                raise self._error("what the server sent is no WAV file")
            return b""
        _, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", self._head, 20)
        if (channels, bits) != (1, 16) or not 4000 <= rate <= 192_000:
            raise self._error(f"sound of {channels} channels, {bits} bits, {rate} Hz")
        self._resampler = LiveResampler(rate, self._out_hz)
        rest, self._head = self._head[start + 8 :], b""
        return self._resampler.push(rest)

    def flush(self) -> bytes:
        """The last samples of a file, of which another may follow; raises like `push`."""
        resampler, self._resampler = self._resampler, None
        if self._head:
            raise self._error("what the server sent is no WAV file")
        return resampler.flush() if resampler is not None else b""

    def _error(self, message: str) -> ProviderError:
        return ProviderError(message, provider=self._provider, retryable=False)
