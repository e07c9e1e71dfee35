"""Through the whole session: answers prepared in a pause, fallbacks, the turn detector, keys."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.stage import GatedLlm, Stage, agent, providers, settle

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, TextDelta, Usage
from antiphon.providers.scripted import (
    ScriptedLlm,
    ScriptedLlmOptions,
    ScriptedTts,
    ScriptedTtsOptions,
)
from antiphon.session import predictor
from antiphon.session.providers import Providers

PREPARED: dict[str, Any] = {"turn": {"speculation": {"prepare": "voice"}}}


def metric(stage: Stage, name: str) -> float:
    """A counter's value by its line in the exposition."""
    for line in stage.metrics.render().decode().splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def speculations(stage: Stage) -> tuple[float, float]:
    """How many prepared answers were adopted and dropped."""
    adopted = metric(stage, 'antiphon_speculations_total{outcome="adopted"}')
    return adopted, metric(stage, 'antiphon_speculations_total{outcome="dropped"}')


def with_fallback(
    llms: tuple[dict[str, Any], ...] = ({},), voices: tuple[dict[str, Any], ...] = ({},)
) -> Providers:
    """Scripted providers, the agent's own first."""
    hints = AgentHints()
    return dataclasses.replace(
        providers(stt={"transcripts": ["tell me"]}),
        llms=tuple(ScriptedLlm(ScriptedLlmOptions.model_validate(one), hints) for one in llms),
        voices=tuple(ScriptedTts(ScriptedTtsOptions.model_validate(one), hints) for one in voices),
    )


# ---- prepared answers ----------------------------------------------------------------------


async def test_a_prepared_answer_is_heard_when_the_turn_ends_with_its_words() -> None:
    llm = GatedLlm(TextDelta("Sure, one coffee."), Usage(50, 5))
    llm.gate.set()
    provided = providers(llm=llm, stt={"transcripts": ["a coffee please"]})
    async with Stage(agent(**PREPARED), provided) as stage:
        await stage.turn()
        assert len(llm.asked) == 1
        assert llm.asked[0].messages[-1].content == "a coffee please"
        assert speculations(stage) == (1, 0)
        await stage.until_idle()
        assert stage.said == ["Sure, one coffee."]
        assert stage.messages == [("user", "a coffee please"), ("assistant", "Sure, one coffee.")]
        (latency,) = stage.call.of("antiphon.latency")
        assert latency["contributions"]["generation"] == 0
        assert latency["contributions"]["synthesis"] == 0


async def test_a_prepared_answer_to_other_words_is_never_heard_and_counted() -> None:
    llm = GatedLlm(Usage(50, 5), TextDelta("Sure, one coffee."))
    provided = providers(llm=llm, stt={"transcripts": ["a coffee please"]})
    async with Stage(agent(**PREPARED), provided) as stage:
        await stage.speak(600)
        await stage.until(lambda: llm.asked)
        llm.gate.set()
        await settle()
        stage.session.on_text("and a muffin")
        await settle()
        assert len(llm.asked) == 2
        assert speculations(stage) == (0, 1)
        assert all(one is None for one in stage.frames)
        await stage.until(lambda: stage.said)
        assert stage.messages == [
            ("user", "a coffee please and a muffin"),
            ("assistant", "Sure, one coffee."),
        ]
        # The tone of one answer was played, not of two: three words of 300 ms.
        assert len([one for one in stage.frames if one is not None]) * 20 <= 1000
        wasted = {
            unit: metric(stage, f'antiphon_speculation_wasted_total{{unit="{unit}"}}')
            for unit in ("characters_written", "characters_voiced", "input_tokens")
        }
        assert wasted == {"characters_written": 17, "characters_voiced": 17, "input_tokens": 50}


async def test_nothing_of_a_prepared_answer_is_told_to_the_screen() -> None:
    llm = GatedLlm(TextDelta("Sure."))
    llm.gate.set()
    async with Stage(agent(**PREPARED), providers(llm=llm)) as stage:
        await stage.speak(600)
        await stage.until(lambda: llm.asked)
        told = {one["type"] for one in stage.call.notices}
        assert not [kind for kind in told if kind.startswith("response.")]
        assert all(one is None for one in stage.frames)


async def test_a_call_that_ends_while_an_answer_is_prepared_leaves_nothing_behind() -> None:
    llm = GatedLlm(TextDelta("Sure."))
    async with Stage(agent(**PREPARED), providers(llm=llm)) as stage:
        await stage.speak(600)
        await stage.until(lambda: llm.asked)
    assert llm.released == 1
    assert stage.messages == []


# ---- fallbacks -----------------------------------------------------------------------------


@pytest.mark.parametrize("ill", [{"fail_after_chunks": 0}, {"hang_after_chunks": 0}])
async def test_another_llm_answers(ill: dict[str, Any]) -> None:
    loaded = agent(
        llm="scripted",
        fallback={"llm": ["scripted"]},
        turn={
            "speculation": {"prepare": "nothing"},
            "endpointing": {"min_ms": 500, "unknown_ms": 500, "max_ms": 500},
            "dead_air": {"llm_first_ms": 400},
        },
    )
    provided = with_fallback(llms=(ill, {"replies": ["Here it is."]}))
    async with Stage(loaded, provided) as stage:
        await stage.turn()
        await stage.until_idle()
        assert stage.said == ["Here it is."]
        assert stage.call.closed == []


async def test_when_every_llm_fails_the_agent_says_so_and_in_the_end_goodbye() -> None:
    loaded = agent(fallback={"llm": ["scripted"]})
    ill = {"fail_after_chunks": 0}
    async with Stage(loaded, with_fallback(llms=(ill, ill))) as stage:
        phrases = loaded.config.phrases
        await stage.turn()
        await stage.until_idle()
        assert stage.said == [phrases.llm_failed]
        await stage.turn()
        await stage.until(lambda: stage.call.closed)
        assert stage.said[-1] == phrases.llm_gone
        assert stage.session.ended_reason == "the language model failed"


@pytest.mark.parametrize("ill", [{"fail_after_chunks": 5}, {"hang_after_chunks": 5}])
async def test_another_voice_says_the_rest(ill: dict[str, Any]) -> None:
    answer = "One two three four five six seven eight nine ten."
    loaded = agent(fallback={"tts": ["scripted"]})
    provided = with_fallback(llms=({"replies": [answer]},), voices=(ill, {}))
    async with Stage(loaded, provided) as stage:
        await stage.turn()
        await stage.until(lambda: len(stage.said) == 2)
        words = " ".join(stage.said).split()
        # A voice that broke off inside its segment: which word was the last is a guess.
        assert words[0] == "One"
        assert words[-1] == "ten."
        assert set(answer.split()) <= set(words)
        assert len(words) <= len(answer.split()) + 1
        assert stage.call.closed == []


async def test_when_every_voice_fails_the_call_ends_and_says_why() -> None:
    loaded = agent(fallback={"tts": ["scripted"]})
    ill = {"fail_after_chunks": 0}
    async with Stage(loaded, with_fallback(voices=(ill, ill))) as stage:
        await stage.speak(600)
        await stage.until(lambda: stage.call.closed)
        assert stage.session.ended_reason == "the voice failed"
        counted = stage.metrics.render().decode()
    # They take turns, and the agent's own begins.
    for name, times in (("flite", 2), ("scripted", 1)):
        line = f'antiphon_provider_errors_total{{kind="tts",provider="{name}"}} {times}.0'
        assert line in counted


# ---- the turn detector ---------------------------------------------------------------------


class Detector:
    """Has an opinion, or fails, or never answers."""

    def __init__(self, opinion: Callable[[], float] | None) -> None:
        self.opinion = opinion
        self.fed = self.asked = 0

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    def open(self) -> Detector:
        return self

    def feed(self, pcm: bytes) -> None:
        self.fed += 1

    async def predict(self) -> float:
        self.asked += 1
        if self.opinion is None:
            await asyncio.Event().wait()
            raise AssertionError
        return self.opinion()


def gone() -> float:
    raise ProviderError("the model is gone", provider="turn", retryable=False)


async def endpointing_ms(detector: Detector) -> int:
    """How long the end of a turn took with this detector."""
    loaded = agent(turn_detector="prosody")
    provided = dataclasses.replace(providers(), detector=detector)
    async with Stage(loaded, provided) as stage:
        await stage.turn()
        assert detector.asked == 1
        assert detector.fed == len(stage.frames)
        (latency,) = stage.call.of("antiphon.latency")
        assert stage.call.closed == []
        return int(latency["contributions"]["endpointing"])


async def test_what_the_detector_hears_decides_with_the_words() -> None:
    sure = await endpointing_ms(Detector(lambda: 0.98))
    unsure = await endpointing_ms(Detector(lambda: 0.02))
    assert sure < unsure


@pytest.mark.parametrize("opinion", [gone, None])
async def test_a_detector_that_fails_or_hangs_is_survived(
    opinion: Callable[[], float] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "PREDICT_DEADLINE_S", 0.01)
    ended_ms = await endpointing_ms(Detector(opinion))
    sure = await endpointing_ms(Detector(lambda: 0.98))
    assert sure < ended_ms <= 1500


async def test_an_agent_without_a_detector_needs_none() -> None:
    loaded = agent(turn_detector=None)
    async with Stage(loaded) as stage:
        assert not loaded.setup.detects_turns
        await stage.turn()
        assert stage.call.closed == []


# ---- keys ----------------------------------------------------------------------------------


async def test_keys_of_a_telephone_are_a_turn() -> None:
    async with Stage(provided=providers(llm={"replies": ["Thank you."]})) as stage:
        for key in "12#":
            stage.session.on_key(key)
        await stage.until_idle()
        await stage.until(lambda: stage.said)
        assert stage.messages == [("user", "12"), ("assistant", "Thank you.")]


async def test_a_key_held_is_a_turn_where_it_decides() -> None:
    loaded = agent(turn={"endpointing": {"mode": "manual"}})
    async with Stage(loaded, providers(llm={"replies": ["Sure."]})) as stage:
        await stage.speak(600)
        await stage.wait(2000)
        assert stage.messages == []
        stage.session.on_talk_key(True)
        await stage.speak(600)
        stage.session.on_talk_key(False)
        await settle()
        await stage.until(lambda: stage.said)
        assert stage.messages == [("user", "hello there"), ("assistant", "Sure.")]
