"""A sentence as sound, all at once."""

from __future__ import annotations

import pytest

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints
from antiphon.providers.scripted import ScriptedTts
from antiphon.session import render as render_module
from antiphon.session.render import RATE_HZ, render


def voice(**options: object) -> ScriptedTts:
    return ScriptedTts(ScriptedTts.Options.model_validate(options), AgentHints())


async def test_all_of_it_comes_at_one_rate() -> None:
    pcm = await render(voice(ms_per_word=200, sample_rate_hz=24_000), "one two three four")
    assert abs(len(pcm) / 2 / RATE_HZ - 0.8) < 0.3


async def test_a_voice_that_fails_says_so() -> None:
    with pytest.raises(ProviderError):
        await render(voice(fail_chance=1.0), "hello")


async def test_a_voice_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render_module, "MAX_SECONDS", 1)
    with pytest.raises(ProviderError, match="without end"):
        await render(voice(ms_per_word=500), "one two three four five six")
