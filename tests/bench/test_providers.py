"""The chain of an agent's providers, measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.fakes.openai_realtime import FakeOpenAiRealtime
from tests.support.stage import speech

from antiphon.agent.config import AgentConfig
from antiphon.agent.load import LoadedAgent
from antiphon.bench.ask import Edge, Speech
from antiphon.bench.providers import Chain, Report, Row, percentile
from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints

SPOKEN = Speech("tone", speech(100), (Edge(True, 0, 40), Edge(False, 100, 120)), "yes please")


def scripted(**options: Any) -> dict[str, Any]:
    return {"provider": "scripted", **options}


STT = scripted(transcripts=["yes please"])
LLM = scripted(replies=["Of course. Which one?"], first_delay_ms=20)
TTS = scripted(first_delay_ms=10, ms_per_word=50)


def agent(**more: Any) -> LoadedAgent:
    config = {"name": "a", "greeting": "Hello!", "stt": STT, "llm": LLM, "tts": TTS, **more}
    return LoadedAgent(Path("a"), AgentConfig.model_validate(config), AgentHints(), ())


async def measured(loaded: LoadedAgent, turns: int = 1, **options: Any) -> Report:
    async with Chain(loaded, **options) as chain:
        return await chain.measure([SPOKEN] * turns)


def rows(report: Report) -> dict[tuple[str, str], Row]:
    return {(row.part, row.provider): row for row in reversed(report.rows)}


async def test_every_part_is_timed_and_the_sum_is_what_a_caller_waits() -> None:
    told: list[tuple[int, int]] = []
    async with Chain(agent(), at_once=3) as chain:
        report = await chain.measure([SPOKEN] * 3, lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert [(row.part, row.provider) for row in report.rows] == [
        ("stt", "scripted"), ("llm", "scripted"), ("llm", "scripted"), ("tts", "scripted"),
        ("all", ""),
    ]  # fmt: skip
    assert all(len(row.values_ms) == 3 for row in report.rows)
    assert report.works
    turn = report.turns[0]
    assert (turn.speech, turn.understood, turn.answer) == (
        "tone", "yes please", "Of course. Which one?",
    )  # fmt: skip
    stt, _, sentence, tts, whole = (sorted(row.values_ms) for row in report.rows)
    # An end of turn is waited for, though the recogniser was quicker.
    least_ms = agent().config.turn.endpointing.min_ms
    assert whole[0] >= max(least_ms, stt[0]) + sentence[0] + tts[0]
    assert whole[-1] <= max(least_ms, stt[-1]) + sentence[-1] + tts[-1]


async def test_failures_are_counted_and_the_turn_goes_on() -> None:
    report = await measured(agent(llm=scripted(fail_after_chunks=0)), 2)
    found = rows(report)
    assert found["llm", "scripted"].failures == {"scripted: failed as scripted": 2}
    assert len(found["tts", "scripted"].values_ms) == 2
    assert found["all", ""].values_ms == []
    assert not report.works
    assert report.rows[1].figures()["failed"] == 2


async def test_a_recogniser_that_fails() -> None:
    report = await measured(agent(stt=scripted(fail_at_utterance=0)))
    assert rows(report)["stt", "scripted"].failures.total() == 1
    # The brain is asked what was said, which is known.
    assert report.turns[0].answer


async def test_fallbacks_are_measured_when_they_are_asked_for() -> None:
    more = {"fallback": {"llm": scripted(replies=["Second."]), "tts": TTS, "stt": STT}}
    names = {(row.part, row.provider) for row in (await measured(agent(**more))).rows}
    assert ("llm", "scripted (fallback 1)") not in names
    report = await measured(agent(**more), fallbacks=True)
    found = rows(report)
    for part in ("stt", "llm", "tts"):
        assert len(found[part, "scripted (fallback 1)"].values_ms) == 1, part
    assert report.turns[0].answer == "Of course. Which one?"


async def test_a_tool_is_an_answer_without_a_sentence() -> None:
    report = await measured(agent(llm=scripted(replies=[{"tool_calls": [{"name": "order"}]}])))
    assert report.turns[0].tools == ("order",)
    assert report.turns[0].caller_ms is None


async def test_a_speech_to_speech_model_does_all_of_it() -> None:
    async with FakeOpenAiRealtime() as vendor:
        model = {"provider": "openai", "base_url": f"{vendor.http_url}/v1"}
        report = await measured(agent(realtime=model))
    found = [row for row in report.rows if row.values_ms]
    assert [(row.part, row.what) for row in found] == [
        ("realtime", "end of speech to final text"),
        ("realtime", "end of speech to first sound"),
        ("all", "end of speech to first sound"),
    ]
    assert report.turns[0].answer.strip() == "Yes, of course."
    assert report.works


async def test_what_cannot_run_is_said_and_the_others_are_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
    with pytest.raises(UserFacingError, match="DEEPGRAM_API_KEY"):
        await measured(agent(tts="deepgram"))


def test_percentiles() -> None:
    values = [float(one) for one in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.9, 0.95, 1.0)] == [50, 90, 95, 100]
    assert percentile([7.0], 0.95) == 7
    assert percentile([], 0.5) is None
