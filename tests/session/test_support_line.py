"""The example `support.yaml` on a telephone line, its flow as the brain: whole calls."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import pytest
from tests.session.test_line import PhoneStage, files
from tests.support.stage import providers

from antiphon.agent.load import LoadedAgent, load_agent
from antiphon.channels.base import TransferResult
from antiphon.providers.llm.flow import FlowLlm, FlowOptions

EXAMPLE = Path(__file__).parents[2] / "examples" / "support.yaml"
ACCOUNT = "12345678"
TOLD = "You are talking to an automated assistant of Example Telecom."


@pytest.fixture
def support(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedAgent:
    monkeypatch.setenv("ANTIPHON_DATA", str(tmp_path / "var"))
    return load_agent(EXAMPLE).for_call({"name": "Mrs. Bo"})


def stage_of(support: LoadedAgent, folder: Path) -> PhoneStage:
    return PhoneStage(support, providers(llm=FlowLlm(FlowOptions(), support.hints)), folder)


async def say(stage: PhoneStage, text: str) -> str:
    """What the agent says to it, once it was heard."""
    before = len(stage.said)
    stage.session.on_text(text)
    await stage.until(lambda: len(stage.said) > before)
    return stage.said[-1]


async def press(stage: PhoneStage, keys: str, wanted: str) -> None:
    for key in keys:
        stage.session.on_key(key)
        await stage.frame()
    await stage.until(lambda: any(wanted in one for one in stage.said))


async def opening(stage: PhoneStage, key: str) -> None:
    """The notice and the question are heard, the caller answers, the greeting follows."""
    await stage.until(lambda: stage.said)
    assert stage.said[0].startswith(f"{TOLD} May we record this call")
    await press(stage, f"{key}#", "Hello Mrs. Bo, this is the support line.")


def record(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(files(folder, "call.json")[0].read_text())
    return value


async def test_a_balance_for_digits_that_nobody_learns(
    support: LoadedAgent, tmp_path: Path
) -> None:
    stage = stage_of(support, tmp_path)
    async with stage:
        await opening(stage, "1")
        await stage.until_idle()
        asked = await say(stage, "what is my balance please")
        assert asked == "Please type your account number, then press the hash key."
        await press(stage, f"{ACCOUNT}#", "You have typed eight digits.")
        assert await say(stage, "yes please") == (
            "Your balance is 42.50 euros. Is there anything else?"
        )
        await stage.until_idle()
    left = (tmp_path / "call_test.jsonl").read_text() + json.dumps(stage.phone.notices)
    kept = record(tmp_path)
    assert ACCOUNT not in f"{left} {kept} {stage.messages}"
    assert (kept["disclosure"]["complete"], kept["consent"]["granted"]) == (True, True)
    assert [(one["name"], one["outcome"]) for one in kept["digits"]] == [("account", "complete")]
    assert kept["recording"]["paused_ms"] > 0
    with wave.open(str(files(tmp_path, "wav")[0]), "rb") as sound:
        length_ms = sound.getnframes() * 1000 // sound.getframerate()
    assert abs(length_ms - (kept["duration_ms"] - kept["recording"]["from_ms"])) <= 60


async def test_without_a_yes_nothing_is_recorded(support: LoadedAgent, tmp_path: Path) -> None:
    stage = stage_of(support, tmp_path)
    async with stage:
        await opening(stage, "2")
        assert any("not recorded" in one for one in stage.said)
        await stage.until_idle()
    assert files(tmp_path, "wav") == []
    kept = record(tmp_path)
    assert (kept["consent"]["granted"], kept["consent"]["by"]) == (False, "key")
    assert kept["recording"] is None


async def test_a_caller_who_wants_a_person_gets_one(support: LoadedAgent, tmp_path: Path) -> None:
    stage = stage_of(support, tmp_path)
    async with stage:
        await opening(stage, "1")
        await stage.until_idle()
        assert await say(stage, "a human please") == "Of course, I'll connect you."
        await stage.until(lambda: stage.phone.targets)
        assert stage.phone.targets[0].to == "sip:desk@pbx.example.com"
        stage.phone.result.set_result(TransferResult("connected"))
        await stage.ends()
    kept = record(tmp_path)
    assert (kept["transfers"][0]["target"], kept["transfers"][0]["outcome"]) == (
        "desk",
        "connected",
    )
    assert kept["ended_reason"] == "transferred"


async def test_who_speaks_instead_of_typing_is_answered(
    support: LoadedAgent, tmp_path: Path
) -> None:
    stage = stage_of(support, tmp_path)
    async with stage:
        await opening(stage, "1")
        await stage.until_idle()
        await say(stage, "what is my balance please")
        assert await say(stage, "one moment") == "Of course, take your time."
        await press(stage, ACCOUNT, "You have typed eight digits.")
        assert ACCOUNT not in str(stage.messages)
