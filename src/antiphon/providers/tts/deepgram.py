"""Deepgram Aura: https://developers.deepgram.com/reference/text-to-speech/speak-streaming

A socket speaks for one response at a time. Each segment is flushed, and its sound ends where
`Flushed` comes; of that a socket allows twenty in a minute, so that a long answer goes on over
another one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
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
)
from antiphon.providers.secret import vendor_key
from antiphon.providers.tts.options import CloudVoiceOptions, note_consent, pace, socket_url
from antiphon.providers.tts.socket_voice import Dialect, Samples, SocketLimits, SocketVoice
from antiphon.providers.tts.sockets import Lane, Message, Sockets, Wire

URL = "https://api.deepgram.com"
# https://developers.deepgram.com/docs/tts-ws-flush: 20 in 60 seconds.
FLUSHES, FLUSHES_S = 18, 61.0


class DeepgramTtsOptions(CloudVoiceOptions):
    """Options of `tts: deepgram`."""

    voice: str = Field(
        default="aura-2-thalia-en",
        min_length=1,
        description="The voice, which is a model of its own, with its language at the end.",
    )
    base_url: str = Field(default=URL, description="The server.")
    sample_rate_hz: Literal[8_000, 16_000, 24_000, 32_000, 48_000] = Field(
        default=24_000, description="Rate of the sound."
    )
    speed: float | None = Field(
        default=None, ge=0.7, le=1.5, description="1.0 is as usual (Aura 2: English, Spanish)."
    )
    mip_opt_out: bool = Field(
        default=False, description="Keep the text out of the vendor's model improvement."
    )
    warm_sockets: int = Field(
        default=2, ge=1, le=16, description="Free sockets kept open; each speaks for one call."
    )


class DeepgramTts:
    """Deepgram's Aura voices: quick and plain. One socket speaks for one response at a time, and
    some are kept warm."""

    Options = DeepgramTtsOptions
    traits = Traits("cloud", "DEEPGRAM_API_KEY", ("speed", "languages"))

    def __init__(self, options: DeepgramTtsOptions, hints: AgentHints) -> None:
        self._options = options
        self._wire = _Wire(options, hints)
        self._sockets = Sockets(self._wire, warm=options.warm_sockets)
        self._voice = SocketVoice("deepgram", self._sockets, SocketLimits.of(options), _Turn)

    @property
    def sample_rate_hz(self) -> int:
        return self._options.sample_rate_hz

    @property
    def model(self) -> str:
        return self._options.voice

    async def start(self) -> None:
        """Open a socket.

        Raises:
            UserFacingError: no key.
        """
        options = self._options
        url, variable = options.base_url, self.traits.key
        key = vendor_key(options.api_key, variable, "deepgram", url=url, vendor_url=URL)
        self._wire.headers = {"Authorization": f"Token {key.value}"} if key else {}
        note_consent("deepgram", options.voice, options)
        await self._sockets.start()

    async def aclose(self) -> None:
        await self._sockets.aclose()

    def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; see `Tts.stream`. No word times."""
        return self._voice.stream(segments)


class _Wire(Wire):
    provider, confirms = "deepgram", True

    def __init__(self, options: DeepgramTtsOptions, hints: AgentHints) -> None:
        url = socket_url(
            options.base_url,
            "v1/speak",
            {
                "model": options.voice,
                "encoding": "linear16",
                "sample_rate": options.sample_rate_hz,
                "speed": pace(options.speed, hints, 0.7, 1.5),
                "mip_opt_out": options.mip_opt_out or None,
            },
        )
        super().__init__(url, options.connect_ms)

    def ends(self, message: Message) -> bool:
        return not isinstance(message, bytes) and message.get("type") == "Cleared"

    def cancel(self, lane: str) -> list[dict[str, Any]]:
        return [{"type": "Clear"}]

    def usable(self, spent: deque[float]) -> bool:
        now = asyncio.get_running_loop().time()
        while spent and now - spent[0] > FLUSHES_S:
            spent.popleft()
        return len(spent) < FLUSHES


class _Turn(Dialect):
    """One response on a socket: its segments follow each other."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._open: deque[TtsSegment] = deque()
        self._samples = Samples()

    def write(self, segment: TtsSegment) -> list[dict[str, Any]]:
        self._open.append(segment)
        self._lane.spend()
        return [{"type": "Speak", "text": segment.text.strip()}, {"type": "Flush"}]

    @property
    def ready(self) -> bool:  # type: ignore[override]
        return self._lane.usable

    @property
    def stale(self) -> bool:  # type: ignore[override]
        return not self._lane.usable

    def take(self, message: Message) -> list[TtsEvent]:
        if not self._open:
            return []
        number = self._open[0].segment_id
        if isinstance(message, bytes):
            pcm = self._samples.push(message)
            return [TtsAudio(number, pcm)] if pcm else []
        kind = message.get("type")
        if kind == "Flushed":
            self._open.popleft()
            self._samples = Samples()
            return [TtsSegmentDone(number)]
        if kind == "Error":
            raise _error(message)
        return []


def _error(message: dict[str, Any]) -> ProviderError:
    code = str(message.get("code") or message.get("err_code") or "")
    said = message.get("description") or message.get("err_msg") or message.get("message") or ""
    text = f"{code} {said}".strip() or "an error without a message"
    # DATA: what was sent is wrong. NET and the rest: their side.
    return ProviderError(text[:300], provider="deepgram", retryable=not code.startswith("DATA"))
