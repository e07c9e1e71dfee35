"""The started providers of an agent, shared by its calls."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from antiphon.agent.config import AgentConfig, ProviderChoice
from antiphon.agent.load import LoadedAgent
from antiphon.audio.canceller import EchoCanceller
from antiphon.errors import ProviderError
from antiphon.observe.metrics import METRICS, Metrics
from antiphon.providers import registry
from antiphon.providers.base import Llm, Realtime, Stt, Tts, TurnDetector, Vad
from antiphon.providers.failover.breaker import ALONE, Breaker, Breakers
from antiphon.providers.failover.llm import GuardedLlm
from antiphon.providers.failover.probes import probe_llm, probe_stt, probe_tts
from antiphon.providers.failover.stt import FailoverStt
from antiphon.providers.failover.tts import GuardedTts
from antiphon.session.beside import Beside
from antiphon.session.recorded import RecordedVoice, cache_folder
from antiphon.spoken.text import prepare
from antiphon.types import INPUT_RATE_HZ

log = logging.getLogger(__name__)

STOP_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class Providers:
    """One of each kind; of `llms` and `voices` the first is the agent's own, the others are its
    fallbacks, in order, and the last voice is what was recorded."""

    vad: Vad
    stt: Stt
    llms: tuple[Llm, ...]
    voices: tuple[Tts, ...]
    detector: TurnDetector | None = None
    realtime: Realtime | None = None
    breakers: Mapping[str, Breakers] = field(default_factory=dict)
    """Of `llm` and `tts`."""

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
        more = [one for one in (self.detector, self.realtime) if one is not None]
        return (self.vad, *more, self.stt, *self.llms, *self.voices)


async def start_providers(agent: LoadedAgent, metrics: Metrics = METRICS) -> Providers:
    """Make and start what the agent's file names. Raises like `Providers.start`."""
    config = agent.config
    if config.echo_cancel:
        EchoCanceller(INPUT_RATE_HZ)  # what is missing for it is said now, not in a call

    def make(kind: registry.Kind, choice: ProviderChoice) -> Any:
        made = registry.make(kind, choice.provider, choice.options, agent.hints)
        default = choice in (config.stt, config.llm) and kind not in config.model_fields_set
        return Beside(kind, made) if default and config.realtime is not None else made

    detector = config.turn_detector
    voices, tts_breakers = _guarded_voices(config, make, metrics)
    llms, llm_breakers = _guarded_llms(config, make, metrics)
    recorded = RecordedVoice(
        config.phrases.voice_gone,
        voices,
        repr((config.language, config.voices)),
        cache_folder(),
    )
    providers = Providers(
        vad=make("vad", config.vad),
        stt=_one_stt(config, make, metrics),
        llms=llms,
        voices=(*voices, recorded),
        detector=None if detector is None else make("turn", detector),
        realtime=None if config.realtime is None else make("realtime", config.realtime),
        breakers={"llm": llm_breakers, "tts": tts_breakers},
    )
    # Here rather than at the first call's first sentence.
    prepare(config.language)
    await providers.start()
    return providers


# ---- those that step in --------------------------------------------------------------------

Make = Callable[[registry.Kind, ProviderChoice], Any]


def _guarded_voices(
    config: AgentConfig, make: Make, metrics: Metrics
) -> tuple[tuple[Tts, ...], Breakers]:
    made: tuple[Tts, ...] = tuple(make("tts", one) for one in config.voices)
    group = _breakers(
        "tts", config.voices, config, [partial(probe_tts, one) for one in made], metrics
    )
    return tuple(GuardedTts(one, number, group) for number, one in enumerate(made)), group


def _guarded_llms(
    config: AgentConfig, make: Make, metrics: Metrics
) -> tuple[tuple[Llm, ...], Breakers]:
    made: tuple[Llm, ...] = tuple(make("llm", one) for one in config.brains)
    group = _breakers(
        "llm", config.brains, config, [partial(probe_llm, one) for one in made], metrics
    )
    hedge_ms = config.fallback.hedge_ms
    return tuple(GuardedLlm(made, number, group, hedge_ms) for number in range(len(made))), group


def _one_stt(config: AgentConfig, make: Make, metrics: Metrics) -> Stt:
    """The recogniser, or several as one."""
    chosen = config.recognisers
    made: tuple[Stt, ...] = tuple(make("stt", one) for one in chosen)
    if len(made) == 1:
        return made[0]

    def report(number: int, error: ProviderError) -> None:
        provider = chosen[number].provider
        metrics.provider_failed("stt", provider)
        log.warning("stt %s failed, the next one is asked: %s", provider, error)

    group = _breakers("stt", chosen, config, [partial(probe_stt, one) for one in made], metrics)
    return FailoverStt(made, group, config.fallback.stt_final_ms, report)


def _breakers(
    kind: str,
    chosen: Sequence[ProviderChoice],
    config: AgentConfig,
    probes: Sequence[Callable[[], Awaitable[None]]],
    metrics: Metrics,
) -> Breakers:
    """Where there is nobody else, nobody is ever passed over."""
    limit = config.fallback.breaker_failures if len(chosen) > 1 else ALONE
    made = []
    for one, probe in zip(chosen, probes, strict=True):
        breaker = Breaker(f"{kind} {one.provider}", limit, probe)
        breaker.on_stall = partial(metrics.provider_failed, kind, one.provider)
        made.append(breaker)
    return Breakers(made)
