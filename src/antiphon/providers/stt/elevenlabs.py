"""ElevenLabs' Scribe, in real time.

Wire: https://elevenlabs.io/docs/api-reference/speech-to-text/v-1-speech-to-text-realtime and their
SDK 2.78. Audio goes in as base64 in JSON; `commit` asks for what is not committed. Each commit is
answered in order by `committed_transcript` and, with `include_timestamps`, by one with words a few
milliseconds later. What other clients met with: a commit of less than 300 ms closes the session, as
do 15 s without audio; after 36 s it commits by itself; a wrong key is refused after the handshake;
and a committed text comes once more as a partial one.
"""

from __future__ import annotations

import base64
import json
import math
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, Traits
from antiphon.providers.stt._greeting import (
    Clock,
    address,
    connect_and_greet,
    flag,
    in_ms,
    json_object,
)
from antiphon.providers.stt.cloud import CloudStt
from antiphon.providers.stt.options import SocketSttOptions, keywords
from antiphon.providers.stt.wire import Flushed, Frame, Link, Piece, Told, Wire
from antiphon.types import INPUT_RATE_HZ, Word

NAME = "elevenlabs"
ELEVENLABS_URL = "https://api.elevenlabs.io"
KEY_VARIABLE = "ELEVENLABS_API_KEY"
MAX_KEYWORDS = 50
MAX_KEYWORD_CHARS = 20
CHUNK_MS = 100
KEEP_ALIVE_MS = 5000
MIN_COMMIT_MS = 350
MAX_COMMIT_MS = 25_000
_ERRORS = {
    "error": True,
    "auth_error": False,
    "quota_exceeded": False,
    "commit_throttled": True,
    "unaccepted_terms": False,
    "unaccepted_terms_error": False,
    "rate_limited": True,
    "queue_overflow": True,
    "resource_exhausted": True,
    "session_time_limit_exceeded": True,
    "input_error": False,
    "invalid_request": False,
    "chunk_size_exceeded": False,
    "insufficient_audio_activity": True,
    "transcriber_error": True,
}
"""Messages that end a session, and whether another one may go better."""


class ElevenLabsSttOptions(SocketSttOptions):
    """Options of `stt: elevenlabs`."""

    base_url: str = Field(default=ELEVENLABS_URL, description="The server, without `/v1`.")
    model: str = Field(default="scribe_v2_realtime", min_length=1, description="The model.")
    keywords: tuple[str, ...] = Field(
        default=(), max_length=MAX_KEYWORDS, description="Words to expect, beside the vocabulary."
    )
    boost: bool = Field(
        default=True, description="Tell the model which words to expect; costs extra."
    )
    word_times: bool = Field(default=True, description="Ask for the times of words.")
    extra_query: dict[str, str] = Field(
        default={}, description="Further parameters, such as `no_verbatim: 'true'`."
    )


class ElevenLabsStt(CloudStt):
    """ElevenLabs' Scribe in real time."""

    Options = ElevenLabsSttOptions
    NAME = NAME
    KEY_VARIABLE = KEY_VARIABLE
    VENDOR_URL = ELEVENLABS_URL
    LIVE: ClassVar[dict[str, Any]] = {
        "chunk_ms": CHUNK_MS,
        "keep_alive_ms": KEEP_ALIVE_MS,
    }
    traits = Traits(
        "cloud", KEY_VARIABLE, ("partials", "word times", "confidence", "keywords", "languages")
    )

    def __init__(self, options: ElevenLabsSttOptions, hints: AgentHints) -> None:
        super().__init__(options, hints)
        self._options = options
        path = "/v1/speech-to-text/realtime"
        self._url = address(options.base_url, path, self._query(), options.extra_query)

    async def _connect(self) -> tuple[Link, Wire]:
        headers = {"xi-api-key": self._key.value} if self._key else {}
        socket = await connect_and_greet(
            self._url,
            NAME,
            headers=headers,
            within_ms=self._options.connect_ms,
            is_ready=_is_started,
        )
        return socket, ScribeWire(word_times=self._options.word_times)

    def _query(self) -> list[tuple[str, str]]:
        options = self._options
        query = [
            ("model_id", options.model),
            ("audio_format", "pcm_16000"),
            ("commit_strategy", "manual"),
            ("include_timestamps", flag(options.word_times)),
            ("language_code", (options.language or self._hints.language).partition("-")[0]),
        ]
        words = keywords(self._hints, options.keywords, MAX_KEYWORDS) if options.boost else ()
        return query + [("keyterms", word) for word in words if len(word) <= MAX_KEYWORD_CHARS]


def _is_started(message: dict[str, Any]) -> bool:
    _raise_errors(message)
    return message.get("message_type") == "session_started"


class ScribeWire:
    """One session."""

    def __init__(self, *, word_times: bool) -> None:
        self._word_times = word_times
        self._clock = Clock()
        self._committed_ms = 0
        self._commits = deque[bool]()  # not answered: whether it was a flush
        self._echo = ""

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        self._clock.audio(pcm)
        if self._waiting_ms < MAX_COMMIT_MS:
            return [_chunk(pcm)]
        return [_chunk(pcm), self._commit(b"", flush=False)]

    def flush(self) -> Sequence[Frame] | None:
        short_ms = MIN_COMMIT_MS - self._waiting_ms
        return [self._commit(self._clock.silence(short_ms) if short_ms > 0 else b"", flush=True)]

    def keep_alive(self) -> Sequence[Frame]:
        return [_chunk(self._clock.silence(20))]

    def close(self) -> Sequence[Frame]:
        return ()

    def read(self, frame: Frame) -> Sequence[Told]:
        message = json_object(frame, NAME)
        _raise_errors(message)
        kind, text = message.get("message_type"), str(message.get("text") or "")
        if kind == "partial_transcript":
            echo, self._echo = self._echo, ""
            return [Piece(text, False)] if text and text != echo else ()
        if kind == "committed_transcript":
            if self._word_times and text:
                return [Piece(text, False)]  # its words are about to come
            return self._committed(text, ())
        if kind == "committed_transcript_with_timestamps" and self._word_times and text:
            return self._committed(text, message.get("words") or (), message.get("language_code"))
        return ()

    def _committed(
        self, text: str, words: Sequence[dict[str, Any]], language: Any = ""
    ) -> Sequence[Told]:
        self._echo = text
        ours = self._clock.ours
        told = tuple(
            Word(
                str(word["text"]).strip(),
                ours(in_ms(word["start"])),
                ours(in_ms(word["end"])),
                math.exp(min(0.0, float(word.get("logprob") or 0.0))),
            )
            for word in words
            if word.get("type") == "word"
        )
        confidence = sum(word.confidence for word in told) / len(told) if told else 1.0
        piece = Piece(
            text, True, told[-1].end_ms if told else None, told, confidence, str(language or "")
        )
        # One that nobody asked for is not the answer to a flush.
        flushed = self._commits.popleft() if self._commits else False
        return [piece, Flushed()] if flushed else [piece]

    @property
    def _waiting_ms(self) -> int:
        return self._clock.sent_ms - self._committed_ms

    def _commit(self, pcm: bytes, *, flush: bool) -> str:
        self._committed_ms = self._clock.sent_ms
        self._commits.append(flush)
        return _chunk(pcm, commit=True)


def _chunk(pcm: bytes, *, commit: bool = False) -> str:
    return json.dumps(
        {
            "message_type": "input_audio_chunk",
            "audio_base_64": base64.b64encode(pcm).decode(),
            "commit": commit,
            "sample_rate": INPUT_RATE_HZ,
        }
    )


def _raise_errors(message: dict[str, Any]) -> None:
    kind = str(message.get("message_type"))
    if kind in _ERRORS:
        text = str(message.get("error") or message.get("message") or "")[:300]
        raise ProviderError(f"{kind}: {text}", provider=NAME, retryable=_ERRORS[kind])
