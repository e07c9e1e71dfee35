from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from antiphon.bench.load import Load, load_agent, run_load
from antiphon.cli import app


async def test_every_turn_is_answered_where_nothing_fails() -> None:
    done: list[int] = []
    figures = await run_load(Load(calls=3, at_once=3, turns=1), lambda n, _: done.append(n))
    assert (figures.turns, figures.heard, done) == (3, {"the answer": 3}, [1, 2, 3])
    assert len(figures.answers_ms) == 3
    assert figures.in_time == 1.0
    assert not figures.ended_early
    assert not figures.provider_errors
    assert figures.cpu_s > 0


async def test_failures_are_counted_and_something_is_heard_all_the_same() -> None:
    load = Load(calls=6, at_once=6, turns=1, faults=0.4, seed=3)
    figures = await run_load(load)
    assert figures.turns == 6
    assert figures.provider_errors.total() > 0
    assert len(figures.answers_ms) >= 5


def test_faults_are_those_of_the_providers() -> None:
    config = load_agent(Load(faults=0.25)).config
    for one in (*config.recognisers, *config.brains, *config.voices):
        assert (one.options["fail_chance"], one.options["stall_chance"]) == (0.25, 0.25)
    assert len({one.options["seed"] for one in (*config.brains, *config.voices)}) == 4


def test_the_figures_can_be_had_as_json() -> None:
    arguments = ["bench", "load", "--calls", "1", "--at-once", "1", "--turns", "1", "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["turns"] == 1
    assert told["heard_in_time"] == 1
    assert told["longest_ms"] >= told["p50_ms"] > 300


@pytest.mark.parametrize("wrong", [["--calls", "0"], ["--faults", "2"]])
def test_what_cannot_be_is_refused(wrong: list[str]) -> None:
    assert CliRunner().invoke(app, ["bench", "load", *wrong]).exit_code == 2
