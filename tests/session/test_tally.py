"""What a call tells of itself: metrics, costs, and budgets that act. Whole calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.stage import SILENCE, LevelVad, TestCall, agent, leftovers, settle

from antiphon.agent.config import Limits
from antiphon.engine.policy import Phrases
from antiphon.errors import CapacityError
from antiphon.observe.metrics import Metrics
from antiphon.providers import registry
from antiphon.session.clock import StreamClock
from antiphon.session.session import Session
from antiphon.session.supervisor import Supervisor
from antiphon.sim.replay import replay
from antiphon.types import FRAME_MS

PRICES = """
prices:
  - {kind: stt, provider: scripted, per_minute: 0.6}
  - {kind: llm, provider: scripted, per_1k_tokens: 0.1}
  - {kind: tts, provider: scripted, per_1k_characters: 1}
  - {kind: telephony, provider: test, per_minute: 0.06}
"""
GOODBYE = Phrases().budget_end


@pytest.fixture(autouse=True)
def _level_vad(monkeypatch: pytest.MonkeyPatch) -> None:
    make: Callable[..., Any] = registry.make

    def with_level_vad(kind: Any, *rest: Any) -> Any:
        return LevelVad() if kind == "vad" else make(kind, *rest)

    monkeypatch.setattr(registry, "make", with_level_vad)


@asynccontextmanager
async def host(folder: Path, day: Limits | None = None, **config: Any) -> AsyncIterator[Supervisor]:
    (folder / "prices.yaml").write_text(PRICES, encoding="utf-8")
    scripted = {"stt": "scripted", "llm": "scripted", "tts": "scripted", "turn_detector": None}
    one = agent(name="cafe", **{"prices": str(folder / "prices.yaml"), **scripted, **config})
    made = Supervisor(
        [one],
        traces=folder / "calls",
        metrics=Metrics(),
        ledger=folder / "spending.db",
        day_limits=day,
    )
    await made.start()
    try:
        yield made
    finally:
        await made.drain(0)
        await settle()
        assert leftovers() == set()


class Line:
    """A caller who types, on a line with sound."""

    def __init__(self, *, has_audio: bool = True) -> None:
        self.clock, self.call = StreamClock(), TestCall(has_audio=has_audio)
        self.session: Session | None = None

    async def ring(self, made: Supervisor) -> Session:
        self.session = await made.start_call(self.call, None, self.clock)
        await settle()
        return self.session

    async def wait(self, ms: int) -> None:
        assert self.session is not None
        for _ in range(ms // FRAME_MS):
            if self.call.has_audio:
                self.session.on_audio(SILENCE)
                self.session.read_frame()
            await settle()
            self.clock.advance(FRAME_MS)
            await settle()


async def test_a_call_tells_what_it_costs_and_keeps_it(tmp_path: Path) -> None:
    async with host(tmp_path) as made:
        line = Line()
        session = await line.ring(made)
        await line.wait(200)
        session.on_text("one two three four")
        await line.wait(4000)
        assert line.call.of("response.done")
        told = line.call.of("antiphon.cost")[-1]
        assert told["final"] is False
        assert {one["part"] for one in told["parts"]} == {"telephony", "llm", "tts"}
        assert Decimal(told["total"]) == sum(Decimal(one["dollars"]) for one in told["parts"])
        session.hang_up("hung up")
        await session.wait_closed()
        kinds = [one["type"] for one in line.call.notices]
        assert kinds[-2:] == ["antiphon.cost", "antiphon.session.ended"]
        final = line.call.notices[-2]
        assert final["final"] is True
        (record,) = (tmp_path / "calls").glob("*.cost.json")
        kept = json.loads(record.read_text())
        assert kept["total"] == final["total"]
        assert kept["reason"] == "hung up"
        (trace,) = (tmp_path / "calls").glob("*.jsonl")
        assert replay(trace) is None
        assert record.name.removesuffix(".cost.json") == trace.stem
        assert made.accounts.spent("agent:cafe") == Decimal(final["total"])
    assert f'agent="cafe",part="tts"}} {voice_dollars(final)}' in made.metrics.render().decode()


def voice_dollars(bill: dict[str, Any]) -> float:
    (voice,) = (one for one in bill["parts"] if one["part"] == "tts")
    return float(voice["dollars"])


async def test_a_budget_warns_asks_the_cheaper_llm_and_ends_the_call(tmp_path: Path) -> None:
    budget = {
        "call": {"warn": 0.001, "cheaper": 0.002, "end": 0.08},
        "cheaper_llm": {"provider": "scripted", "replies": ["I am cheap, and " + "talk " * 60]},
    }
    async with host(tmp_path, budget=budget) as made:
        line = Line()
        session = await line.ring(made)
        for words in ("hello there", "tell me more", "and more"):
            await line.wait(1200)
            session.on_text(words)
        for _ in range(60):
            await line.wait(1000)
            if line.call.closed:
                break
        assert line.call.closed == ["budget"]
        said = [one["transcript"] for one in line.call.of("response.output_audio_transcript.done")]
        assert said[-1] == GOODBYE
        assert any("I am cheap" in one for one in said)
        levels = [one["level"] for one in line.call.of("antiphon.budget")]
        assert levels == ["warn", "cheaper", "end"]
        (trace,) = (tmp_path / "calls").glob("*.jsonl")
        assert replay(trace) is None
        rendered = made.metrics.render().decode()
        assert 'budgets_reached_total{agent="cafe",level="end",scope="call"} 1.0' in rendered


async def test_a_day_that_is_spent_ends_calls_and_refuses_more_also_after_a_restart(
    tmp_path: Path,
) -> None:
    day = Limits(end=0.01)
    async with host(tmp_path, day) as made:
        line = Line()
        session = await line.ring(made)
        await line.wait(200)
        session.on_text("this is much too long for so little money " * 3)
        await line.wait(60_000)
        assert line.call.closed == ["budget"]
        with pytest.raises(CapacityError, match="try again tomorrow"):
            await Line().ring(made)
    async with host(tmp_path, day) as made:
        with pytest.raises(CapacityError, match="try again tomorrow"):
            await Line().ring(made)


async def test_a_call_by_text_costs_tokens_and_time(tmp_path: Path) -> None:
    async with host(tmp_path) as made:
        line = Line(has_audio=False)
        session = await line.ring(made)
        session.on_text("hello")
        await line.wait(1000)
        session.hang_up("done")
        await session.wait_closed()
        parts = line.call.of("antiphon.cost")[-1]["parts"]
        assert [one["part"] for one in parts] == ["llm", "telephony"]
