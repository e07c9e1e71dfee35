"""OpenAI's realtime transcription: audio in over a WebSocket, text after each commit.

Wire: https://platform.openai.com/docs/guides/realtime-transcription. The session has no turn
detection of its own: a flush is a commit of the audio so far, which becomes an item, whose text
comes in deltas and is then completed. Some models (`gpt-live-transcribe`) send deltas before the
commit. Items may be completed in another order than they were committed in.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar, Literal

from pydantic import Field

from antiphon.providers.base import AgentHints, Traits
from antiphon.providers.stt._greeting import connect_and_greet
from antiphon.providers.stt._openai_wire import (
    NAME,
    RATE_HZ,
    OpenAiWire,
    refusal,
)
from antiphon.providers.stt.cloud import CloudStt
from antiphon.providers.stt.openai_batch import MAX_KEYWORDS, OPENAI_URL, prompt_of
from antiphon.providers.stt.options import SocketSttOptions, keywords, websocket_url
from antiphon.providers.stt.wire import Link, Wire

MAX_SESSION_MS = 55 * 60_000
"""A session ends after an hour."""
_KEYWORD_MODELS = ("gpt-transcribe", "gpt-live-transcribe")


class OpenAiSttOptions(SocketSttOptions):
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


class OpenAiStt(CloudStt):
    """OpenAI's realtime transcription (gpt-transcribe, gpt-4o-transcribe and their successors)."""

    Options = OpenAiSttOptions
    NAME = NAME
    KEY_VARIABLE = "OPENAI_API_KEY"
    VENDOR_URL = OPENAI_URL
    LIVE: ClassVar[dict[str, Any]] = {
        "chunk_ms": 40,
        "max_session_ms": MAX_SESSION_MS,
    }
    traits = Traits("cloud", "OPENAI_API_KEY", ("partials", "confidence", "languages", "keywords"))

    def __init__(self, options: OpenAiSttOptions, hints: AgentHints) -> None:
        super().__init__(options, hints)
        self._options = options
        self._url = f"{websocket_url(options.base_url)}/realtime?intent=transcription"

    async def _connect(self) -> tuple[Link, Wire]:
        socket = await connect_and_greet(
            self._url,
            NAME,
            headers=self._authorization(),
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
