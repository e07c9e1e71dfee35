from __future__ import annotations

from collections import Counter

from antiphon.sim.outage import Heard, heard_in, outage_world, run_outage


def test_when_providers_fail_callers_hear_something_within_three_seconds() -> None:
    heard = list(run_outage(600, 0.01))
    assert [one for one in heard if not one.in_time] == []
    kinds = Counter(one.what for one in heard)
    assert kinds["answer"] > 0.7 * len(heard)
    assert set(kinds) <= {"answer", "filler", "repeat", "apology"}


def test_faults_are_there_and_are_heard_of() -> None:
    """At ten times the rate some answers are late or replaced: the yardstick can fail."""
    calm, rough = (Counter(one.what for one in run_outage(300, rate)) for rate in (0.0, 0.3))
    assert rough["answer"] < calm["answer"]
    assert any(not one.in_time for one in run_outage(300, 0.5))


def test_a_call_that_goes_well_has_an_answer_for_every_turn() -> None:
    world = outage_world(3, 0.0)
    assert world.run() is None
    heard = list(heard_in(world))
    assert len(heard) == 6
    assert all(one.in_time for one in heard)
    assert not Heard(1, None, "nothing").in_time
    assert not Heard(1, 3001, "answer").in_time
