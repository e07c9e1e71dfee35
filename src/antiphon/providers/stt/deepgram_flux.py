"""Deepgram Flux: a recogniser that also knows when the caller's turn is over.

Wire: https://developers.deepgram.com/reference/speech-to-text/listen-flux. `TurnInfo` tells the
whole turn so far, about every quarter of a second of audio and at each change: EagerEndOfTurn, then
TurnResumed or EndOfTurn. `ForceEndTurn` ends a turn at once; where none is under way it is ignored,
and projects for which Deepgram has not enabled it set `force_end: false`. So a flush is also
answered by any TurnInfo that reaches as far as the audio sent before it, and a little silence sent
after it sees to it that there is one. There is no KeepAlive: silence is what keeps a connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

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
from antiphon.providers.stt.deepgram import DEEPGRAM_URL, KEY_VARIABLE, MAX_KEYWORDS, refusal
from antiphon.providers.stt.options import SocketSttOptions, keywords
from antiphon.providers.stt.wire import Flushed, Frame, Link, Piece, Signal, Told, Wire
from antiphon.types import Word

NAME = "deepgram-flux"
CHUNK_MS = 80
KEEP_ALIVE_MS = 5000
TAIL_MS = 320
"""Silence after a flush: enough for the next Update, which comes after 250 ms of audio."""
QUIET_MS = 500
LULL_MS = 2000
_SLACK_MS = CHUNK_MS + 20


class FluxOptions(SocketSttOptions):
    """Options of `stt: deepgram-flux`."""

    base_url: str = Field(default=DEEPGRAM_URL, description="The server, without `/v2`.")
    model: str | None = Field(
        default=None, description="`flux-general-en` for English, else `flux-general-multi`."
    )
    keywords: tuple[str, ...] = Field(
        default=(), max_length=MAX_KEYWORDS, description="Words to expect, beside the vocabulary."
    )
    signals: bool = Field(default=True, description="Its end of turn counts for the turn's end.")
    eot_threshold: float | None = Field(
        default=None, ge=0.5, le=1.0, description="How sure it has to be that a turn is over; 0.7."
    )
    eager_eot_threshold: float | None = Field(
        default=0.5, ge=0.3, le=0.9, description="How sure for an early signal; null: none."
    )
    eot_timeout_ms: int | None = Field(
        default=None, ge=500, le=60_000, description="Silence that ends a turn anyway; 5000."
    )
    force_end: bool = Field(default=True, description="ForceEndTurn may be used.")
    numerals: bool = Field(default=False, description="Numbers as digits.")
    extra_query: dict[str, str] = Field(
        default={}, description="Further parameters of the address, such as `tag: calls`."
    )


class FluxStt(CloudStt):
    """Deepgram Flux, which also knows when the caller's turn is over."""

    Options = FluxOptions
    NAME = NAME
    KEY_VARIABLE = KEY_VARIABLE
    VENDOR_URL = DEEPGRAM_URL
    LIVE: ClassVar[dict[str, Any]] = {
        "chunk_ms": CHUNK_MS,
        "keep_alive_ms": KEEP_ALIVE_MS,
        "quiet_ms": QUIET_MS,
        "lull_ms": LULL_MS,
    }
    traits = Traits(
        "cloud",
        KEY_VARIABLE,
        ("partials", "word times", "confidence", "end of turn", "keywords", "languages"),
    )

    def __init__(self, options: FluxOptions, hints: AgentHints) -> None:
        super().__init__(options, hints)
        self._options = options
        self._language = (options.language or hints.language).partition("-")[0]
        english = self._language in ("", "en")
        self.model = options.model or ("flux-general-en" if english else "flux-general-multi")
        self._url = address(options.base_url, "/v2/listen", self._query(), options.extra_query)

    async def _connect(self) -> tuple[Link, Wire]:
        headers = self._authorization("Token")
        socket = await connect_and_greet(
            self._url,
            NAME,
            headers=headers,
            within_ms=self._options.connect_ms,
            is_ready=_is_connected,
        )
        return socket, FluxWire(signals=self._options.signals, force=self._options.force_end)

    def _query(self) -> list[tuple[str, str]]:
        options = self._options
        query = [("model", self.model), ("encoding", "linear16"), ("sample_rate", "16000")]
        if self.model.endswith("-multi") and self._language:
            query.append(("language_hint", self._language))
        thresholds = {
            "eot_threshold": options.eot_threshold,
            "eager_eot_threshold": options.eager_eot_threshold if options.signals else None,
            "eot_timeout_ms": options.eot_timeout_ms,
        }
        query += [(name, str(value)) for name, value in thresholds.items() if value is not None]
        if options.numerals:
            query.append(("numerals", flag(True)))
        words = keywords(self._hints, options.keywords, MAX_KEYWORDS)
        return query + [("keyterm", word) for word in words]


def _is_connected(message: dict[str, Any]) -> bool:
    if message.get("type") == "Error":
        raise refusal(message, NAME)
    return message.get("type") == "Connected"


class FluxWire:
    """One connection. Several turns of Flux may lie in one utterance, and one in several."""

    def __init__(self, *, signals: bool, force: bool) -> None:
        self._signals, self._force = signals, force
        self._clock = Clock()
        self._asked_ms: int | None = None  # how much was sent before the newest flush
        self._turn = -1
        self._told = 0  # words of this turn that were told for good

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        self._clock.audio(pcm)
        return [pcm]

    def flush(self) -> Sequence[Frame] | None:
        self._asked_ms = self._clock.sent_ms
        force = ['{"type": "ForceEndTurn"}'] if self._force else []
        return [*force, self._clock.silence(TAIL_MS)]

    def keep_alive(self) -> Sequence[Frame]:
        return [self._clock.silence(CHUNK_MS)]

    def close(self) -> Sequence[Frame]:
        return ['{"type": "CloseStream"}']

    def read(self, frame: Frame) -> Sequence[Told]:
        message = json_object(frame, NAME)
        if message.get("type") == "Error":
            raise refusal(message, NAME)
        return self._turn_info(message) if message.get("type") == "TurnInfo" else ()

    def _turn_info(self, message: dict[str, Any]) -> Sequence[Told]:
        if message["turn_index"] != self._turn:
            self._turn, self._told = message["turn_index"], 0
        event, words = message.get("event"), list(message.get("words") or ())
        ended = event == "EndOfTurn"
        reach_ms = in_ms(message["audio_window_end"])
        if ended and message.get("trigger") == "manual":
            reach_ms += TAIL_MS  # it ends a turn by what it had transcribed
        asked = self._asked_ms is not None and reach_ms >= self._asked_ms - _SLACK_MS
        told: list[Told] = [self._piece(message, words, ended or asked)]
        if ended or asked:
            self._told = len(words)
        if asked:
            self._asked_ms = None
        if self._signals and (signal := _signal(event, message.get("trigger"))):
            told.append(signal)
        return [*told, Flushed(self._clock.ours(reach_ms))]

    def _piece(self, message: dict[str, Any], words: list[dict[str, Any]], final: bool) -> Piece:
        fresh = words[self._told :]
        text = str(message["transcript"] or "")
        if self._told:
            text = " ".join(str(word["word"]) for word in fresh)
        confidences = [float(word.get("confidence", 1.0)) for word in fresh]
        return Piece(
            text,
            final,
            self._clock.ours(in_ms(message["audio_window_end"])),
            self._words(fresh),
            sum(confidences) / len(confidences) if confidences else 1.0,
            str((message.get("languages") or [""])[0]),
        )

    def _words(self, words: list[dict[str, Any]]) -> tuple[Word, ...]:
        """None where the model tells no times."""
        if any(word.get("start") is None or word.get("end") is None for word in words):
            return ()
        ours = self._clock.ours
        return tuple(
            Word(
                str(word["word"]),
                ours(in_ms(word["start"])),
                ours(in_ms(word["end"])),
                float(word.get("confidence", 1.0)),
            )
            for word in words
        )


def _signal(event: Any, trigger: Any) -> Signal | None:
    if event == "EagerEndOfTurn":
        return Signal("eager")
    if event == "TurnResumed":
        return Signal("resumed")
    # What was ended by our own ForceEndTurn is no news.
    return Signal("final") if event == "EndOfTurn" and trigger != "manual" else None
