"""Deepgram's live transcription: the Nova models.

Wire: https://developers.deepgram.com/reference/speech-to-text/listen-streaming. Audio goes in as
binary messages; `Results` tell a stretch of it (`start`, `duration`) again and again, until they
are `is_final`. `Finalize` makes what is left final; the page on it says that it may go unanswered
when there is little audio left. Ten seconds without audio or `KeepAlive` close the connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from antiphon.errors import ProviderError
from antiphon.net.ws import connect as ws_connect
from antiphon.providers.base import AgentHints, Traits
from antiphon.providers.stt._greeting import address, flag, in_ms, json_object
from antiphon.providers.stt.cloud import CloudStt
from antiphon.providers.stt.options import SocketSttOptions, keywords
from antiphon.providers.stt.wire import Flushed, Frame, Link, Piece, Signal, Told, Wire
from antiphon.types import Word

NAME = "deepgram"
DEEPGRAM_URL = "https://api.deepgram.com"
KEY_VARIABLE = "DEEPGRAM_API_KEY"
MAX_KEYWORDS = 100
KEEP_ALIVE_MS = 4000
QUIET_MS = 300
LULL_MS = 2500
"""Results come about every second, whether there is speech or not."""
_FINALIZE_SLACK_MS = 250
"""What is too little to be told in the answer to a Finalize."""


class DeepgramSttOptions(SocketSttOptions):
    """Options of `stt: deepgram`."""

    base_url: str = Field(default=DEEPGRAM_URL, description="The server, without `/v1`.")
    model: str = Field(default="nova-3", min_length=1, description="A Nova model, or an older one.")
    keywords: tuple[str, ...] = Field(
        default=(), max_length=MAX_KEYWORDS, description="Words to expect, beside the vocabulary."
    )
    smart_format: bool = Field(
        default=True, description="Numbers, dates and the like as they are written."
    )
    signals: bool = Field(
        default=False, description="Its own end of speech, by silence, counts for the turn's end."
    )
    endpointing_ms: int = Field(
        default=300, ge=10, le=5000, description="With `signals`: the silence that it waits for."
    )
    extra_query: dict[str, str] = Field(
        default={}, description="Further parameters of the address, such as `numerals: 'true'`."
    )


class DeepgramStt(CloudStt):
    """Deepgram's live transcription with the Nova models."""

    Options = DeepgramSttOptions
    NAME = NAME
    KEY_VARIABLE = KEY_VARIABLE
    VENDOR_URL = DEEPGRAM_URL
    LIVE: ClassVar[dict[str, Any]] = {
        "keep_alive_ms": KEEP_ALIVE_MS,
        "quiet_ms": QUIET_MS,
        "lull_ms": LULL_MS,
    }
    traits = Traits(
        "cloud",
        KEY_VARIABLE,
        ("partials", "word times", "confidence", "end of turn", "keywords", "languages"),
    )

    def __init__(self, options: DeepgramSttOptions, hints: AgentHints) -> None:
        super().__init__(options, hints)
        self._options = options
        self._url = address(options.base_url, "/v1/listen", self._query(), options.extra_query)

    async def _connect(self) -> tuple[Link, Wire]:
        headers = self._authorization("Token")
        socket = await ws_connect(
            self._url, NAME, headers=headers, within_ms=self._options.connect_ms
        )
        return socket, DeepgramWire(signals=self._options.signals)

    def _query(self) -> list[tuple[str, str]]:
        options = self._options
        query = [
            ("model", options.model),
            ("language", options.language or self._hints.language),
            ("encoding", "linear16"),
            ("sample_rate", "16000"),
            ("channels", "1"),
            ("interim_results", "true"),
            ("smart_format", flag(options.smart_format)),
            # Without it the words wait for Finalize, which is then sure to be answered.
            ("endpointing", str(options.endpointing_ms) if options.signals else "false"),
        ]
        if options.signals:
            query += [("utterance_end_ms", str(max(1000, options.endpointing_ms)))]
        # Nova-3 knows key terms, older models single keywords.
        parameter = "keyterm" if options.model.startswith("nova-3") else "keywords"
        words = keywords(self._hints, options.keywords, MAX_KEYWORDS)
        return query + [(parameter, word) for word in words]


class DeepgramWire:
    """One connection."""

    def __init__(self, *, signals: bool) -> None:
        self._signals = signals
        self._ended = False  # the vendor's end of speech was signalled

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        return [pcm]

    def flush(self) -> Sequence[Frame] | None:
        return ['{"type": "Finalize"}']

    def keep_alive(self) -> Sequence[Frame]:
        return ['{"type": "KeepAlive"}']

    def close(self) -> Sequence[Frame]:
        return ['{"type": "CloseStream"}']

    def read(self, frame: Frame) -> Sequence[Told]:
        message = json_object(frame, NAME)
        kind = message.get("type")
        if kind == "Results":
            return self._results(message)
        if kind == "UtteranceEnd":
            return self._signal()
        if kind == "Error":
            raise refusal(message, NAME)
        return ()

    def _results(self, message: dict[str, Any]) -> Sequence[Told]:
        best = (message["channel"]["alternatives"] or [{}])[0]
        final, text = message.get("is_final") is True, str(best.get("transcript") or "")
        end_ms = in_ms(message["start"] + message["duration"])
        languages = best.get("languages") or [""]
        told: list[Told] = [
            Piece(
                text,
                final,
                end_ms,
                tuple(_word(word) for word in best.get("words") or ()),
                float(best.get("confidence") or 0.0) if text else 1.0,
                str(languages[0]),
            )
        ]
        if text:
            self._ended = False
        if message.get("speech_final") is True and not message.get("from_finalize"):
            told += self._signal()
        if message.get("from_finalize"):
            told.append(Flushed(end_ms + _FINALIZE_SLACK_MS))
        elif final:
            told.append(Flushed(end_ms))
        return told

    def _signal(self) -> list[Told]:
        if not self._signals or self._ended:
            return []
        self._ended = True
        return [Signal("final")]


def _word(word: dict[str, Any]) -> Word:
    text = str(word.get("punctuated_word") or word["word"])
    return Word(text, in_ms(word["start"]), in_ms(word["end"]), float(word.get("confidence", 1.0)))


def refusal(message: dict[str, Any], name: str) -> ProviderError:
    """What an `Error` message means; of Nova and of Flux."""
    code = str(message.get("code") or message.get("variant") or "")
    text = str(message.get("description") or message.get("message") or code)[:300]
    retryable = not any(word in code.upper() for word in ("AUTH", "SCHEMA", "INVALID", "UNPARS"))
    return ProviderError(
        f"{code}: {text}" if code and code != text else text, provider=name, retryable=retryable
    )
