"""`antiphon call`: a recording as the caller, the conversation on the screen."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.command import run
from tests.support.stage import LevelVad, speech

from antiphon.engine import codec
from antiphon.engine.conversation import Conversation
from antiphon.providers import registry

AGENT = """
name: Test
greeting: Welcome.
stt: {provider: scripted, transcripts: [a coffee, with milk]}
llm: {provider: scripted, replies: [One coffee, With milk]}
tts: {provider: scripted}
"""


@pytest.fixture
def agent_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make: Callable[..., Any] = registry.make

    def with_level_vad(kind: Any, *rest: Any) -> Any:
        return LevelVad() if kind == "vad" else make(kind, *rest)

    monkeypatch.setattr(registry, "make", with_level_vad)
    path = tmp_path / "agent.yaml"
    path.write_text(AGENT)
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "caller.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(speech(700))
    return path


def call(monkeypatch: pytest.MonkeyPatch, agent: Path, *arguments: object) -> int:
    rest = [str(one) for one in arguments]
    return run(monkeypatch, "call", "--agent", str(agent), "--pace", "fast", *rest)


def test_the_conversation_and_its_latencies_are_shown(
    agent_file: Path,
    recording: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, agent_file, "--wav", recording) == 0
    shown = capsys.readouterr().out
    lines = [line.split(" s  ")[1].split() for line in shown.splitlines() if " s  " in line]
    assert lines[:3] == [
        ["agent", "Welcome."],
        ["caller", "a", "coffee"],
        ["agent", "One", "coffee"],
    ]
    assert "endpointing" in shown
    assert "total" in shown


def test_everything_can_be_kept(
    agent_file: Path, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, events, traces = tmp_path / "both.wav", tmp_path / "events.jsonl", tmp_path / "traces"
    kept = ("--record", record, "--json", events, "--trace", traces)
    assert call(monkeypatch, agent_file, "--wav", recording, "--wav", recording, *kept) == 0
    with wave.open(str(record)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 16_000)
        assert file.getnframes() > 16_000 * 3
    notices = [json.loads(line) for line in events.read_text().splitlines()]
    assert notices[0]["type"] == "session.created"
    assert notices[-1]["type"] == "antiphon.session.ended"
    times = [one["at_ms"] for one in notices]
    assert times == sorted(times)
    texts = [one["transcript"] for one in notices if "transcription.completed" in one["type"]]
    assert texts == ["a coffee", "with milk"]
    files = [one for one in traces.iterdir() if one.is_file()]
    trace, costs = sorted(files, key=lambda one: one.suffix, reverse=True)
    assert json.loads(costs.read_text())["total"] == "0"
    header, *steps = [json.loads(line) for line in trace.read_text().splitlines()]
    conversation = Conversation(codec.decode_setup(header["setup"]))
    for step in steps:
        given = conversation.handle(codec.decode_event(step["event"]))
        assert [codec.encode(one) for one in given] == step["commands"]


def test_a_barge_in_cuts_the_agent_short(
    agent_file: Path,
    recording: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = AGENT.replace("Welcome.", "Welcome to the cafe, what may I bring you on this fine day?")
    agent_file.write_text(text)
    assert call(monkeypatch, agent_file, "--wav", recording, "--barge-in-ms", 400) == 0
    assert "cancelled: turn_detected" in capsys.readouterr().out


def test_an_agent_that_did_not_answer_is_an_exit_code(
    agent_file: Path,
    recording: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    agent_file.write_text(AGENT.replace("[a coffee, with milk]", "['']").replace("greeting", "#"))
    assert call(monkeypatch, agent_file, "--wav", recording) == 1
    assert "(unclear, not answered)" in capsys.readouterr().out


def test_errors_and_tools_are_shown_too(
    agent_file: Path,
    recording: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    replies = "[{text: Wait., tool_calls: [{name: place}]}, Done.]"
    agent_file.write_text(AGENT.replace("[One coffee, With milk]", replies))
    assert call(monkeypatch, agent_file, "--wav", recording) == 0
    shown = capsys.readouterr().out
    assert "place({})" in shown
    assert "no tool called" in shown
    agent_file.write_text(AGENT.replace("With milk]", "With milk], fail_after_chunks: 0"))
    call(monkeypatch, agent_file, "--wav", recording)
    assert "failed as scripted" in capsys.readouterr().out


def test_a_recording_that_is_not_there_is_a_sentence(
    agent_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, agent_file, "--wav", "nowhere.wav") == 2
    assert "there is no such file" in capsys.readouterr().err
