"""OpenAI's realtime transcription: audio in over a WebSocket, text after each commit.

Wire: https://platform.openai.com/docs/guides/realtime-transcription. The session has no turn
detection of its own: a flush is a commit of the audio so far, which becomes an item, whose text
comes in deltas and is then completed. Some models (`gpt-live-transcribe`) send deltas before the
commit. Items may be completed in another order than they were committed in.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, field_validator

from antiphon.providers.base import AgentHints, SttStream, Traits
from antiphon.providers.secret import Secret, vendor_key
from antiphon.providers.stt._greeting import connect_and_greet
from antiphon.providers.stt._openai_wire import (
    NAME,
    RATE_HZ,
    OpenAiWire,
    refusal,
)
from antiphon.providers.stt.live import LiveStream
from antiphon.providers.stt.openai_batch import MAX_KEYWORDS, OPENAI_URL, prompt_of
from antiphon.providers.stt.options import CloudSttOptions, is_address, keywords, websocket_url
from antiphon.providers.stt.wire import Link, Vendor, Wire

MAX_SESSION_MS = 55 * 60_000
"""A session ends after an hour."""
_KEYWORD_MODELS = ("gpt-transcribe", "gpt-live-transcribe")


class OpenAiSttOptions(CloudSttOptions):
    """Options of `stt: openai`."""

    base_url: str = Field(default=OPENAI_URL, description="The server, with `/v1`.")
    model: str = Field(
        default="gpt-4o-transcribe",
        min_length=1,
        description="`gpt-live-transcribe` and `gpt-realtime-whisper` tell partial texts earlier. "
        "OpenAI has announced that the `gpt-4o` ones stop on 2027-02-26; then `gpt-transcribe`.",
    )
    prompt: str = Field(default="", max_length=800, description="What the talk is about.")
    noise_reduction: Literal["near_field", "far_field"] | None = Field(
        default=None, description="For a microphone at the mouth, or in the room; none by default."
    )
    final_ms: int = Field(
        default=2000, ge=50, le=60_000, description="Longest wait for a final text."
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return is_address(value, "https", "http", "wss", "ws")


class OpenAiStt:
    """OpenAI's realtime transcription (gpt-transcribe, gpt-4o-transcribe and their successors)."""

    Options = OpenAiSttOptions
    traits = Traits("cloud", "OPENAI_API_KEY", ("partials", "confidence", "languages", "keywords"))

    def __init__(self, options: OpenAiSttOptions, hints: AgentHints) -> None:
        self._options, self._hints = options, hints
        self._url = f"{websocket_url(options.base_url)}/realtime?intent=transcription"
        self._key: Secret | None = options.api_key

    @property
    def model(self) -> str:
        return self._options.model

    async def start(self) -> None:
        """Check the key. Each call has a connection of its own, opened when the call begins.

        Raises:
            UserFacingError: there is no key, and OpenAI is asked.
        """
        self._key = vendor_key(
            self._options.api_key, "OPENAI_API_KEY", "stt: openai", url=self._options.base_url,
            vendor_url=OPENAI_URL,
        )  # fmt: skip

    async def aclose(self) -> None:
        """Nothing is held between calls."""

    async def open(self) -> SttStream:
        return LiveStream(
            Vendor(
                NAME,
                self._connect,
                chunk_ms=40,
                final_ms=self._options.final_ms,
                max_session_ms=MAX_SESSION_MS,
            )
        )

    async def _connect(self) -> tuple[Link, Wire]:
        socket = await connect_and_greet(
            self._url,
            NAME,
            headers={"Authorization": f"Bearer {self._key.value}"} if self._key else {},
            within_ms=self._options.connect_ms,
            is_ready=_is_configured,
            hello=json.dumps({"type": "session.update", "session": self._session()}),
        )
        return socket, OpenAiWire()

    def _session(self) -> dict[str, Any]:
        options, model = self._options, self._options.model
        words = keywords(self._hints, (), MAX_KEYWORDS)
        transcription: dict[str, Any] = {"model": model}
        language = (options.language or self._hints.language).partition("-")[0]
        if language != "auto":
            transcription["language"] = language
        if model.startswith(_KEYWORD_MODELS) and words:
            transcription["keywords"] = list(words)
            words = ()
        # This model knows no prompt and refuses the field.
        if model != "gpt-realtime-whisper" and (prompt := prompt_of(options.prompt, words)):
            transcription["prompt"] = prompt
        session: dict[str, Any] = {
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": RATE_HZ},
                    "transcription": transcription,
                    "turn_detection": None,
                    "noise_reduction": (
                        {"type": options.noise_reduction} if options.noise_reduction else None
                    ),
                }
            },
        }
        if model.startswith("gpt-4o"):
            session["include"] = ["item.input_audio_transcription.logprobs"]
        return session


def _is_configured(event: dict[str, Any]) -> bool:
    if event.get("type") == "error":
        raise refusal(event)
    return event.get("type") == "session.updated"
