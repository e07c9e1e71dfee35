"""The turn detector of one call: what it hears, and what it says of a pause."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.errors import ProviderError
from antiphon.providers.base import TurnDetector

log = logging.getLogger(__name__)

PREDICT_DEADLINE_S = 1.0


class Predictor:
    """Answers PredictTurn. Without a detector, or when it fails, the turn ends without it.

    Args:
        detector: shared by all calls; None where the agent has none.
        now_ms: the call's time.
        post: takes what came of it.
        spawn: starts a task of the call.
    """

    def __init__(
        self,
        detector: TurnDetector | None,
        now_ms: Callable[[], int],
        post: Callable[[e.Event], None],
        spawn: Callable[..., asyncio.Task[None]],
    ) -> None:
        self._stream = None if detector is None else detector.open()
        self._now_ms, self._post, self._spawn = now_ms, post, spawn
        self._open = 0

    @property
    def busy(self) -> bool:
        """Whether a prediction is owed."""
        return self._open > 0

    def feed(self, pcm: bytes) -> None:
        """20 ms from the caller."""
        if self._stream is not None:
            self._stream.feed(pcm)

    def predict(self, command: c.PredictTurn) -> None:
        """Begin to judge the pause under way."""
        if self._stream is not None:
            self._open += 1
            self._spawn(self._predict(command.speech_end_ms), "predict")

    async def _predict(self, speech_end_ms: int) -> None:
        assert self._stream is not None
        try:
            async with asyncio.timeout(PREDICT_DEADLINE_S):
                complete = await self._stream.predict()
        except (ProviderError, TimeoutError) as error:
            log.warning("no prediction: %s", error or "it took too long")
            return
        finally:
            self._open -= 1
        self._post(e.TurnPredicted(self._now_ms(), speech_end_ms, complete))
