"""A server of our own in another process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from antiphon.agent.load import load_agent
from antiphon.bench.phone_server import Server, agent_file, process_cost, read_metrics
from antiphon.errors import UserFacingError


def test_what_this_process_costs() -> None:
    cost = process_cost(os.getpid())
    assert cost.cpu_s > 0
    assert cost.rss_mb > 10
    assert cost.files > 2
    assert process_cost(2**22 + 1).rss_mb == 0


def test_prometheus_text_is_read() -> None:
    text = '# HELP x y\nx_total 3.0\nx_bucket{le="0.02"} 7.0\nbroken\nx{a="b c"} nonsense\n'
    assert read_metrics(text) == {"x_total": 3.0, 'x_bucket{le="0.02"}': 7.0}


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
