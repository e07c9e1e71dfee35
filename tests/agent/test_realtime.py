from __future__ import annotations

from pathlib import Path

from tests.support.stage import agent

from antiphon.agent.load import load_agent
from antiphon.agent.realtime import DECIDES_MS, for_realtime


def test_nothing_is_prepared_and_text_stays_as_written(tmp_path: Path) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("name: Cafe\nrealtime: openai\nturn: {speculation: {prepare: voice}}\n")
    loaded = load_agent(file)
    assert loaded.config.turn.speculation.prepare == "nothing"
    assert loaded.config.turn.endpointing.mode == "automatic"
    assert loaded.config.speech.as_written
    assert (loaded.setup.llms, loaded.setup.voices, loaded.setup.stts) == (2, 2, 1)


def test_a_model_that_decides_ends_the_turns() -> None:
    config = for_realtime(agent(realtime="deepgram").config)
    assert config.turn.endpointing.mode == "stt"
    assert config.turn.endpointing.stt_deadline_ms == DECIDES_MS


def test_other_agents_stay_as_they_are() -> None:
    config = agent().config
    assert for_realtime(config) is config
