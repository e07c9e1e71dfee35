"""Rime: https://docs.rime.ai/docs/websockets, the socket `/ws3`, with `segment=never`.

A socket speaks for one response at a time. What is flushed while something is spoken is joined to
what else waits, and has no end of its own: so a segment is sent when the one before is done. What
is being spoken cannot be called back but by closing the socket; another one is kept warm for that.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any, Literal

import httpx
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
from antiphon.providers.secret import Secret, vendor_key
from antiphon.providers.tts.http_voice import HttpLimits, HttpVoice
from antiphon.providers.tts.options import CloudVoiceOptions, note_consent, socket_url
from antiphon.providers.tts.socket_voice import Dialect, Samples, SocketLimits, SocketVoice
from antiphon.providers.tts.sockets import Lane, Message, Sockets, Wire
from antiphon.providers.tts.timing import Told, onto_written

URL = "https://users-ws.rime.ai"
HTTP_URL = "https://users.rime.ai"


class RimeOptions(CloudVoiceOptions):
    """Options of `tts: rime`."""

    voice: str = Field(default="astra", min_length=1, description="The speaker; it fits the model.")
    model: str = Field(default="arcana", description="`arcana`, `mistv2`, `mistv3` or `coda`.")
    base_url: str | None = Field(
        default=None, description="The server; Rime's for the transport when absent."
    )
    transport: Literal["socket", "http"] = Field(
        default="socket", description="`http`: a request for each segment, and no word times."
    )
    sample_rate_hz: Literal[8_000, 16_000, 22_050, 24_000, 44_100] = Field(
        default=24_000, description="Rate of the sound."
    )
    language: str | None = Field(
        default=None,
        description="As Rime writes it for the model (`eng`, `spa`, `en`); the speaker's when "
        "absent.",
    )
    speed_alpha: float | None = Field(
        default=None,
        ge=0.25,
        le=4.0,
        description="Rime's `speedAlpha`; below 1.0 is faster with `mistv2`.",
    )
    warm_sockets: int = Field(
        default=2, ge=1, le=16, description="Free sockets kept open; each speaks for one call."
    )


class RimeTts:
    """Rime's conversational voices; over sockets that are kept warm, or over HTTP."""

    Options = RimeOptions
    traits = Traits("cloud", "RIME_API_KEY", ("word times", "speed", "cloned voices", "languages"))

    def __init__(self, options: RimeOptions, hints: AgentHints) -> None:
        self._options = options
        usual = URL if options.transport == "socket" else HTTP_URL
        self._url, self._usual_url = options.base_url or usual, usual
        asked = {**_settings(options), "audioFormat": "pcm", "segment": "never"}
        self._wire = _Wire(socket_url(self._url, "ws3", asked), options.connect_ms)
        self._sockets = Sockets(self._wire, warm=options.warm_sockets)
        self._voice = SocketVoice("rime", self._sockets, SocketLimits.of(options), self._turn)
        limits = HttpLimits(options.connect_ms, options.first_audio_ms, options.idle_ms)
        self._http = HttpVoice("rime", self._url, limits, self._build)

    @property
    def sample_rate_hz(self) -> int:
        return self._options.sample_rate_hz

    @property
    def model(self) -> str:
        return self._options.model

    async def start(self) -> None:
        """Open sockets, or a client.

        Raises:
            UserFacingError: no key.
        """
        options = self._options
        key: Secret | None = vendor_key(
            options.api_key, self.traits.key, "rime", url=self._url, vendor_url=self._usual_url
        )
        headers = {"Authorization": f"Bearer {key.value}"} if key else {}
        note_consent("rime", options.voice, options)
        if options.transport == "http":
            await self._http.start({**headers, "Accept": "audio/pcm"})
            return
        self._wire.headers = headers
        await self._sockets.start()

    async def aclose(self) -> None:
        await self._sockets.aclose()
        await self._http.aclose()

    def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; see `Tts.stream`."""
        http = self._options.transport == "http"
        return self._http.stream(segments) if http else self._voice.stream(segments)

    def _turn(self, lane: Lane) -> _Turn:
        return _Turn(lane.name, self.sample_rate_hz)

    def _build(self, client: httpx.AsyncClient, text: str) -> httpx.Request:
        asked = {**_settings(self._options), "text": text}
        return client.build_request("POST", "v1/rime-tts", json=asked)


def _settings(options: RimeOptions) -> dict[str, Any]:
    asked = {
        "speaker": options.voice,
        "modelId": options.model,
        "samplingRate": options.sample_rate_hz,
        "lang": options.language,
        "speedAlpha": options.speed_alpha,
    }
    return {name: value for name, value in asked.items() if value is not None}


class _Wire(Wire):
    provider = "rime"


class _Turn(Dialect):
    """One response on a socket: one segment at a time."""

    def __init__(self, name: str, sample_rate_hz: int) -> None:
        self._name, self._bytes_per_ms = name, sample_rate_hz * 2 / 1000
        self._waiting: list[TtsSegment] = []
        self._written, self._size = 0, 0
        self._told: list[Told] = []
        self._samples = Samples()

    @property
    def ready(self) -> bool:  # type: ignore[override]
        return not self._waiting

    def write(self, segment: TtsSegment) -> list[dict[str, Any]]:
        self._waiting.append(segment)
        self._written += 1
        text = {"text": segment.text.strip() + " ", "contextId": f"{self._name}-{self._written}"}
        return [text, {"operation": "flush"}]

    def take(self, message: Message) -> list[TtsEvent]:
        if isinstance(message, bytes) or not self._waiting:
            return []
        kind, segment = message.get("type"), self._waiting[0]
        if kind == "chunk":
            pcm = self._samples.push(base64.b64decode(message["data"]))
            self._size += len(pcm)
            return [TtsAudio(segment.segment_id, pcm)] if pcm else []
        if kind == "timestamps":
            times = message.get("word_timestamps") or {}
            rows = zip(times["words"], times["start"], times["end"], strict=False)
            self._told += [(str(w), float(s) * 1000, float(e) * 1000) for w, s, e in rows]
        elif kind == "error":
            said = str(message.get("message") or "an error without a message")
            raise ProviderError(said[:300], provider="rime", retryable=True)
        elif kind == "done":
            return self._done(segment)
        return []

    def _done(self, segment: TtsSegment) -> list[TtsEvent]:
        words = onto_written(segment.text, self._told, int(self._size / self._bytes_per_ms))
        self._waiting.pop(0)
        self._told, self._size, self._samples = [], 0, Samples()
        done = TtsSegmentDone(segment.segment_id)
        return [TtsWords(segment.segment_id, words), done] if words else [done]
