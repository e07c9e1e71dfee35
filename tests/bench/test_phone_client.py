"""The callers of a load."""

from __future__ import annotations

from pathlib import Path

from antiphon.bench.phone_client import Callers, Job, plan_of, run_job

from .test_phone_caller import SPEECH

AUDIO = str(Path(__file__).parents[1] / "data" / "speech" / "s2i_ec21e470.flac")
NOBODY = Job(("http://127.0.0.1:9/twilio/voice",), ("t",), (AUDIO,), calls=2, seconds=1.0)


def test_callers_interrupt_by_turns_and_differ() -> None:
    job = Job((), (), (), calls=2, seconds=30.0)
    one, other = plan_of([SPEECH], job, 0), plan_of([SPEECH], job, 1)
    assert [turn.barge_in_ms is None for turn in one.turns] == [True, False] * 4
    assert [t.barge_in_ms for t in one.turns] != [t.barge_in_ms for t in other.turns]
    assert (one.repeat, one.limit_ms) == (True, 30_000)
    polite = plan_of([SPEECH], Job((), (), (), 1, 5.0, interrupt=False), 0)
    assert all(turn.barge_in_ms is None for turn in polite.turns)


async def test_calls_that_do_not_come_about_are_told() -> None:
    figures = await Callers(NOBODY).run()
    assert figures["calls"] == 0
    assert len(figures["not_connected"]) == 2


async def test_it_runs_in_a_process_of_its_own() -> None:
    figures = await run_job(NOBODY)
    assert len(figures["not_connected"]) == 2
    assert figures["client_cpu_s"] >= 0
