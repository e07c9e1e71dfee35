"""AssemblyAI's Universal-Streaming, version 3.

Wire: https://www.assemblyai.com/docs/streaming/universal-streaming and their SDK 1.8.2. Audio goes
in as binary messages of 50 to 1000 ms. `Turn` tells the whole turn so far, until `end_of_turn`;
with `format_turns` the end comes twice, the second time with punctuation: the first is acted on.
`ForceEndpoint` ends a turn at once; about noise nothing is said. A session is paid for by its
length, spoken in or not, and is closed after three hours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, Traits
from antiphon.providers.stt._greeting import (
    BYTES_PER_MS,
    Clock,
    address,
    connect_and_greet,
    flag,
    json_object,
)
from antiphon.providers.stt.cloud import CloudStt
from antiphon.providers.stt.options import SocketSttOptions, keywords
from antiphon.providers.stt.wire import Flushed, Frame, Link, Piece, Signal, Told, Wire
from antiphon.types import Word

NAME = "assemblyai"
ASSEMBLYAI_URL = "https://streaming.assemblyai.com"
KEY_VARIABLE = "ASSEMBLYAI_API_KEY"
API_VERSION = "2025-05-12"
MAX_KEYWORDS = 100
MAX_KEYWORD_CHARS = 50
CHUNK_MS = 60
MIN_CHUNK_MS = 50
KEEP_ALIVE_MS = 10_000
MAX_SESSION_MS = 170 * 60_000
SPEED = 4.0
"""Audio that comes much faster than it was spoken closes the session with 4029."""
QUIET_MS = 400
LULL_MS = 20_000
"""About noise it says nothing; that it says nothing for so long means that it does not listen."""
FINAL_CODES = frozenset({3006, 3007, 4000, 4001, 4002, 4003, 4100, 4101, 4104, 1008})
"""Bad input, bad chunks, no rights, no funds. Others (1013 and 3005: their fault; 3008: too long;
3009: too many sessions; 4029: too fast; 4031: idle) are worth another try."""


class AssemblyAiOptions(SocketSttOptions):
    """Options of `stt: assemblyai`."""

    base_url: str = Field(default=ASSEMBLYAI_URL, description="The server, without `/v3`.")
    model: str | None = Field(
        default=None,
        description="`universal-streaming-english`, or -multilingual for other languages.",
    )
    keywords: tuple[str, ...] = Field(
        default=(), max_length=MAX_KEYWORDS, description="Words to expect, beside the vocabulary."
    )
    signals: bool = Field(default=True, description="Its end of turn counts for the turn's end.")
    format_turns: bool = Field(
        default=False, description="Also tell finished turns with punctuation; not waited for."
    )
    end_of_turn_confidence: float | None = Field(
        default=None, ge=0, le=1, description="How sure it has to be that a turn is over."
    )
    min_turn_silence_ms: int | None = Field(
        default=None, ge=0, le=10_000, description="Least silence for the end of a turn."
    )
    max_turn_silence_ms: int | None = Field(
        default=None, ge=100, le=60_000, description="Silence that ends a turn anyway."
    )
    extra_query: dict[str, str] = Field(
        default={}, description="Further parameters of the address, such as `mode: balanced`."
    )


class AssemblyAiStt(CloudStt):
    """AssemblyAI's Universal-Streaming recognisers."""

    Options = AssemblyAiOptions
    NAME = NAME
    KEY_VARIABLE = KEY_VARIABLE
    VENDOR_URL = ASSEMBLYAI_URL
    LIVE: ClassVar[dict[str, Any]] = {
        "chunk_ms": CHUNK_MS,
        "keep_alive_ms": KEEP_ALIVE_MS,
        "max_session_ms": MAX_SESSION_MS,
        "speed": SPEED,
        "final_codes": FINAL_CODES,
        "quiet_ms": QUIET_MS,
        "lull_ms": LULL_MS,
    }
    traits = Traits(
        "cloud",
        KEY_VARIABLE,
        ("partials", "word times", "confidence", "end of turn", "keywords", "languages"),
    )

    def __init__(self, options: AssemblyAiOptions, hints: AgentHints) -> None:
        super().__init__(options, hints)
        self._options = options
        english = (options.language or hints.language).partition("-")[0] in ("", "en")
        kind = "english" if english else "multilingual"
        self.model = options.model or f"universal-streaming-{kind}"
        self._url = address(options.base_url, "/v3/ws", self._query(), options.extra_query)

    async def _connect(self) -> tuple[Link, Wire]:
        headers = {"AssemblyAI-Version": API_VERSION}
        if self._key:
            headers["Authorization"] = self._key.value
        socket = await connect_and_greet(
            self._url,
            NAME,
            headers=headers,
            within_ms=self._options.connect_ms,
            is_ready=_is_begun,
            final_codes=FINAL_CODES,
        )
        return socket, AssemblyAiWire(signals=self._options.signals)

    def _query(self) -> list[tuple[str, str]]:
        options = self._options
        query = [
            ("sample_rate", "16000"),
            ("encoding", "pcm_s16le"),
            ("speech_model", self.model),
            ("format_turns", flag(options.format_turns)),
        ]
        turns = {
            "end_of_turn_confidence_threshold": options.end_of_turn_confidence,
            "min_turn_silence": options.min_turn_silence_ms,
            "max_turn_silence": options.max_turn_silence_ms,
        }
        query += [(name, str(value)) for name, value in turns.items() if value is not None]
        words = keywords(self._hints, options.keywords, MAX_KEYWORDS)
        terms = [word for word in words if len(word) <= MAX_KEYWORD_CHARS]
        return query + ([("keyterms_prompt", json.dumps(terms))] if terms else [])


def _is_begun(message: dict[str, Any]) -> bool:
    if message.get("type") == "Error":
        raise _refusal(message)
    return message.get("type") == "Begin"


class AssemblyAiWire:
    """One session."""

    def __init__(self, *, signals: bool) -> None:
        self._signals = signals
        self._clock = Clock()
        self._asked = False  # a flush is not answered
        self._ended = -1  # the newest turn that is over

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        self._clock.audio(pcm)
        missing_ms = MIN_CHUNK_MS - len(pcm) // BYTES_PER_MS
        # The last chunk before a flush may be shorter than is allowed.
        return [pcm + self._clock.silence(missing_ms) if missing_ms > 0 else pcm]

    def flush(self) -> Sequence[Frame] | None:
        self._asked = True
        return ['{"type": "ForceEndpoint"}']

    def keep_alive(self) -> Sequence[Frame]:
        return ['{"type": "KeepAlive"}']

    def close(self) -> Sequence[Frame]:
        return ['{"type": "Terminate"}']

    def read(self, frame: Frame) -> Sequence[Told]:
        message = json_object(frame, NAME)
        if message.get("type") == "Error":
            raise _refusal(message)
        if message.get("type") != "Turn":
            return ()
        order, words = int(message["turn_order"]), list(message.get("words") or ())
        if order <= self._ended:
            return ()  # once more, with punctuation
        if message["end_of_turn"] is not True:
            # The transcript leaves out the word that is being spoken.
            text = " ".join(str(word["text"]) for word in words)
            return [self._piece(text, words, message, False)]
        self._ended = order
        told: list[Told] = [self._piece(str(message["transcript"]), words, message, True)]
        if self._asked:
            self._asked = False
            told.append(Flushed())
        elif self._signals:
            told.append(Signal("final"))
        return told

    def _piece(
        self, text: str, words: list[dict[str, Any]], message: dict[str, Any], final: bool
    ) -> Piece:
        ours = self._clock.ours
        told = tuple(
            Word(
                str(word["text"]),
                ours(int(word["start"])),
                ours(int(word["end"])),
                float(word.get("confidence", 1.0)),
            )
            for word in words
        )
        return Piece(
            text,
            final,
            told[-1].end_ms if told else None,
            told,
            sum(word.confidence for word in told) / len(told) if told else 1.0,
            str(message.get("language_code") or ""),
        )


def _refusal(message: dict[str, Any]) -> ProviderError:
    """What an `Error` means; its code is the one that the session is then closed with."""
    code = message.get("error_code")
    text = f"{code}: {message.get('error')}" if code else str(message.get("error"))
    return ProviderError(text[:300], provider=NAME, retryable=code not in FINAL_CODES)
