"""Many items."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.bench.test_items import DATA

from antiphon.agent.config import AgentConfig
from antiphon.bench.items import read_items
from antiphon.bench.run import Plan, patient, run_items
from antiphon.errors import UserFacingError

ITEMS = read_items(DATA)[:2]


def test_items_are_played_one_after_the_other(tmp_path: Path) -> None:
    outcomes = list(run_items(ITEMS, Plan(traces=tmp_path)))
    assert [one.item_id for one in outcomes] == [item.id for item in ITEMS]
    assert all(one.end_of_turn for one in outcomes)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(item.id for item in ITEMS)


def test_processes_come_to_the_same(tmp_path: Path) -> None:
    alone = {one.item_id: one for one in run_items(ITEMS, Plan())}
    together = {one.item_id: one for one in run_items(ITEMS, Plan(), processes=2)}
    assert set(alone) == set(together)
    for name, one in alone.items():
        # Only what computing costs differs.
        assert together[name].end_of_turn == pytest.approx(one.end_of_turn, abs=0.05)
        assert [e.position_s for e in together[name].edges] == [e.position_s for e in one.edges]


def test_the_patient_wait_longer() -> None:
    quick, slow = (
        next(iter(run_items(ITEMS[:1], Plan(patience=patience)))).end_of_turn[-1]
        for patience in (0.6, 2.0)
    )
    assert slow - quick > 0.1


def test_patience_stays_within_its_ranges() -> None:
    config = AgentConfig(name="bench")
    ends, twice = config.turn.endpointing, patient(config, 2.0).turn.endpointing
    assert (twice.min_ms, twice.max_ms) == (2 * ends.min_ms, 2 * ends.max_ms)
    assert twice.stt_deadline_ms == ends.stt_deadline_ms
    assert patient(config, 100.0).turn.endpointing.min_ms == 2000
    assert patient(config, 1.0) == config


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_wrong_with_the_agent_is_said(tmp_path: Path, processes: int) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("name: bench\nvad: sillero\n")
    with pytest.raises(UserFacingError, match="did you mean `silero`"):
        list(run_items(ITEMS, Plan(agent=path), processes))
