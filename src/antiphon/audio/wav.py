"""Recordings on disk: reading any that libsndfile knows, writing stereo WAV as a call goes on."""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile

from antiphon.audio.resample import resample_file
from antiphon.errors import UserFacingError

MAX_READ_S = 3 * 3600
_FRAME_BYTES = 4
_MAX_DATA_BYTES = (2**32 - 1 - 36) // _FRAME_BYTES * _FRAME_BYTES


def read_pcm(path: str | Path, sample_rate_hz: int) -> bytes:
    """Read a recording as mono s16 PCM at `sample_rate_hz`; several channels are averaged.

    Raises:
        UserFacingError: it is missing, not audio, empty, or longer than three hours.
    """
    if not Path(path).is_file():
        raise UserFacingError(f"{path}: there is no such file. Name a recording (WAV, FLAC, OGG).")
    try:
        with soundfile.SoundFile(str(path)) as recording:
            rate = int(recording.samplerate)
            if recording.frames > MAX_READ_S * rate:
                raise UserFacingError(f"{path}: the recording is longer than three hours. Cut it.")
            samples = recording.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise UserFacingError(
            f"{path}: this is not audio that can be read ({error}). Use WAV, FLAC, OGG or MP3."
        ) from error
    if not len(samples):
        raise UserFacingError(f"{path}: the recording is empty.")
    mono = resample_file(samples.mean(axis=1), rate, sample_rate_hz)
    # Recordings of floating-point samples may hold anything.
    scaled = np.rint(np.nan_to_num(mono) * 32768.0)
    return bytes(np.clip(scaled, -32768, 32767).astype("<i2").tobytes())


class StereoWavWriter:
    """Writes a call as it goes on: the caller on the left, the agent on the right.

    The header is brought up to date after every second of audio, so what is on disk is a valid
    recording even if the process dies. At 4 GB, where WAV ends, what follows is left out and
    `full` is true.

    Raises:
        UserFacingError: the file cannot be created.
    """

    def __init__(self, path: str | Path, sample_rate_hz: int) -> None:
        self._rate = sample_rate_hz
        self._data_bytes = self._in_header = 0
        self.full = False
        try:
            self._file = open(path, "wb")  # noqa: SIM115
        except OSError as error:
            raise UserFacingError(f"{path}: cannot be written ({error.strerror}).") from error
        self._write_header()

    @property
    def written_ms(self) -> int:
        return self._data_bytes // _FRAME_BYTES * 1000 // self._rate

    def write(self, caller: bytes | None, agent: bytes | None) -> None:
        """Append mono s16 PCM of both sides for the same time. None, or the part that one side is
        shorter, is silence.

        Raises:
            OSError: the disk is full, or gone.
        """
        left, right = caller or b"", agent or b""
        count = max(len(left), len(right)) // 2
        frames = np.zeros((count, 2), dtype="<i2")
        for side, pcm in enumerate((left, right)):
            samples = np.frombuffer(pcm, dtype="<i2", count=len(pcm) // 2)
            frames[: len(samples), side] = samples
        data = frames.tobytes()
        if self._data_bytes + len(data) > _MAX_DATA_BYTES:
            self.full = True
            return
        self._file.write(data)
        self._data_bytes += len(data)
        if self._data_bytes - self._in_header >= self._rate * _FRAME_BYTES:
            self._write_header()

    def close(self) -> None:
        """Idempotent."""
        if not self._file.closed:
            self._write_header()
            self._file.close()

    def __enter__(self) -> StereoWavWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write_header(self) -> None:
        """The canonical 44 bytes, as in Microsoft's "Multimedia Programming Interface and Data
        Specifications 1.0": RIFF, fmt (PCM, 2 channels, 16 bits), data."""
        size = self._data_bytes
        byte_rate = self._rate * _FRAME_BYTES
        header = struct.pack(
            "<4sI4s4sIHHIIHH4sI",
            *(b"RIFF", 36 + size, b"WAVE"),
            *(b"fmt ", 16, 1, 2, self._rate, byte_rate, _FRAME_BYTES, 16),
            *(b"data", size),
        )
        # The samples must be on disk before a header that promises them.
        self._file.flush()
        self._file.seek(0)
        self._file.write(header)
        self._file.seek(0, 2)
        self._file.flush()
        self._in_header = size
