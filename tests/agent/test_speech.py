"""The `speech` section of an agent's file."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from antiphon.agent.speech import SpeechConfig


def test_an_agent_speaks_like_a_person_unless_told_otherwise() -> None:
    speech = SpeechConfig()
    assert (speech.rate, speech.sentence_gap_ms, speech.clause_gap_ms) == (150, 250, 130)
    assert not speech.as_written


@pytest.mark.parametrize(
    "wrong", [{"rate": 20}, {"rate": "150"}, {"sentence_gap_ms": -1}, {"x": 1}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SpeechConfig.model_validate(wrong)
