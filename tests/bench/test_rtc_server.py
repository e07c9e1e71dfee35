"""The server of a load over WebRTC."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from antiphon.agent.load import load_agent
from antiphon.bench.rtc_server import RtcServer, agent_file


@pytest.mark.parametrize("quiet", [True, False])
def test_the_agent_is_a_valid_one(tmp_path: Path, quiet: bool) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(json.dumps(agent_file(quiet=quiet)))
    agent = load_agent(path)
    assert bool(agent.config.greeting) is not quiet
    assert agent.config.vad.provider == "silero"


def test_its_files_are_written_before_it_starts(tmp_path: Path) -> None:
    RtcServer(tmp_path, agent_file(), 3).prepare()
    assert load_agent(tmp_path / "agent.yaml").config.name == "Load"
