"""`antiphon chat`: a conversation by typing."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.command import run
from tests.support.stage import LevelVad

from antiphon.providers import registry

AGENT = """
name: Test
greeting: Welcome.
stt: {provider: scripted}
llm: {provider: scripted, replies: [One coffee., With milk.]}
tts: {provider: scripted}
"""


def chat(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, typed: str, agent: str = AGENT) -> int:
    make: Callable[..., Any] = registry.make

    def with_level_vad(kind: Any, *rest: Any) -> Any:
        return LevelVad() if kind == "vad" else make(kind, *rest)

    monkeypatch.setattr(registry, "make", with_level_vad)
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    path = tmp_path / "agent.yaml"
    path.write_text(agent)
    return run(monkeypatch, "chat", "--agent", str(path))


def test_each_line_is_answered_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chat(monkeypatch, tmp_path, "a coffee\nwith milk\n") == 0
    assert capsys.readouterr().out.splitlines() == [
        "Welcome.",
        "One coffee.",
        "With milk.",
        "(you hung up)",
    ]


def test_an_empty_line_hangs_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chat(monkeypatch, tmp_path, "\na coffee\n")
    assert capsys.readouterr().out.splitlines() == ["Welcome.", "(you hung up)"]


def test_the_agent_may_hang_up_while_the_caller_thinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    goodbye = "[{text: Goodbye., tool_calls: [{name: end_call}]}]"
    agent = AGENT.replace("[One coffee., With milk.]", goodbye)
    assert chat(monkeypatch, tmp_path, "bye\nanybody?\n", agent) == 0
    assert capsys.readouterr().out.splitlines() == ["Welcome.", "Goodbye.", "(agent)"]


def test_tools_and_errors_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replies = "[{tool_calls: [{name: place, arguments: {n: 1}}]}, Done.]"
    agent = AGENT.replace("[One coffee., With milk.]", replies)
    chat(monkeypatch, tmp_path, "an order\n", agent)
    assert '[place {"n": 1}]' in capsys.readouterr().out
    agent = AGENT.replace("With milk.]", "With milk.], fail_after_chunks: 0")
    chat(monkeypatch, tmp_path, "a coffee\n", agent)
    assert "failed as scripted" in capsys.readouterr().out
