"""Options that voices share: which voice, whose it is, and how long to wait for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Self
from urllib.parse import urlencode

from pydantic import Field, model_validator

from antiphon.providers.base import AgentHints, ProviderOptions
from antiphon.providers.secret import Secret

_log = logging.getLogger("antiphon.tts")

USUAL_RATE = 150
"""Words a minute that a voice is taken to speak when nothing is asked for."""


class VoiceOptions(ProviderOptions):
    """Of a voice that may be a copy of somebody's. A subclass adds `voice`."""

    voice_is_cloned: bool = Field(
        default=False, description="The voice is a copy of a person's; `cloned_voice_consent` too."
    )
    cloned_voice_consent: str | None = Field(
        default=None,
        max_length=500,
        description="Who agreed that their voice is used, and when. Logged at the start.",
    )

    @model_validator(mode="after")
    def _somebody_agreed(self) -> Self:
        if self.voice_is_cloned and not (self.cloned_voice_consent or "").strip():
            raise ValueError(
                "a cloned voice needs `cloned_voice_consent`: who agreed to its use, and when"
            )
        return self


class CloudVoiceOptions(VoiceOptions):
    """Of a voice behind a network. A subclass adds `base_url`, `model` and `voice`."""

    api_key: Secret | None = Field(
        default=None,
        description="The key, as `${VARIABLE}`; else the vendor's usual variable is used.",
    )
    connect_ms: int = Field(default=3000, ge=10, le=60_000, description="Longest connecting.")
    first_audio_ms: int = Field(
        default=2500, ge=10, le=60_000, description="Longest wait for the sound of a segment."
    )
    idle_ms: int = Field(
        default=3000, ge=10, le=60_000, description="Longest wait between two pieces of it."
    )


def note_consent(provider: str, voice: str, options: VoiceOptions) -> None:
    """Log whose voice is used by whose leave. Called by `start()`."""
    if options.cloned_voice_consent:
        _log.info(
            "cloned voice",
            extra={"provider": provider, "voice": voice, "consent": options.cloned_voice_consent},
        )


def speakable(text: str) -> bool:
    """Whether there is anything to say: vendors refuse, or say strange things for, marks alone."""
    return any(letter.isalnum() for letter in text)


def pace(speed: float | None, hints: AgentHints, low: float, high: float) -> float | None:
    """How fast to speak, 1.0 being as usual, within what the vendor takes: the agent's rate and the
    voice's `speed` together; None when neither was asked for."""
    if speed is None and hints.rate == USUAL_RATE:
        return None
    return round(min(high, max(low, (speed or 1.0) * hints.rate / USUAL_RATE)), 2)


def socket_url(base_url: str, path: str, query: Mapping[str, object]) -> str:
    """The WebSocket at a path of an HTTP server. What is None in the query is left out, and truth
    is written in small letters."""
    base = base_url.rstrip("/")
    if base.startswith("http"):
        base = "ws" + base.removeprefix("http")
    asked = {key: value for key, value in query.items() if value is not None}
    written = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in asked.items()}
    return f"{base}/{path}" + (f"?{urlencode(written)}" if written else "")
