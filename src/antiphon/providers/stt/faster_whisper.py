"""Whisper in this process: faster-whisper, which runs it on CTranslate2.

Whisper takes whole recordings and always finds words: what it made of silence or noise is known by
its own figures, and dropped (https://github.com/SYSTRAN/faster-whisper).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal

import numpy as np
from faster_whisper import WhisperModel
from pydantic import Field

from antiphon import models
from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers import threads
from antiphon.providers.base import AgentHints, ProviderOptions, Traits
from antiphon.providers.stt.segmented import SegmentedStream, Transcript
from antiphon.types import Word

_NAME = "faster-whisper"
MAX_HOTWORDS = 80
"""They share a prompt of 223 tokens."""
_LOUD = 10 ** (-50 / 20)
"""A share of full scale; no frame of speech that can be understood stays below it."""


class FasterWhisperOptions(ProviderOptions):
    """Options of `stt: faster-whisper`."""

    model: str = Field(
        default="small",
        min_length=1,
        description="A size (`tiny`, `base`, `small`, ...) that was pulled, or a model's folder.",
    )
    language: str | None = Field(
        default=None,
        max_length=40,
        description="What is spoken (`de`); `auto` listens; the agent's.",
    )
    device: Literal["cpu", "cuda", "auto"] = Field(default="cpu", description="Where it computes.")
    compute_type: Literal["int8", "int8_float16", "int8_float32", "float16", "float32"] = Field(
        default="int8", description="Precision; `int8` is the fastest on a processor."
    )
    threads: int = Field(
        default=0, ge=0, le=64, description="Processor threads for one utterance; 0 is up to four."
    )
    workers: int = Field(
        default=1, ge=1, le=4, description="Utterances computed at once; others wait."
    )
    beam_size: int = Field(
        default=1, ge=1, le=10, description="Hypotheses followed; 5 is slower and slightly better."
    )
    interim_ms: int = Field(
        default=0, ge=0, le=10_000, description="Partial texts after so much new audio; 0: none."
    )
    word_times: bool = Field(default=True, description="Tell when each word was said.")
    hotwords: bool = Field(default=True, description="Tell it the agent's vocabulary.")
    initial_prompt: str | None = Field(
        default=None, max_length=800, description="Text as if said before, for spelling and style."
    )
    no_speech_threshold: float = Field(
        default=0.6, ge=0, le=1, description="Surer than this that nobody spoke: nothing was said."
    )
    min_logprob: float = Field(
        default=-1.0,
        ge=-10,
        le=0,
        description="Less sure of its words than this: nothing was said.",
    )
    final_ms: int = Field(
        default=8000, ge=50, le=60_000, description="Longest wait for a final text."
    )


class FasterWhisperStt:
    """Whisper on this machine, in 99 languages, utterance by utterance."""

    Options = FasterWhisperOptions
    traits = Traits(can=("partials", "word times", "keywords", "languages"))

    def __init__(self, options: FasterWhisperOptions, hints: AgentHints) -> None:
        self._options = options
        language = (options.language or hints.language).split("-")[0].lower()
        self._language = None if language == "auto" else language
        words = hints.vocabulary[:MAX_HOTWORDS] if options.hotwords else ()
        self._hotwords = ", ".join(words) or None
        self._model: Any = None
        self._free = asyncio.Semaphore(options.workers)

    @staticmethod
    def missing(options: FasterWhisperOptions | None = None) -> str | None:
        """What this machine lacks: the model that is named."""
        return models.lack(options.model, family=_NAME) if options is not None else None

    async def start(self) -> None:
        """Load the model.

        Raises:
            UserFacingError: it is not on this machine, is none, or does not know the language.
        """
        if self._model is None:
            self._model = await threads.run(_NAME, self._load)

    async def aclose(self) -> None:
        self._model = None

    async def open(self) -> SegmentedStream:
        options = self._options
        return SegmentedStream(
            _NAME, self._transcribe, final_ms=options.final_ms, interim_ms=options.interim_ms
        )

    def _load(self) -> Any:
        options = self._options
        folder = models.find(options.model, family=_NAME)
        # Without a tokenizer the package would fetch one from elsewhere.
        for name in ("model.bin", "tokenizer.json"):
            if not (folder / name).is_file():
                raise UserFacingError(f"{folder} is not a faster-whisper model: {name} is missing")
        try:
            model = WhisperModel(
                str(folder),
                device=options.device,
                compute_type=options.compute_type,
                cpu_threads=options.threads,
                num_workers=options.workers,
            )
        except (RuntimeError, ValueError) as error:
            raise UserFacingError(f"faster-whisper cannot load {folder}: {error}") from None
        known = model.supported_languages
        if self._language is not None and self._language not in known:
            names = ", ".join(known) if len(known) < 5 else f"{len(known)} others"
            raise UserFacingError(
                f"{Path(options.model).name} does not understand {self._language!r}, but {names}"
            )
        return model

    async def _transcribe(self, pcm: bytes) -> Transcript:
        samples = np.frombuffer(pcm, np.int16)
        if not _has_sound(samples):
            return Transcript("")
        model = self._model
        if model is None:
            raise ProviderError("it was closed", provider=_NAME, retryable=False)
        async with self._free:
            segments, info = await threads.run(_NAME, self._begin, model, samples)
            kept = []
            async with aclosing(threads.steps(_NAME, iter(segments))) as found:
                kept = [one async for one in found if self._is_speech(one)]
        return _transcript(kept, info.language)

    def _begin(self, model: Any, samples: np.ndarray[Any, Any]) -> tuple[Iterable[Any], Any]:
        """Hears the sound's features; the words are made as the segments are asked for."""
        options = self._options
        started: tuple[Iterable[Any], Any] = model.transcribe(
            samples.astype(np.float32) / 32_768,
            language=self._language,
            beam_size=options.beam_size,
            # Other temperatures would be tried one after the other: slow, and still not sure.
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=options.word_times,
            hotwords=self._hotwords,
            initial_prompt=options.initial_prompt,
            no_speech_threshold=None,
            log_prob_threshold=None,
            compression_ratio_threshold=None,
        )
        return started

    def _is_speech(self, segment: Any) -> bool:
        """Whisper's inventions: silence, words it is unsure of, or one thing over and over."""
        return bool(
            segment.no_speech_prob <= self._options.no_speech_threshold
            and segment.avg_logprob >= self._options.min_logprob
            and segment.compression_ratio <= 2.4
        )


def _has_sound(samples: np.ndarray[Any, Any]) -> bool:
    frames = samples[: len(samples) // 320 * 320].reshape(-1, 320).astype(np.float32)
    if not len(frames):
        return False
    return bool(np.sqrt((frames**2).mean(axis=1)).max() / 32_768 >= _LOUD)


def _transcript(segments: list[Any], language: str) -> Transcript:
    text = "".join(one.text for one in segments).strip()
    if not text:
        return Transcript("")
    weights = [max(1, len(one.tokens)) for one in segments]
    mean = sum(one.avg_logprob * w for one, w in zip(segments, weights, strict=True)) / sum(weights)
    words = tuple(
        Word(word.word.strip(), _ms(word.start), _ms(word.end), min(1.0, float(word.probability)))
        for one in segments
        for word in one.words or ()
        if word.word.strip()
    )
    return Transcript(text, min(1.0, math.exp(mean)), words, language)


def _ms(seconds: float) -> int:
    return max(0, round(float(seconds) * 1000))
