"""Providers of an agent are started together, and released whatever happens."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import pytest
from tests.support.stage import agent

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers import registry
from antiphon.session import providers as module
from antiphon.session.providers import Providers, start_providers


class Part:
    """A provider of any kind; `log` has what happened to all of them, in order."""

    def __init__(self, name: str, log: list[str], fails: str = "") -> None:
        self.name, self._log, self._fails = name, log, fails

    async def start(self) -> None:
        if self._fails == "start":
            raise ProviderError(f"{self.name} cannot run here", provider=self.name, retryable=False)
        self._log.append(f"+{self.name}")

    async def aclose(self) -> None:
        if self._fails == "hang":
            await asyncio.Event().wait()
        if self._fails == "close":
            raise ProviderError("already gone", provider=self.name, retryable=False)
        self._log.append(f"-{self.name}")


def made(log: list[str], detector: bool = True, **fails: str) -> Providers:
    def part(name: str) -> Any:
        return Part(name, log, fails.get(name, ""))

    return Providers(
        part("vad"),
        part("stt"),
        (part("llm"), part("llm2")),
        (part("tts"), part("tts2")),
        part("turn") if detector else None,
    )


async def test_all_are_started_and_stopped() -> None:
    log: list[str] = []
    providers = made(log)
    await providers.start()
    names = ["vad", "turn", "stt", "llm", "llm2", "tts", "tts2"]
    assert log == [f"+{name}" for name in names]
    await providers.stop()
    assert log[len(names) :] == [f"-{name}" for name in names]


async def test_an_agent_without_a_detector_has_none_to_start() -> None:
    log: list[str] = []
    await made(log, detector=False).start()
    assert "+turn" not in log


async def test_when_one_cannot_run_those_before_it_are_stopped_again() -> None:
    log: list[str] = []
    with pytest.raises(ProviderError, match="llm2 cannot run here"):
        await made(log, llm2="start").start()
    assert log == ["+vad", "+turn", "+stt", "+llm", "-vad", "-turn", "-stt", "-llm"]


@pytest.mark.parametrize("fails", ["hang", "close"])
async def test_one_that_does_not_stop_keeps_none_of_the_others(
    fails: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "STOP_DEADLINE_S", 0.0)
    log: list[str] = []
    providers = made(log, stt=fails)
    await providers.start()
    with caplog.at_level(logging.WARNING):
        await providers.stop()
    assert [one for one in log if one[0] == "-"] == [
        "-vad",
        "-turn",
        "-llm",
        "-llm2",
        "-tts",
        "-tts2",
    ]
    assert "did not stop in time" in caplog.text


async def test_the_agents_file_says_which_and_in_which_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []

    def make(kind: str, name: str, options: Any, hints: Any) -> Part:
        return Part(f"{kind}:{name}", log)

    monkeypatch.setattr(registry, "make", make)
    loaded = agent(
        vad="scripted",
        stt="scripted",
        turn_detector="prosody",
        llm={"provider": "flow"},
        tts="scripted",
        fallback={"llm": ["scripted"], "tts": ["flite"]},
    )
    providers = await start_providers(loaded)
    assert log == [
        "+vad:scripted",
        "+turn:prosody",
        "+stt:scripted",
        "+llm:flow",
        "+llm:scripted",
        "+tts:scripted",
        "+tts:flite",
    ]
    assert len(providers.llms) == loaded.setup.llms == 2
    assert loaded.setup.voices == 2
    assert len(providers.voices) == 3  # and what was recorded
    await providers.stop()
    assert loaded.setup.detects_turns


async def test_a_canceller_that_is_not_there_is_told_before_the_first_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "livekit", None)
    with pytest.raises(UserFacingError, match=r"pip install 'antiphon\[aec\]'"):
        await start_providers(agent(echo_cancel=True))


async def test_a_provider_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserFacingError, match="no turn called `prosdy`; did you mean `prosody`"):
        registry.make("turn", "prosdy", {}, agent().hints)
