"""Tokens of sound and of text, as the vendors tell them: they have prices of their own."""

from __future__ import annotations

from antiphon.providers.base import Usage
from antiphon.providers.realtime import gemini_wire
from antiphon.providers.realtime.openai_events import usage_of


def test_openai_tells_what_was_sound_and_what_was_cached() -> None:
    usage = {
        "input_tokens": 130,
        "output_tokens": 90,
        "input_token_details": {
            "text_tokens": 30,
            "audio_tokens": 100,
            "cached_tokens": 64,
            "cached_tokens_details": {"text_tokens": 14, "audio_tokens": 50},
        },
        "output_token_details": {"text_tokens": 20, "audio_tokens": 70},
    }
    assert usage_of({"usage": usage}) == Usage(
        130, 90, 64, audio_input_tokens=100, audio_output_tokens=70, audio_cached_tokens=50
    )
    assert usage_of({"usage": {"input_tokens": 3, "output_tokens": 1}}) == Usage(3, 1)
    assert usage_of({}) is None


def test_gemini_tells_tokens_by_modality() -> None:
    usage = {
        "promptTokenCount": 130,
        "responseTokenCount": 70,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 30},
            {"modality": "AUDIO", "tokenCount": 100},
        ],
        "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 70}],
    }
    assert gemini_wire._usage(usage) == Usage(
        130, 70, audio_input_tokens=100, audio_output_tokens=70
    )
    assert gemini_wire._usage({}) == Usage(0, 0)
