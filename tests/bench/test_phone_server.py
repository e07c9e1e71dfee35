"""A server of our own in another process."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.agent.load import load_agent
from antiphon.bench.phone_server import Server, agent_file
from antiphon.errors import UserFacingError


def test_the_agent_is_a_valid_one(tmp_path: Path) -> None:
    import json

    path = tmp_path / "agent.yaml"
    path.write_text(json.dumps(agent_file()))
    assert load_agent(path).config.name == "Load"


@pytest.mark.e2e
async def test_one_that_cannot_start_says_why(tmp_path: Path) -> None:
    server = Server(tmp_path, {"name": "Broken", "stt": "nobody"}, 3)
    with pytest.raises(UserFacingError, match="does not start"):
        await server.start()
    await server.stop()
