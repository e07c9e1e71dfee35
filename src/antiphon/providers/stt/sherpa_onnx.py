"""sherpa-onnx in this process: streaming models (Zipformer, Paraformer, CTC) on ONNX Runtime.

All calls share one model; each has a stream of its own. Times of tokens are seconds since the last
reset, which `start_time` places (https://k2-fsa.github.io/sherpa/onnx/).
"""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sherpa_onnx
from pydantic import Field

from antiphon import models
from antiphon.errors import UserFacingError
from antiphon.providers import threads
from antiphon.providers.base import AgentHints, ProviderOptions, Traits
from antiphon.providers.stt import local
from antiphon.providers.stt._sherpa_files import Files, Kind, look, vocabulary
from antiphon.providers.stt.live import LiveStream
from antiphon.providers.stt.wire import Piece, Signal, Told
from antiphon.types import INPUT_RATE_HZ, Word

_NAME = "sherpa-onnx"
_TAIL = np.zeros(INPUT_RATE_HZ * 6 // 10, np.float32)
"""Silence after which the models have told all that they heard: more than one of their chunks."""
_LAST_WORD_MS = 300
_log = logging.getLogger(__name__)


class SherpaOptions(ProviderOptions):
    """Options of `stt: sherpa-onnx`."""

    model: str = Field(
        default="sherpa-zipformer-en",
        min_length=1,
        description="A model that was pulled, or a folder with `tokens.txt` and `.onnx` files.",
    )
    kind: Kind | None = Field(
        default=None, description="What sort of model it is, where the files' names do not tell."
    )
    threads: int = Field(
        default=1, ge=1, le=16, description="Processor threads for one piece of sound."
    )
    hotwords: bool = Field(
        default=True, description="Listen for the agent's vocabulary; transducers only."
    )
    hotwords_score: float = Field(
        default=1.5, ge=0, le=10, description="How much they are preferred."
    )
    end_of_turn_ms: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Silence after words that ends the turn, by the recogniser's own rules; 0: the "
        "engine decides.",
    )
    lower_case: bool | None = Field(
        default=None, description="Small letters; by default where the model has only capitals."
    )
    final_ms: int = Field(
        default=3000, ge=50, le=60_000, description="Longest wait for a final text."
    )


class SherpaStt:
    """Recognises speech as it is spoken, on this machine, with Zipformers and other models."""

    Options = SherpaOptions
    traits = Traits(can=("partials", "word times", "keywords", "end of turn", "languages"))

    def __init__(self, options: SherpaOptions, hints: AgentHints) -> None:
        self._options = options
        self._vocabulary = hints.vocabulary if options.hotwords else ()
        self._hotwords = ""
        self._lower = False
        self._recogniser: Any = None

    @staticmethod
    def missing(options: SherpaOptions | None = None) -> str | None:
        """What this machine lacks: the model that is named."""
        return models.lack(options.model) if options is not None else None

    async def start(self) -> None:
        """Load the model.

        Raises:
            UserFacingError: it is not on this machine, or is none.
        """
        if self._recogniser is None:
            self._recogniser = await threads.run(_NAME, self._load)

    async def aclose(self) -> None:
        self._recogniser = None

    async def open(self) -> LiveStream:
        recogniser, options = self._recogniser, self._options

        def make() -> _Decoder:
            return _Decoder(recogniser, self._hotwords, self._lower, bool(options.end_of_turn_ms))

        return local.open_stream(_NAME, make, options.final_ms)

    def _load(self) -> Any:
        options = self._options
        folder = models.find(options.model)
        files = look(folder, options.kind)
        self._lower = files.shouts if options.lower_case is None else options.lower_case
        common = {
            "tokens": files.tokens,
            "num_threads": options.threads,
            "enable_endpoint_detection": True,
            "rule2_min_trailing_silence": (options.end_of_turn_ms or 1200) / 1000,
        }
        factory = getattr(sherpa_onnx.OnlineRecognizer, f"from_{files.kind.replace('-', '_')}")
        try:
            if files.kind == "transducer" and (words := self._boosted(folder, files)):
                return self._boosting(factory, folder, words, **files.parts, **common)
            return factory(**files.parts, **common)
        except (RuntimeError, ValueError, AssertionError) as error:
            raise UserFacingError(f"sherpa-onnx cannot load {folder}: {error}") from None

    def _boosted(self, folder: Path, files: Files) -> str:
        """The vocabulary as `create_stream` takes it."""
        if not self._vocabulary:
            return ""
        if vocabulary(folder) is None:
            _log.warning("sherpa-onnx: no bpe.model beside the model, so words are not boosted")
            return ""
        words = [word.upper() if files.shouts else word for word in self._vocabulary]
        # It would complain about each of the others in every call.
        spelled = [word for word in words if files.letters.issuperset(word.replace(" ", ""))]
        if len(spelled) < len(words):
            extra = {"left_out": len(words) - len(spelled)}
            _log.warning(
                "sherpa-onnx: words that the model cannot spell are not boosted", extra=extra
            )
        return "/".join(word for word in spelled if word.strip() and "/" not in word)

    def _boosting(self, factory: Any, folder: Path, words: str, **arguments: Any) -> Any:
        with tempfile.TemporaryDirectory(prefix="antiphon-") as place:
            pieces = Path(place) / "bpe.vocab"
            pieces.write_text(vocabulary(folder) or "", encoding="utf-8")
            recogniser = factory(
                decoding_method="modified_beam_search",
                hotwords_score=self._options.hotwords_score,
                modeling_unit="bpe",
                bpe_vocab=str(pieces),
                **arguments,
            )
        self._hotwords = words
        return recogniser


class _Decoder:
    def __init__(self, recogniser: Any, hotwords: str, lower: bool, signals: bool) -> None:
        self._recogniser, self._hotwords = recogniser, hotwords
        self._lower, self._signals = lower, signals
        self._fed_ms = 0
        self._partial = ""
        self._renew()

    def accept(self, pcm: bytes) -> Sequence[Told]:
        samples = np.frombuffer(pcm, np.int16).astype(np.float32) / 32_768
        self._fed_ms += len(samples) * 1000 // INPUT_RATE_HZ
        self._decode(samples)
        if not self._recogniser.is_endpoint(self._stream):
            piece = self._piece(final=False)
            if piece.text == self._partial:
                return ()
            self._partial = piece.text
            return (piece,)
        piece, self._partial = self._piece(final=True), ""
        self._recogniser.reset(self._stream)
        over = self._signals and bool(piece.text)
        return (piece, Signal("final")) if over else (piece,)

    def finish(self) -> Sequence[Told]:
        self._decode(_TAIL)
        self._stream.input_finished()
        self._decode(None)
        piece = self._piece(final=True)
        # The silence was not the caller's: what follows begins anew.
        self._renew()
        return (piece,)

    def _renew(self) -> None:
        arguments = (self._hotwords,) if self._hotwords else ()
        self._stream = self._recogniser.create_stream(*arguments)
        self._base_ms = self._fed_ms
        self._partial = ""

    def _decode(self, samples: Any) -> None:
        if samples is not None:
            self._stream.accept_waveform(INPUT_RATE_HZ, samples)
        while self._recogniser.is_ready(self._stream):
            self._recogniser.decode_stream(self._stream)

    def _piece(self, *, final: bool) -> Piece:
        result = self._recogniser.get_result_all(self._stream)
        text = " ".join(result.text.split())
        begin_ms = self._base_ms + round(result.start_time * 1000)
        words = _words(result.tokens, result.timestamps, begin_ms) if final else ()
        if self._lower:
            text = text.lower()
            words = tuple(Word(w.text.lower(), w.start_ms, w.end_ms, w.confidence) for w in words)
        probs = result.ys_probs
        sure = math.exp(min(0.0, sum(probs) / len(probs))) if final and len(probs) else 1.0
        return Piece(text, final, words=words, confidence=sure)


def _words(tokens: Sequence[str], times: Sequence[float], begin_ms: int) -> tuple[Word, ...]:
    """Tokens begin words with a space; a word ends where the next begins, or soon."""
    starts: list[tuple[str, int, int]] = []
    for token, time in zip(tokens, times, strict=False):
        at_ms = begin_ms + round(time * 1000)
        if token.startswith((" ", "▁")) or not starts:
            starts.append((token.lstrip(" ▁"), at_ms, at_ms))
        else:
            text, first_ms, _ = starts[-1]
            starts[-1] = (text + token, first_ms, at_ms)
    words = []
    for place, (text, first_ms, last_ms) in enumerate(starts, start=1):
        end_ms = last_ms + _LAST_WORD_MS
        if place < len(starts):
            end_ms = min(end_ms, starts[place][1])
        if text:
            words.append(Word(text, first_ms, end_ms))
    return tuple(words)
