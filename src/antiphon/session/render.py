"""A sentence as sound, all of it at once: for what is not said inside a conversation."""

from __future__ import annotations

from collections.abc import AsyncIterator

from antiphon.audio.resample import LiveResampler
from antiphon.errors import ProviderError
from antiphon.providers.base import Tts, TtsAudio, TtsSegment

RATE_HZ = 16_000
MAX_SECONDS = 30


async def render(voice: Tts, sentence: str) -> bytes:
    """Mono s16 PCM at `RATE_HZ`, half a minute at most. The caller sets a deadline.

    Raises:
        ProviderError: the voice failed, or speaks without end.
    """

    async def text() -> AsyncIterator[TtsSegment]:
        ssml = getattr(voice, "takes_ssml", False)
        yield TtsSegment(0, f"<speak>{sentence}</speak>" if ssml else sentence)

    resampler = LiveResampler(voice.sample_rate_hz, RATE_HZ)
    pcm = bytearray()
    async for event in voice.stream(text()):
        if isinstance(event, TtsAudio):
            pcm += resampler.push(event.pcm)
        if len(pcm) > MAX_SECONDS * RATE_HZ * 2:
            raise ProviderError("speaks without end", provider="recorded", retryable=False)
    return bytes(pcm + resampler.flush())
