"""Cartesia: https://docs.cartesia.ai/api-reference/tts/websocket

A response is a context, over which the voice's melody runs on. After each segment the context is
flushed, so that its sound and words have a number (`flush_id`, from 1) of their own. A context ends
by itself a second after its last sound: what is written later begins another.
"""

from __future__ import annotations

import asyncio
import base64
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from antiphon.errors import ProviderError
from antiphon.providers.base import (
    AgentHints,
    Traits,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
    TtsWords,
)
from antiphon.providers.secret import vendor_key
from antiphon.providers.tts.options import CloudVoiceOptions, note_consent, pace, socket_url
from antiphon.providers.tts.socket_voice import Dialect, Samples, SocketLimits, SocketVoice
from antiphon.providers.tts.sockets import Lane, Message, Sockets, Wire
from antiphon.providers.tts.timing import Told, onto_written

URL = "https://api.cartesia.ai"
VERSION = "2026-08-14"
# "The WebSocket scales up to dozens of concurrent generations."
CONTEXTS = 24
_EXPIRES_S = 0.7


class CartesiaOptions(CloudVoiceOptions):
    """Options of `tts: cartesia`."""

    voice: str = Field(
        default="6ccbfb76-1fc6-48f7-b71d-91ac6298247b",
        min_length=1,
        description="The voice's id, that of a cloned voice included.",
    )
    model: str = Field(default="sonic-3", description="The model.")
    base_url: str = Field(default=URL, description="The server.")
    sample_rate_hz: Literal[8_000, 16_000, 22_050, 24_000, 44_100, 48_000] = Field(
        default=24_000, description="Rate of the sound."
    )
    language: str | None = Field(default=None, description="Two letters; the agent's when absent.")
    speed: float | None = Field(
        default=None, ge=0.6, le=1.5, description="1.0 is as usual (`sonic-3` and later)."
    )
    volume: float | None = Field(default=None, ge=0.5, le=2.0, description="1.0 is as usual.")
    emotion: str | None = Field(
        default=None, description="Such as `neutral`, `calm`, `excited`, `sympathetic`, `sad`."
    )
    pronunciation_dictionary: str | None = Field(
        default=None, description="The id of a dictionary kept there."
    )


class CartesiaTts:
    """Cartesia's Sonic voices, cloned ones included, in over 40 languages; over a socket that is
    shared and kept warm."""

    Options = CartesiaOptions
    traits = Traits(
        "cloud",
        "CARTESIA_API_KEY",
        (
            *("word times", "speed", "volume", "emotion", "cloned voices", "languages"),
            "pronunciation dictionaries",
        ),
    )

    def __init__(self, options: CartesiaOptions, hints: AgentHints) -> None:
        self._options = options
        url = socket_url(options.base_url, "tts/websocket", {})
        self._wire = _Wire(url, options.connect_ms)
        self._sockets = Sockets(self._wire)
        self._request = _request(options, hints)
        self._voice = SocketVoice(
            "cartesia", self._sockets, SocketLimits.of(options), self._context
        )

    @property
    def sample_rate_hz(self) -> int:
        return self._options.sample_rate_hz

    @property
    def model(self) -> str:
        return self._options.model

    async def start(self) -> None:
        """Open a socket.

        Raises:
            UserFacingError: no key.
        """
        options = self._options
        url, variable = options.base_url, self.traits.key
        key = vendor_key(options.api_key, variable, "cartesia", url=url, vendor_url=URL)
        self._wire.headers = {"Cartesia-Version": VERSION}
        if key is not None:
            self._wire.headers["Authorization"] = f"Bearer {key.value}"
        note_consent("cartesia", options.voice, options)
        await self._sockets.start()

    async def aclose(self) -> None:
        await self._sockets.aclose()

    def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; see `Tts.stream`."""
        return self._voice.stream(segments)

    def _context(self, lane: Lane) -> _Context:
        return _Context({**self._request, "context_id": lane.name}, self.sample_rate_hz)


def _request(options: CartesiaOptions, hints: AgentHints) -> dict[str, Any]:
    """What every message of a context says; it may not change within one."""
    request: dict[str, Any] = {
        "model_id": options.model,
        "voice": {"mode": "id", "id": options.voice},
        "language": options.language or hints.language.partition("-")[0],
        "output_format": {
            "container": "raw",
            "encoding": "pcm_s16le",
            "sample_rate": options.sample_rate_hz,
        },
        "add_timestamps": True,
    }
    speed = pace(options.speed, hints, 0.6, 1.5)
    asked = {"speed": speed, "volume": options.volume, "emotion": options.emotion}
    if said := {name: value for name, value in asked.items() if value is not None}:
        request["generation_config"] = said
    if options.pronunciation_dictionary is not None:
        request["pronunciation_dict_id"] = options.pronunciation_dictionary
    return request


class _Wire(Wire):
    provider, lanes = "cartesia", CONTEXTS

    def address(self, message: Message) -> str | None:
        name = None if isinstance(message, bytes) else message.get("context_id")
        return str(name) if name else None

    def cancel(self, lane: str) -> list[dict[str, Any]]:
        return [{"context_id": lane, "cancel": True}]


@dataclass
class _Flush:
    """A segment, and what has come of it."""

    segment: TtsSegment
    number: int
    size: int = 0
    told: list[Told] = field(default_factory=list)
    flushed: bool = False


class _Context(Dialect):
    """One context: the segments written, by the number of their flush."""

    def __init__(self, request: dict[str, Any], sample_rate_hz: int) -> None:
        self._request, self._bytes_per_ms = request, sample_rate_hz * 2 / 1000
        self._open: deque[_Flush] = deque()
        self._written, self._ms_before = 0, 0.0
        self._ended, self._samples = False, Samples()
        self._heard_at = asyncio.get_running_loop().time()

    def write(self, segment: TtsSegment) -> list[dict[str, Any]]:
        self._written += 1
        self._open.append(_Flush(segment, self._written))
        # Texts are joined as they are: the space between two is part of one.
        said = {**self._request, "transcript": segment.text.strip() + " ", "continue": True}
        return [said, {**self._request, "transcript": "", "continue": True, "flush": True}]

    def finish(self) -> list[dict[str, Any]]:
        return [{**self._request, "transcript": "", "continue": False}]

    @property
    def stale(self) -> bool:  # type: ignore[override]
        return self._ended or asyncio.get_running_loop().time() - self._heard_at > _EXPIRES_S

    def take(self, message: Message) -> list[TtsEvent]:
        if isinstance(message, bytes):
            return []
        kind = message.get("type")
        if kind == "error":
            raise _error(message)
        events: list[TtsEvent] = []
        number = message.get("flush_id")
        while self._open and isinstance(number, int) and number > self._open[0].number:
            events += self._done()
        if kind == "done":
            self._ended = True
            while self._open:
                events += self._done()
        if not self._open:
            return events
        first = self._open[0]
        if kind == "chunk":
            self._heard_at = asyncio.get_running_loop().time()
            if pcm := self._samples.push(base64.b64decode(message["data"])):
                first.size += len(pcm)
                events.append(TtsAudio(first.segment.segment_id, pcm))
        elif kind == "timestamps":
            first.told += _told(message)
        elif kind == "flush_done":
            first.flushed = True
        if first.flushed and first.size:
            events += self._done()
        return events

    def _done(self) -> list[TtsEvent]:
        flush = self._open.popleft()
        length_ms = flush.size / self._bytes_per_ms
        before_ms, self._ms_before = self._ms_before, self._ms_before + length_ms
        # Times run on over a context; those that begin anew are of the segment already.
        runs_on = bool(flush.told) and flush.told[0][1] >= before_ms - 200
        off = before_ms if runs_on else 0.0
        told = [(word, start - off, end - off) for word, start, end in flush.told]
        words = onto_written(flush.segment.text, told, int(length_ms))
        done = TtsSegmentDone(flush.segment.segment_id)
        return [TtsWords(flush.segment.segment_id, words), done] if words else [done]


def _told(message: dict[str, Any]) -> list[Told]:
    times = message.get("word_timestamps") or {}
    rows = zip(times.get("words", ()), times.get("start", ()), times.get("end", ()), strict=False)
    return [(str(word), float(start) * 1000, float(end) * 1000) for word, start, end in rows]


def _error(message: dict[str, Any]) -> ProviderError:
    status = message.get("status_code")
    said = [str(message[key]) for key in ("title", "message", "error") if message.get(key)]
    code = status if isinstance(status, int) else None
    retryable = code is None or code in (408, 409, 425, 429) or code >= 500
    text = ": ".join(said)[:300] or "an error without a message"
    return ProviderError(text, provider="cartesia", retryable=retryable, status=code)
