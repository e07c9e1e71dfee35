"""The turn detector of a call: heard, asked in a pause, and survived when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.errors import ProviderError
from antiphon.session import predictor as module
from antiphon.session.predictor import Predictor
from antiphon.types import FRAME_BYTES


class Detector:
    """Says what the test wants, when the test wants it."""

    def __init__(self, answer: float | ProviderError | None) -> None:
        self._answer = answer
        self.heard = 0

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    def open(self) -> Detector:
        return self

    def feed(self, pcm: bytes) -> None:
        self.heard += len(pcm)

    async def predict(self) -> float:
        if self._answer is None:
            await asyncio.Event().wait()
        if isinstance(self._answer, ProviderError):
            raise self._answer
        assert self._answer is not None
        return self._answer


async def ask(detector: Detector | None) -> list[e.Event]:
    """What comes of one question, once nothing is under way any more."""
    told: list[e.Event] = []
    tasks: list[asyncio.Task[None]] = []

    def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        tasks.append(asyncio.create_task(work, name=name))
        return tasks[-1]

    predictor = Predictor(detector, lambda: 1200, told.append, spawn)
    predictor.feed(bytes(FRAME_BYTES))
    predictor.predict(c.PredictTurn(1000))
    assert predictor.busy is (detector is not None)
    await asyncio.gather(*tasks)
    assert not predictor.busy
    return told


async def test_a_pause_is_judged() -> None:
    detector = Detector(0.8)
    assert await ask(detector) == [e.TurnPredicted(1200, 1000, 0.8)]
    assert detector.heard == FRAME_BYTES


async def test_an_agent_without_a_detector_is_not_told() -> None:
    assert await ask(None) == []


async def test_a_detector_that_fails_or_hangs_is_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert await ask(Detector(ProviderError("no model", provider="x", retryable=False))) == []
    monkeypatch.setattr(module, "PREDICT_DEADLINE_S", 0.0)
    assert await ask(Detector(None)) == []
    assert [record.getMessage()[:14] for record in caplog.records] == ["no prediction:"] * 2
