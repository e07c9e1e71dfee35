"""The started providers of an agent, shared by its calls."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from antiphon.agent.config import ProviderChoice
from antiphon.agent.load import LoadedAgent
from antiphon.audio.canceller import EchoCanceller
from antiphon.errors import ProviderError
from antiphon.providers import registry
from antiphon.providers.base import Llm, Stt, Tts, TurnDetector, Vad
from antiphon.spoken.text import prepare
from antiphon.types import INPUT_RATE_HZ

log = logging.getLogger(__name__)

STOP_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class Providers:
    """One of each kind; of `llms` and `voices` the first is the agent's own, the others are its
    fallbacks, in order."""

    vad: Vad
    stt: Stt
    llms: tuple[Llm, ...]
    voices: tuple[Tts, ...]
    detector: TurnDetector | None = None

    async def stop(self) -> None:
        """Release them all; one that hangs is left behind."""
        for provider in self._all():
            try:
                async with asyncio.timeout(STOP_DEADLINE_S):
                    await provider.aclose()
            except (TimeoutError, ProviderError):
                log.warning("a provider did not stop in time")

    async def start(self) -> None:
        """Load and warm them.

        Raises:
            UserFacingError: one of them cannot run here; those before it are stopped again.
        """
        started: list[Any] = []
        try:
            for provider in self._all():
                await provider.start()
                started.append(provider)
        except BaseException:
            for provider in started:
                await provider.aclose()
            raise

    def _all(self) -> tuple[Any, ...]:
        detector = () if self.detector is None else (self.detector,)
        return (self.vad, *detector, self.stt, *self.llms, *self.voices)


async def start_providers(agent: LoadedAgent) -> Providers:
    """Make and start what the agent's file names. Raises like `Providers.start`."""
    config = agent.config
    if config.echo_cancel:
        EchoCanceller(INPUT_RATE_HZ)  # what is missing for it is said now, not in a call

    def make(kind: registry.Kind, choice: ProviderChoice) -> Any:
        return registry.make(kind, choice.provider, choice.options, agent.hints)

    detector = config.turn_detector
    providers = Providers(
        vad=make("vad", config.vad),
        stt=make("stt", config.stt),
        llms=tuple(make("llm", one) for one in (config.llm, *config.fallback.llm)),
        voices=tuple(make("tts", one) for one in (config.tts, *config.fallback.tts)),
        detector=None if detector is None else make("turn", detector),
    )
    # Here rather than at the first call's first sentence.
    prepare(config.language)
    await providers.start()
    return providers
