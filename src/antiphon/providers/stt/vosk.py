"""Vosk in this process: Kaldi's streaming recogniser with small models for some twenty languages.

Results are JSON: `partial` while somebody speaks; `text` and `result`, its words with `start` and
`end` in seconds since the recogniser's first sample and `conf`, at a pause it found or when it is
asked (https://alphacephei.com/vosk/).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import vosk
from pydantic import Field

from antiphon import models
from antiphon.errors import UserFacingError
from antiphon.providers import threads
from antiphon.providers.base import AgentHints, ProviderOptions, Traits
from antiphon.providers.stt import local
from antiphon.providers.stt.live import LiveStream
from antiphon.providers.stt.wire import Piece, Told
from antiphon.types import INPUT_RATE_HZ, Word

_NAME = "vosk"
MAX_PHRASES = 5000


class VoskOptions(ProviderOptions):
    """Options of `stt: vosk`."""

    model: str = Field(
        default="",
        description="A model that was pulled (`vosk-small-en`), or a folder; by default the small "
        "one of the agent's language.",
    )
    grammar: bool = Field(
        default=False,
        description="Understand only the agent's sentences and vocabulary, as phrases; the model "
        "has to allow it, as small ones do.",
    )
    phrases: tuple[str, ...] = Field(
        default=(), max_length=1000, description="With `grammar`: what callers may say besides."
    )
    final_ms: int = Field(
        default=3000, ge=50, le=60_000, description="Longest wait for a final text."
    )


class VoskStt:
    """Recognises speech as it is spoken, on this machine, with models of some 40 MB."""

    Options = VoskOptions
    traits = Traits(can=("partials", "word times", "keywords", "languages"))

    def __init__(self, options: VoskOptions, hints: AgentHints) -> None:
        self._options = options
        self._name = options.model or f"vosk-small-{hints.language.split('-')[0].lower()}"
        phrases = (*options.phrases, *hints.sentences, *hints.vocabulary, *hints.interjections)
        self._grammar = _grammar(phrases) if options.grammar else None
        self._model: Any = None

    @staticmethod
    def missing(options: VoskOptions | None = None) -> str | None:
        """What this machine lacks: the model, where one is named."""
        return models.lack(options.model) if options is not None and options.model else None

    async def start(self) -> None:
        """Load the model.

        Raises:
            UserFacingError: it is not on this machine, or is none.
        """
        if self._model is None:
            self._model = await threads.run(_NAME, self._load)

    async def aclose(self) -> None:
        self._model = None

    async def open(self) -> LiveStream:
        model = self._model
        return local.open_stream(
            _NAME, lambda: _Decoder(model, self._grammar), self._options.final_ms
        )

    def _load(self) -> Any:
        vosk.SetLogLevel(-1)
        folder = models.find(self._name)
        # Its own complaint goes to stderr, and its error has no text.
        if not any((folder / name).is_file() for name in ("am/final.mdl", "final.mdl")):
            raise UserFacingError(f"{folder} is not a Vosk model: am/final.mdl is missing")
        try:
            return vosk.Model(str(folder.resolve()))
        except Exception as error:
            raise UserFacingError(f"Vosk cannot load {folder}; it may be damaged") from error


class _Decoder:
    def __init__(self, model: Any, grammar: str | None) -> None:
        arguments = [] if grammar is None else [grammar]
        self._recogniser = vosk.KaldiRecognizer(model, float(INPUT_RATE_HZ), *arguments)
        self._recogniser.SetWords(True)
        self._partial = ""

    def accept(self, pcm: bytes) -> Sequence[Told]:
        if self._recogniser.AcceptWaveform(pcm):
            self._partial = ""
            return _final(self._recogniser.Result())
        text = str(json.loads(self._recogniser.PartialResult()).get("partial", ""))
        if text == self._partial:
            return ()
        self._partial = text
        return (Piece(text, final=False),)

    def finish(self) -> Sequence[Told]:
        self._partial = ""
        return _final(self._recogniser.FinalResult())


def _final(raw: str) -> Sequence[Told]:
    result = json.loads(raw)
    words = tuple(
        Word(
            str(one["word"]),
            round(one["start"] * 1000),
            round(one["end"] * 1000),
            min(1.0, max(0.0, one.get("conf", 1.0))),
        )
        for one in result.get("result", ())
        if one["word"] != "[unk]"
    )
    text = " ".join(str(result.get("text", "")).replace("[unk]", " ").split())
    sure = sum(word.confidence for word in words) / len(words) if words else 1.0
    return (Piece(text, final=True, words=words, confidence=sure),)


def _grammar(phrases: Sequence[str]) -> str:
    """JSON: phrases in small letters without punctuation, and `[unk]` for all else."""
    plain = (" ".join(re.findall(r"[\w'-]+", phrase.lower())) for phrase in phrases)
    kept = [*dict.fromkeys(one for one in plain if one)][:MAX_PHRASES]
    return json.dumps([*kept, "[unk]"], ensure_ascii=False)
