"""Recorded items in a real session, with the real detector and the real engine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.bench.test_items import DATA

from antiphon.agent.config import AgentConfig, Fallback, ProviderChoice
from antiphon.agent.load import LoadedAgent
from antiphon.audio.wav import read_pcm
from antiphon.bench.ear import Ear
from antiphon.bench.items import Item, read_items
from antiphon.bench.loop import StreamLoop
from antiphon.bench.play import Cast, Outcome, play, rehearsed
from antiphon.engine.conversation import Conversation
from antiphon.engine.events import Event
from antiphon.providers.base import AgentHints
from antiphon.providers.scripted import ScriptedStt, ScriptedSttOptions
from antiphon.providers.vad.silero import SileroOptions, SileroVad
from antiphon.sim.replay import replay
from antiphon.types import INPUT_RATE_HZ

COMPLETE, PAUSED, ECHO, PLAIN = read_items(DATA)


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[asyncio.Runner, Cast]]:
    with asyncio.Runner(loop_factory=StreamLoop) as runner:
        vad = SileroVad(SileroOptions(), AgentHints())
        runner.run(vad.start())
        yield runner, Cast(rehearsed(agent()), vad, None, None)
        runner.run(vad.aclose())


def agent(**settings: object) -> LoadedAgent:
    config = AgentConfig.model_validate({"name": "bench", **settings})
    return LoadedAgent(Path("bench.yaml"), config, AgentHints(), ())


def played(stage: tuple[asyncio.Runner, Cast], item: Item, trace: Path | None = None) -> Outcome:
    runner, cast = stage
    loop = runner.get_loop()
    assert isinstance(loop, StreamLoop)
    return runner.run(play(item, cast, loop, trace))


def test_a_turn_ends_once_after_its_end(stage: tuple[asyncio.Runner, Cast]) -> None:
    outcome = played(stage, COMPLETE)
    (turn,) = [turn for turn in outcome.turns if turn.outcome == "answered"]
    assert turn.text == "get me an eight ounce latte"
    assert turn.missing == 0
    true_end = COMPLETE.row["events"][0]["time"]
    assert true_end + 0.2 < turn.at_s < true_end + 1.5
    assert outcome.end_of_turn == [turn.at_s]
    assert outcome.stop == []
    # The detector's edges are near the truth, and told after they were found.
    onset, offset = outcome.edges[0], outcome.edges[1]
    assert abs(onset.position_s - COMPLETE.row["speech_start"]) < 0.2
    assert abs(offset.position_s - true_end) < 0.3
    assert all(edge.told_s > edge.position_s for edge in outcome.edges)
    assert 0 < outcome.computing_s < float(COMPLETE.row["duration"])


def test_both_parts_of_a_turn_are_one(stage: tuple[asyncio.Runner, Cast]) -> None:
    outcome = played(stage, PAUSED)
    assert outcome.turns[-1].text == "get me a single shot coffee"
    assert outcome.turns[-1].at_s > PAUSED.row["events"][-1]["time"]


def test_an_interruption_stops_the_agent(stage: tuple[asyncio.Runner, Cast]) -> None:
    outcome = played(stage, PLAIN)
    event = PLAIN.row["events"][0]
    assert len(outcome.stop) >= 1
    assert event["onset"] < outcome.stop[0] < event["offset"] + 1.0
    assert event["onset"] - 0.05 < outcome.lowered[0] <= outcome.stop[0]
    assert outcome.silences[-1].again_s is None
    assert outcome.end_of_turn[-1] > event["offset"]


def test_the_agent_s_voice_lies_where_its_echo_is(
    stage: tuple[asyncio.Runner, Cast], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: dict[int, bytes | None] = {}
    monkeypatch.setattr(Ear, "hear", lambda self, at, frame: heard.update({round(at * 50): frame}))
    played(stage, PLAIN)
    assert PLAIN.agent_file is not None
    voice = read_pcm(PLAIN.agent_file, INPUT_RATE_HZ)
    frame = heard[50]
    assert frame is not None
    # Never later than in the recording, and less than a frame before.
    assert 0 <= voice.find(frame) / 2 / INPUT_RATE_HZ - 1.0 < 0.02
    assert heard[-5] is None


def test_the_trace_is_the_call(stage: tuple[asyncio.Runner, Cast], tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    played(stage, ECHO, path)
    assert len(path.read_text(encoding="utf-8").splitlines()) > 20
    assert replay(path) is None


def test_a_session_that_fails_is_no_result(
    stage: tuple[asyncio.Runner, Cast], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Conversation, event: Event) -> None:
        raise ValueError("broken on purpose")

    monkeypatch.setattr(Conversation, "handle", broken)
    with pytest.raises(RuntimeError, match="cmd_full_fbc1060f: internal error"):
        played(stage, COMPLETE)


def test_a_recogniser_of_its_own_is_asked(stage: tuple[asyncio.Runner, Cast]) -> None:
    runner, cast = stage
    options = ScriptedSttOptions(transcripts=({"text": "a large latte"},))  # type: ignore[arg-type]
    own = replace(cast, stt=ScriptedStt(options, AgentHints()))
    outcome = played((runner, own), COMPLETE)
    assert outcome.turns[-1].text == "a large latte"


def test_an_agent_keeps_its_timing_and_is_quiet_otherwise() -> None:
    loaded = agent(
        greeting="Hello!",
        fallback={"tts": ["flite"]},
        turn={"endpointing": {"unknown_ms": 700}, "interruption": {"speech": "patient"}},
    )
    config = rehearsed(loaded).config
    assert config.greeting == ""
    assert config.fallback == Fallback()
    assert config.turn.endpointing.unknown_ms == 700
    assert config.turn.interruption.speech == "patient"
    assert config.turn.dead_air.filler_ms == 10_000
    assert config.turn.silence.check_in_ms == 600_000
    assert config.vad == ProviderChoice(provider="silero")
