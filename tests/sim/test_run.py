"""Seeds: 20,000 conversations keep every promise; the same seed is the same conversation."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing

import pytest

from antiphon.sim.faults import FAULT_NAMES
from antiphon.sim.run import Stats, hash_of, run_many, run_seed, run_world

SEEDS = 20_000


@pytest.mark.timeout(600)
def test_no_promise_is_broken_in_20000_conversations() -> None:
    # The first fifth has no faults: what happens there is what most callers get.
    friendly, total = SEEDS // 5, Stats()
    for seeds, faults in ((range(friendly), ()), (range(friendly, SEEDS), FAULT_NAMES)):
        with closing(run_many(seeds, faults, min(2, os.cpu_count() or 1))) as batches:
            for batch in batches:
                assert not batch.broken, "\n".join(
                    f"antiphon sim --seeds 1 --start {one.seed}"
                    f" --faults {'all' if faults else 'none'}: {one.violation}"
                    for one in batch.broken
                )
                total += batch.stats
    assert total.worlds == SEEDS
    # A world in which nothing happens would break nothing.
    assert total.turns > 3 * SEEDS
    assert min(total.tools, total.stops, total.resumes) > SEEDS // 5


_PRINT_HASHES = """
from antiphon.sim.faults import FAULT_NAMES
from antiphon.sim.run import run_seed
print(*(run_seed(seed, FAULT_NAMES).trace_hash for seed in range(60)))
"""


def test_the_same_seed_gives_the_same_trace_in_any_process() -> None:
    def hashes(hash_seed: str) -> list[str]:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", _PRINT_HASHES]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.split()

    first = hashes("1")
    assert first == hashes("4321")
    assert first == [run_seed(seed, FAULT_NAMES).trace_hash for seed in range(60)]
    assert len(set(first)) == 60


def test_the_order_in_which_faults_are_named_does_not_matter() -> None:
    for seed in range(20):
        one = run_seed(seed, FAULT_NAMES)
        other = run_seed(seed, tuple(reversed(FAULT_NAMES)))
        assert one.trace_hash == other.trace_hash


def test_the_hash_is_over_everything() -> None:
    trace = run_world(3, FAULT_NAMES).trace
    whole = hash_of(trace)
    for at, (event, given) in enumerate(trace):
        if given:
            changed = [*trace[:at], (event, given[:-1]), *trace[at + 1 :]]
            assert hash_of(changed) != whole


def test_batches_are_the_same_with_more_processes() -> None:
    alone = list(run_many(range(120), FAULT_NAMES))
    assert [batch.stats.worlds for batch in alone] == [100, 20]
    assert list(run_many(range(120), FAULT_NAMES, processes=2)) == alone
