"""Kokoro: a neural voice of 82 million parameters in this process, by the package `kokoro-onnx`
(https://github.com/thewh1teagle/kokoro-onnx).

Text becomes phonemes by espeak-ng, which comes with the package, then sound by the model, up to 510
phonemes at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
from kokoro_onnx import Kokoro
from kokoro_onnx.chunker import split_phonemes
from kokoro_onnx.config import MAX_PHONEME_LENGTH
from pydantic import Field

from antiphon import models
from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers import threads
from antiphon.providers.base import (
    AgentHints,
    ProviderOptions,
    Traits,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
)
from antiphon.providers.tts.options import speakable

_RATE_HZ = 24_000
_USUAL_RATE = 150
_VOICES = "voices-v1.0.bin"
# A voice's name begins with its language: af_heart is American, bm_george British.
_LANGUAGES = {"a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it"}
_LANGUAGES |= {"j": "ja", "p": "pt-br", "z": "cmn"}
_FIRST_VOICES = {"en": "af_heart", "es": "ef_dora", "fr": "ff_siwis", "hi": "hf_alpha"}
_FIRST_VOICES |= {"it": "if_sara", "ja": "jf_alpha", "pt": "pf_dora", "zh": "zf_xiaobei"}


class KokoroOptions(ProviderOptions):
    """Options of a Kokoro voice."""

    model: str = Field(
        default="kokoro-v1.0",
        min_length=1,
        description="A model that was pulled (`antiphon models pull kokoro-v1.0`), or the path of "
        "its `.onnx` file.",
    )
    voices_path: Path | None = Field(
        default=None, description="Its voices; else `voices-v1.0.bin` beside the model."
    )
    voice: str | None = Field(
        default=None,
        description="Such as `af_heart` or `bm_george`; else one of the agent's language.",
    )
    language: str | None = Field(
        default=None, description="How text is read, such as `en-gb`; else the voice's own."
    )
    speed: float = Field(
        default=1.0, ge=0.5, le=2.0, description="1.2 is a fifth faster than the agent's rate."
    )
    threads: int = Field(default=2, ge=1, le=16, description="Processor threads for one sentence.")


class KokoroTts:
    """A natural local voice, best in English, that a fast processor keeps up with. Its model is not
    part of the package."""

    Options = KokoroOptions
    traits = Traits(can=("speed", "languages"))

    def __init__(self, options: KokoroOptions, hints: AgentHints) -> None:
        self._options = options
        main = hints.language.lower().partition("-")[0]
        self._name = options.voice or _FIRST_VOICES.get(main, _FIRST_VOICES["en"])
        self._language = options.language or _LANGUAGES.get(self._name[:1], "en-us")
        self._speed = min(2.0, max(0.5, options.speed * hints.rate / _USUAL_RATE))
        self._model: Any = None

    @staticmethod
    def missing(options: KokoroOptions | None = None) -> str | None:
        """What this machine lacks: the model that is named."""
        return models.lack(options.model, "*.onnx") if options is not None else None

    @property
    def sample_rate_hz(self) -> int:
        return _RATE_HZ

    async def start(self) -> None:
        """Load the model and the voices.

        Raises:
            UserFacingError: they are not there, or have no such voice.
        """
        if self._model is None:
            self._model = await threads.run("kokoro", self._load)

    async def aclose(self) -> None:
        self._model = None

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; a sentence's sound comes when all of it is made."""
        async for segment in segments:
            if speakable(segment.text):
                if self._model is None:
                    raise ProviderError("not started", provider="kokoro", retryable=False)
                made = threads.steps("kokoro", self._parts(self._model, segment.text))
                async with aclosing(made) as parts:
                    async for pcm in parts:
                        yield TtsAudio(segment.segment_id, pcm)
            yield TtsSegmentDone(segment.segment_id)

    def _parts(self, model: Any, text: str) -> Iterator[bytes]:
        """On a thread: the sound of a text, in pieces of what the model takes at once."""
        phonemes = model.tokenizer.phonemize(" ".join(text.split()), self._language)
        for part in split_phonemes(phonemes, MAX_PHONEME_LENGTH):
            if any(phoneme.isalpha() for phoneme in part):
                samples, _ = model.create(part, self._name, self._speed, is_phonemes=True)
                loud = np.clip(samples, -1.0, 1.0) * 32767
                yield loud.astype("<i2").tobytes()

    def _load(self) -> Any:
        path = models.find(self._options.model, "*.onnx")
        voices = (self._options.voices_path or path.with_name(_VOICES)).expanduser()
        if not voices.is_file():
            raise UserFacingError(f"tts kokoro: there is no file {voices}; `voices_path` names it.")
        try:
            session = threads.onnx_session(str(path), self._options.threads)
            model = Kokoro.from_session(session, str(voices))
            names = model.get_voices()
        except Exception as error:
            raise UserFacingError(f"tts kokoro: {path} or {voices}: {error}") from error
        if self._name not in names:
            known = ", ".join(names[:60])
            raise UserFacingError(f"tts kokoro: there is no voice `{self._name}`; it has {known}.")
        return model
