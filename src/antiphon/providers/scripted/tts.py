"""A voice of tones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import numpy as np
from pydantic import Field

from antiphon.providers.base import (
    AgentHints,
    Traits,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
    TtsWords,
)
from antiphon.providers.scripted.common import Delay, DelayOption, Fate, Script
from antiphon.types import Word


class ScriptedTtsOptions(Script):
    """Options of the scripted voice."""

    sample_rate_hz: int = Field(default=16_000, ge=8_000, le=48_000, multiple_of=50)
    """Rate of the audio."""
    sound: Literal["tone", "noise", "silence"] = "tone"
    """What is heard: 440 Hz at -20 dBFS, noise as loud, or nothing."""
    ms_per_word: int = Field(default=300, ge=1)
    """Length of one word; a segment is as long as its words."""
    leading_silence_ms: int = Field(default=0, ge=0)
    """Silence before each segment, as real voices have."""
    word_times: bool = True
    """Whether times of words are told."""
    chunk_ms: int = Field(default=100, ge=1)
    """Length of one chunk of audio."""
    chunk_delay_ms: DelayOption = Delay()
    """Wait before each further chunk."""
    fail_after_chunks: int | None = Field(default=None, ge=0)
    """Fail when this many chunks of a response are out."""
    hang_after_chunks: int | None = Field(default=None, ge=0)
    """Send nothing more, for ever, when this many chunks of a response are out."""


class ScriptedTts:
    """Speaks tones: as many milliseconds per word as it is told."""

    Options = ScriptedTtsOptions
    traits = Traits(can=("word times",))

    def __init__(self, options: ScriptedTtsOptions, hints: AgentHints) -> None:
        self._options = options
        self._streams = 0
        self._second = _one_second(options)

    @property
    def sample_rate_hz(self) -> int:
        return self._options.sample_rate_hz

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        options = self._options
        fate = Fate(options, self._streams)
        self._streams += 1
        sent = 0
        async for segment in segments:
            texts = segment.text.split()
            silence_ms = options.leading_silence_ms if texts else 0
            if options.word_times and texts:
                yield TtsWords(segment.segment_id, self._words(texts, silence_ms))
            speech_ms = len(texts) * options.ms_per_word
            for pcm in self._audio(silence_ms, speech_ms):
                await fate.wait(options.chunk_delay_ms if sent else options.first_delay_ms)
                await fate.reach(sent, options.fail_after_chunks, options.hang_after_chunks)
                sent += 1
                yield TtsAudio(segment.segment_id, pcm)
            yield TtsSegmentDone(segment.segment_id)

    def _words(self, texts: list[str], start_ms: int) -> tuple[Word, ...]:
        step = self._options.ms_per_word
        starts = range(start_ms, start_ms + step * len(texts), step)
        return tuple(Word(text, at, at + step) for text, at in zip(texts, starts, strict=True))

    def _audio(self, silence_ms: int, speech_ms: int) -> list[bytes]:
        size = self._bytes(self._options.chunk_ms)
        speech = self._bytes(speech_ms)
        whole_seconds, rest = divmod(speech, len(self._second))
        pcm = bytes(self._bytes(silence_ms)) + self._second * whole_seconds + self._second[:rest]
        return [pcm[at : at + size] for at in range(0, len(pcm), size)]

    def _bytes(self, ms: int) -> int:
        return self._options.sample_rate_hz * ms // 1000 * 2


def _one_second(options: ScriptedTtsOptions) -> bytes:
    """A second of sound that can be repeated without a click: 440 whole periods fit into it."""
    count = options.sample_rate_hz
    if options.sound == "silence":
        return bytes(2 * count)
    if options.sound == "noise":
        wave = np.random.default_rng(options.seed).normal(0.0, 2_300.0, count)
    else:
        wave = 3_277.0 * np.sqrt(2.0) * np.sin(2.0 * np.pi * 440.0 * np.arange(count) / count)
    return np.clip(wave, -32_768, 32_767).astype("<i2").tobytes()
