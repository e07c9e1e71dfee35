"""What providers are given to hear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.house.source import ROOT

from antiphon.agent.config import AgentConfig
from antiphon.agent.default import default_agent
from antiphon.agent.load import LoadedAgent, load_agent
from antiphon.bench.recordings import examples, recorded, spoken, voice_of
from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints

SPEECH = ROOT / "tests" / "data" / "speech"


def agent(**config: Any) -> LoadedAgent:
    return LoadedAgent(Path("a"), AgentConfig(name="a", **config), AgentHints(), ())


def test_examples_are_what_callers_of_the_agent_say() -> None:
    cafe = load_agent(default_agent())
    found = examples(cafe, 12)
    assert len(set(found)) == 12
    assert set(found) <= set(cafe.hints.sentences)
    assert found == examples(cafe, 12)


def test_an_agent_without_a_flow_hears_what_anybody_says() -> None:
    assert len(examples(agent(), 20)) == 20


def test_in_another_language_recordings_are_needed() -> None:
    with pytest.raises(UserFacingError, match="name recordings"):
        examples(agent(language="de"), 1)
    german = agent(language="de", tts={"provider": "espeak-ng"})
    assert voice_of(german).provider == "espeak-ng"
    assert voice_of(agent()).provider == "flite"


async def test_a_sentence_is_spoken_as_a_caller_would() -> None:
    (one,) = await spoken(agent(), ["a large latte please"])
    assert one.text == one.name == "a large latte please"
    ((begin, end),) = one.spans
    assert 300 <= begin <= 600
    assert 1000 <= end < one.ms


async def test_recordings_of_a_folder() -> None:
    found = await recorded(agent(vad="energy"), [SPEECH])
    assert len(found) == len(list(SPEECH.glob("*.flac")))
    assert all(one.edges and not one.text for one in found)


async def test_recordings_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="no recording is in this folder"):
        await recorded(agent(vad="energy"), [tmp_path])
    with pytest.raises(UserFacingError, match="no such file"):
        await recorded(agent(vad="energy"), [tmp_path / "gone.wav"])
