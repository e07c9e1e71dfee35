from __future__ import annotations

from dataclasses import replace

from tests.providers.failover.common import breakers, failure
from tests.support.stage import Stage, agent, providers

from antiphon.engine import events as e
from antiphon.providers.failover.breaker import Breakers
from antiphon.session.health import HealthWatch


async def test_what_is_known_at_the_beginning_and_what_changes_is_told() -> None:
    groups: dict[str, Breakers] = {"llm": breakers(2), "tts": breakers(2)}
    provided = replace(providers(), breakers=groups)
    told: list[e.Event] = []
    groups["tts"][0].failed(failure())
    watch = HealthWatch(provided, lambda: 5, told.append)
    watch.begin()
    groups["llm"][1].failed(failure())
    groups["tts"][0].succeeded()
    assert told == [
        e.ProviderChanged(5, "tts", 0, False),
        e.ProviderChanged(5, "llm", 1, False),
        e.ProviderChanged(5, "tts", 0, True),
    ]
    watch.close()
    groups["llm"][1].succeeded()
    assert len(told) == 3
    for group in groups.values():
        await group.aclose()


async def test_a_call_asks_who_works_and_forgets_to_listen_when_it_is_over() -> None:
    groups: dict[str, Breakers] = {"llm": breakers(2)}
    groups["llm"][0].failed(failure())
    own = providers(llm={"replies": ["from the first"]})
    other = providers(llm={"replies": ["from the second"]})
    both = replace(own, llms=(*own.llms, *other.llms), breakers=groups)
    async with Stage(agent(fallback={"llm": "scripted"}), both) as stage:
        await stage.speak(600)
        await stage.until(lambda: stage.call.of("response.done"))
        (heard,) = stage.call.of("response.output_audio_transcript.done")
        assert heard["transcript"] == "from the second"
        await groups["llm"].aclose()  # its probe is no task of the call
    assert not groups["llm"].watchers
