"""How the agent speaks: the `speech` section of its file."""

from __future__ import annotations

from pydantic import Field

from antiphon.agent.fields import Group


class SpeechConfig(Group):
    """How the agent speaks, whatever its voice."""

    rate: int = Field(
        default=150,
        strict=True,
        ge=80,
        le=300,
        description="Words a minute, 80 to 300, for a voice that has a setting for it.",
    )
    sentence_gap_ms: int = Field(
        default=250, strict=True, ge=0, le=2000, description="Pause after a sentence."
    )
    clause_gap_ms: int = Field(
        default=130, strict=True, ge=0, le=2000, description="Pause after a comma, or the like."
    )
    as_written: bool = Field(
        default=False,
        strict=True,
        description="Leave numbers, dates and the like for the voice to read, as they are written.",
    )
