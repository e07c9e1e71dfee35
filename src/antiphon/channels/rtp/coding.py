"""What the codecs of a line make of sound, and sound of them."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from antiphon.audio import g711
from antiphon.audio.double import Doubler
from antiphon.channels.rtp.codec import Codec
from antiphon.channels.rtp.opus import RATE_HZ as OPUS_RATE_HZ
from antiphon.channels.rtp.opus import OpusDecoder, OpusEncoder, copied_ms
from antiphon.types import FRAME_MS, INPUT_RATE_HZ

G711_RATE_HZ = 8000
FADE_MS = 60
"""Lost sound is the last sound again and again, gone after so long."""

_LAWS: dict[str, g711.Law] = {"pcmu": "mulaw", "pcma": "alaw"}
_FRAME_SAMPLES = G711_RATE_HZ * FRAME_MS // 1000


class Decoder(Protocol):
    """Payloads of one codec to 16 kHz mono s16 PCM."""

    def decode(self, payload: bytes) -> bytes:
        """Nothing when the payload is not of this codec."""
        ...

    def conceal(self, ms: int, following: bytes | None = None) -> tuple[bytes, int]:
        """Something in place of what was lost, and how many ms of it, the last ones, are not made
        up but had from a copy. `following` is the payload after it."""
        ...


class Encoder(Protocol):
    """20 ms of mono s16 PCM at `pcm_rate_hz` to a payload."""

    def encode(self, pcm: bytes) -> bytes: ...

    def silence(self) -> bytes:
        """The payload of 20 ms of nothing."""
        ...


def pcm_rate_hz(codec: Codec) -> int:
    """The rate of the PCM that is sent: 8000 for G.711, 16000 for Opus."""
    return G711_RATE_HZ if codec.name.lower() in _LAWS else OPUS_RATE_HZ


def is_audio(codec: Codec) -> bool:
    """Whether it is a codec that lines here can speak."""
    name = codec.name.lower()
    return name in _LAWS or name == "opus"


def make_decoder(codec: Codec) -> Decoder:
    """Raises UserFacingError for Opus without its library."""
    law = _LAWS.get(codec.name.lower())
    return _OpusDecoder() if law is None else _G711Decoder(law)


def make_encoder(codec: Codec) -> Encoder:
    """Raises UserFacingError for Opus without its library."""
    law = _LAWS.get(codec.name.lower())
    return _OpusEncoder() if law is None else _G711Encoder(law)


class _G711Decoder:
    def __init__(self, law: g711.Law) -> None:
        self._law = law
        self._doubler = Doubler()
        self._last = bytes(_FRAME_SAMPLES * 2)
        self._faded_ms = 0

    def decode(self, payload: bytes) -> bytes:
        pcm = g711.decode(payload, self._law)
        self._last = (self._last + pcm)[-_FRAME_SAMPLES * 2 :]
        self._faded_ms = 0
        return self._doubler.push(pcm)

    def conceal(self, ms: int, following: bytes | None = None) -> tuple[bytes, int]:
        count = G711_RATE_HZ * ms // 1000
        again = np.resize(np.frombuffer(self._last, "<i2"), count)
        gone = self._faded_ms + np.arange(count) * 1000 / G711_RATE_HZ
        self._faded_ms += ms
        faded = again * np.clip(1 - gone / FADE_MS, 0, 1)
        return self._doubler.push(faded.astype("<i2").tobytes()), 0


class _G711Encoder:
    def __init__(self, law: g711.Law) -> None:
        self._law = law
        self._silence = bytes([g711.SILENCE[law]]) * _FRAME_SAMPLES

    def encode(self, pcm: bytes) -> bytes:
        return g711.encode(pcm, self._law)

    def silence(self) -> bytes:
        return self._silence


class _OpusDecoder:
    def __init__(self) -> None:
        self._opus = OpusDecoder()
        self._made_ms = 0

    def decode(self, payload: bytes) -> bytes:
        self._made_ms = 0
        return self._opus.decode(payload)

    def conceal(self, ms: int, following: bytes | None = None) -> tuple[bytes, int]:
        """Of several packets in a row only the last is in the one that follows."""
        copy_ms = min(ms, copied_ms(following)) if following else 0
        made = self._make(ms - copy_ms)
        if copy_ms and following is not None:
            samples = copy_ms * INPUT_RATE_HZ // 1000
            made += self._opus.recover(following, samples).ljust(samples * 2, b"\0")
        return made, copy_ms

    def _make(self, ms: int) -> bytes:
        made = b""
        for at_ms in range(0, ms, FRAME_MS):
            step_ms = min(FRAME_MS, ms - at_ms)
            samples = step_ms * INPUT_RATE_HZ // 1000
            pcm = self._opus.conceal(samples) if self._made_ms < FADE_MS else b""
            made += pcm[: samples * 2].ljust(samples * 2, b"\0")
            self._made_ms += step_ms
        return made


class _OpusEncoder:
    def __init__(self) -> None:
        self._opus = OpusEncoder()
        self._nothing = bytes(OPUS_RATE_HZ * FRAME_MS // 1000 * 2)

    def encode(self, pcm: bytes) -> bytes:
        return self._opus.encode(pcm)

    def silence(self) -> bytes:
        return self._opus.encode(self._nothing)
