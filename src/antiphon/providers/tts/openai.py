"""OpenAI speech: https://platform.openai.com/docs/api-reference/audio/createSpeech

One request for each segment, its sound raw and as it is made: 24 kHz mono s16. Many servers of
one's own speak the same (`base_url`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

import httpx
from pydantic import Field

from antiphon.providers.base import AgentHints, Traits, TtsEvent, TtsSegment
from antiphon.providers.secret import vendor_key
from antiphon.providers.tts.http_voice import HttpLimits, HttpVoice
from antiphon.providers.tts.options import CloudVoiceOptions, note_consent, pace

URL = "https://api.openai.com/v1"
MAX_CHARS = 4096


class OpenAiTtsOptions(CloudVoiceOptions):
    """Options of `tts: openai`."""

    voice: str = Field(
        default="alloy",
        min_length=1,
        description="`alloy`, `ash`, `ballad`, `coral`, `echo`, `fable`, `onyx`, `nova`, `sage`, "
        "`shimmer`, `verse`, `marin`, `cedar`, or the id of a voice of one's own (`voice_...`).",
    )
    model: str = Field(
        default="gpt-4o-mini-tts",
        description="The model. The vendor has announced that today's stop on 2027-01-06.",
    )
    base_url: str = Field(default=URL, description="The server, with `/v1`.")
    instructions: str | None = Field(
        default=None,
        max_length=4096,
        description="How to speak: tone, accent, emotion, pace (not with `tts-1`).",
    )
    speed: float | None = Field(default=None, ge=0.25, le=4.0, description="1.0 is as usual.")
    sample_rate_hz: Literal[8_000, 16_000, 22_050, 24_000, 44_100, 48_000] = Field(
        default=24_000, description="OpenAI's is 24000; other servers may have another."
    )


class OpenAiTts:
    """OpenAI's voices, which are told in words how to speak; or any server with the same API."""

    Options = OpenAiTtsOptions
    traits = Traits(
        "cloud", "OPENAI_API_KEY", ("speed", "style", "emotion", "cloned voices", "languages")
    )

    def __init__(self, options: OpenAiTtsOptions, hints: AgentHints) -> None:
        self._options = options
        self._speed = pace(options.speed, hints, 0.25, 4.0)
        limits = HttpLimits(options.connect_ms, options.first_audio_ms, options.idle_ms)
        self._voice = HttpVoice("openai", options.base_url, limits, self._build)

    @property
    def sample_rate_hz(self) -> int:
        return self._options.sample_rate_hz

    @property
    def model(self) -> str:
        return self._options.model

    async def start(self) -> None:
        """Open a connection.

        Raises:
            UserFacingError: no key.
        """
        options = self._options
        url, variable = options.base_url, self.traits.key
        key = vendor_key(options.api_key, variable, "openai", url=url, vendor_url=URL)
        note_consent("openai", options.voice, options)
        headers = {"Authorization": f"Bearer {key.value}"} if key else {}
        await self._voice.start(headers, warm_path=f"models/{options.model}")

    async def aclose(self) -> None:
        await self._voice.aclose()

    def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; see `Tts.stream`. No word times."""
        return self._voice.stream(segments)

    def _build(self, client: httpx.AsyncClient, text: str) -> httpx.Request:
        options = self._options
        own = options.voice.startswith("voice_")
        body: dict[str, Any] = {
            "model": options.model,
            "voice": {"id": options.voice} if own else options.voice,
            "input": text[:MAX_CHARS],
            "response_format": "pcm",
        }
        if options.instructions is not None:
            body["instructions"] = options.instructions
        if self._speed is not None:
            body["speed"] = self._speed
        return client.build_request("POST", "audio/speech", json=body)
