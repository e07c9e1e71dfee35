"""Speechmatics in real time, in their cloud or in a container of one's own.

Wire: https://docs.speechmatics.com/api-ref/realtime-transcription-websocket and their SDK
speechmatics-rt 1.2.1. StartRecognition is answered by RecognitionStarted; audio goes in as binary
messages, each acknowledged by AudioAdded. AddPartialTranscript replaces the one before;
AddTranscript is final and comes after `max_delay` at most, or at once after ForceEndOfUtterance,
which is answered by EndOfUtterance. A session ends after 48 hours, or an hour without audio.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, Traits
from antiphon.providers.stt._greeting import address, connect_and_greet, in_ms, json_object
from antiphon.providers.stt.cloud import CloudStt
from antiphon.providers.stt.live import BYTES_PER_MS
from antiphon.providers.stt.options import SocketSttOptions, keywords
from antiphon.providers.stt.wire import Flushed, Frame, Link, Piece, Signal, Told, Wire
from antiphon.types import INPUT_RATE_HZ, Word

NAME = "speechmatics"
SPEECHMATICS_URL = "wss://eu2.rt.speechmatics.com"
KEY_VARIABLE = "SPEECHMATICS_API_KEY"
MAX_KEYWORDS = 1000
CHUNK_MS = 40
MAX_SESSION_MS = 47 * 3_600_000
QUIET_MS = 500
_SLACK_MS = 250
LULL_MS = 2000
"""Each piece of audio is acknowledged."""
FINAL_CODES = frozenset({1003, 4001, 4003, 4004})
_FINAL_TYPES = frozenset({
    "invalid_message", "invalid_model", "invalid_language", "invalid_config", "invalid_audio_type",
    "not_authorised", "not_allowed", "insufficient_funds", "timelimit_exceeded", "protocol_error",
})  # fmt: skip
"""Others (quota_exceeded: too many at once; job_error; internal_error) are worth another try."""


class SpeechmaticsOptions(SocketSttOptions):
    """Options of `stt: speechmatics`."""

    base_url: str = Field(
        default=SPEECHMATICS_URL, description="The server, without `/v2`; `us.rt...` is another."
    )
    model: Literal["standard", "enhanced", "melia-1"] = Field(
        default="enhanced", description="`standard` is quicker, `enhanced` hears better."
    )
    keywords: tuple[str, ...] = Field(
        default=(), max_length=MAX_KEYWORDS, description="Words to expect, beside the vocabulary."
    )
    max_delay_ms: int = Field(
        default=1000, ge=700, le=4000, description="Words are final at the latest so much later."
    )
    signals: bool = Field(
        default=False, description="Its own end of speech, by silence, counts for the turn's end."
    )
    end_of_utterance_ms: int = Field(
        default=500, ge=100, le=2000, description="With `signals`: the silence that it waits for."
    )
    extra_config: dict[str, Any] = Field(
        default={}, description="Further parts of the transcription's configuration."
    )
    extra_query: dict[str, str] = Field(default={}, description="Parameters of the address.")


class SpeechmaticsStt(CloudStt):
    """Speechmatics in real time, in their cloud or in a container of one's own."""

    Options = SpeechmaticsOptions
    NAME = NAME
    KEY_VARIABLE = KEY_VARIABLE
    VENDOR_URL = SPEECHMATICS_URL
    LIVE: ClassVar[dict[str, Any]] = {
        "chunk_ms": CHUNK_MS,
        "max_session_ms": MAX_SESSION_MS,
        "final_codes": FINAL_CODES,
        "quiet_ms": QUIET_MS,
        "lull_ms": LULL_MS,
    }
    traits = Traits(
        "cloud",
        KEY_VARIABLE,
        ("partials", "word times", "confidence", "end of turn", "keywords", "languages"),
    )

    def __init__(self, options: SpeechmaticsOptions, hints: AgentHints) -> None:
        super().__init__(options, hints)
        self._options = options
        self._url = address(options.base_url, "/v2", (), options.extra_query).rstrip("?")

    async def _connect(self) -> tuple[Link, Wire]:
        headers = self._authorization()
        socket = await connect_and_greet(
            self._url,
            NAME,
            headers=headers,
            within_ms=self._options.connect_ms,
            is_ready=_is_started,
            hello=json.dumps(self._start()),
            final_codes=FINAL_CODES,
        )
        return socket, SpeechmaticsWire(signals=self._options.signals)

    def _start(self) -> dict[str, Any]:
        options = self._options
        tag = options.language or self._hints.language
        config: dict[str, Any] = {
            "language": tag.partition("-")[0],
            **({} if "operating_point" in options.extra_config else {"model": options.model}),
            "enable_partials": True,
            "max_delay": options.max_delay_ms / 1000,
        }
        if tag in ("en-GB", "en-US", "en-AU"):
            config["output_locale"] = tag
        if words := keywords(self._hints, options.keywords, MAX_KEYWORDS):
            config["additional_vocab"] = [{"content": word} for word in words]
        if options.signals:
            silence_s = options.end_of_utterance_ms / 1000
            config["conversation_config"] = {"end_of_utterance_silence_trigger": silence_s}
        return {
            "message": "StartRecognition",
            "audio_format": {
                "type": "raw",
                "encoding": "pcm_s16le",
                "sample_rate": INPUT_RATE_HZ,
            },
            "transcription_config": config | options.extra_config,
        }


def _is_started(message: dict[str, Any]) -> bool:
    if message.get("message") == "Error":
        raise _refusal(message)
    return message.get("message") == "RecognitionStarted"


class SpeechmaticsWire:
    """One session."""

    def __init__(self, *, signals: bool) -> None:
        self._signals = signals
        self._chunks = self._sent_ms = 0
        self._asked_ms: int | None = None  # how much was sent before the newest flush
        self._said = False  # something, since the last end of an utterance

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        self._chunks += 1
        self._sent_ms += len(pcm) // BYTES_PER_MS
        return [pcm]

    def flush(self) -> Sequence[Frame] | None:
        self._asked_ms = self._sent_ms
        at_s = self._sent_ms / 1000
        return [json.dumps({"message": "ForceEndOfUtterance", "timestamp": at_s})]

    def keep_alive(self) -> Sequence[Frame]:
        return ()

    def close(self) -> Sequence[Frame]:
        return [json.dumps({"message": "EndOfStream", "last_seq_no": self._chunks})]

    def read(self, frame: Frame) -> Sequence[Told]:
        message = json_object(frame, NAME)
        kind = message.get("message")
        if kind == "Error":
            raise _refusal(message)
        if kind == "EndOfUtterance":
            return self._end(message)
        if kind not in ("AddPartialTranscript", "AddTranscript"):
            return ()
        piece = _piece(message, kind == "AddTranscript")
        self._said = self._said or (piece.final and bool(piece.text.strip()))
        return [piece]

    def _end(self, message: dict[str, Any]) -> Sequence[Told]:
        said, self._said = self._said, False
        if not self._signals or message.get("forced") is True:
            return [Flushed()]
        # It may be the end that was forced, or one that silence made just before.
        reach_ms = in_ms(message["metadata"]["end_time"]) + _SLACK_MS
        if self._asked_ms is not None and reach_ms >= self._asked_ms:
            self._asked_ms, said = None, False
        return [Flushed(reach_ms), Signal("final")] if said else [Flushed(reach_ms)]


def _piece(message: dict[str, Any], final: bool) -> Piece:
    metadata = message["metadata"]
    words, languages = list[Word](), list[str]()
    for result in message.get("results") or ():
        best = (result.get("alternatives") or [{}])[0]
        if result.get("type") != "word" or not best.get("content"):
            continue
        words.append(
            Word(
                str(best["content"]),
                in_ms(result["start_time"]),
                in_ms(result["end_time"]),
                float(best.get("confidence", 1.0)),
            )
        )
        languages.append(str(best.get("language") or ""))
    return Piece(
        str(metadata["transcript"]),
        final,
        in_ms(metadata["end_time"]),
        tuple(words),
        sum(word.confidence for word in words) / len(words) if words else 1.0,
        languages[0] if languages else "",
    )


def _refusal(message: dict[str, Any]) -> ProviderError:
    """What an `Error` means; the session is closed after it."""
    kind = str(message.get("type") or "")
    text = f"{kind}: {message.get('reason')}"[:300]
    return ProviderError(text, provider=NAME, retryable=kind not in _FINAL_TYPES)
