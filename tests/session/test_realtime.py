"""Whole calls with speech-to-speech models: the real session and engine, our adapters, and fakes of
the vendors behind sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.deepgram_agent import FakeDeepgramAgent
from tests.fakes.elevenlabs_agent import FakeElevenLabsAgent
from tests.fakes.gemini_live import FakeGeminiLive
from tests.fakes.host import FakeVendor
from tests.fakes.openai_realtime import FakeOpenAiRealtime
from tests.fakes.talking import Pace, Reply
from tests.support.stage import SILENCE, Stage, agent, leftovers, providers, settle

from antiphon.agent.load import load_agent
from antiphon.agent.realtime import for_realtime
from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints
from antiphon.providers.registry import make
from antiphon.session.providers import start_providers

LONG = "One two three four five six seven eight nine ten. Eleven twelve thirteen fourteen."


class LiveStage(Stage):
    """A stage whose sockets have time to answer: a frame takes a moment of real time."""

    async def __aexit__(self, *exc: object) -> None:
        self.session.hang_up("the test is over")
        assert self.task is not None
        async with asyncio.timeout(20):
            await self.session.wait_closed()
            await asyncio.wait([self.task])
        # The fake's own tasks run beside.
        ours = ("call_test", "realtime", "stt", "pausing")
        assert not [name for name in leftovers() if name.startswith(ours)]

    async def frame(self, pcm: bytes = SILENCE) -> bytes | None:
        heard = await super().frame(pcm)
        await asyncio.sleep(0.001)
        for _ in range(40):
            # What is being computed takes its time, as it does on a line.
            if not self.session.busy:
                break
            await asyncio.sleep(0.0005)
        return heard


@dataclass(frozen=True)
class Place:
    """A vendor: its fake, and how an agent names it."""

    name: str
    fake: Callable[[], FakeVendor]
    options: dict[str, Any]
    path: str = ""

    def at(self, fake: FakeVendor) -> dict[str, Any]:
        return {**self.options, "base_url": fake.http_url + self.path}


PLACES = [
    Place("openai", FakeOpenAiRealtime, {"transcript_ms": 30}, "/v1"),
    Place("gemini", FakeGeminiLive, {"transcript_ms": 30}),
    Place("deepgram", FakeDeepgramAgent, {}),
    Place("elevenlabs", FakeElevenLabsAgent, {"agent_id": "a1", "quiet_ms": 100}),
]


@pytest.fixture(params=PLACES, ids=lambda place: place.name)
def place(request: pytest.FixtureRequest) -> Place:
    assert isinstance(request.param, Place)
    return request.param


@pytest.fixture
async def fake(place: Place) -> AsyncIterator[Any]:
    async with place.fake() as running:
        yield running


async def staged(
    place: Place, fake: FakeVendor, *tools: Any, has_audio: bool = True, **config: Any
) -> LiveStage:
    """A call with the vendor, whose cascade answers "The cascade speaks."."""
    realtime = make("realtime", place.name, place.at(fake), AgentHints())
    await realtime.start()
    choice = {"provider": place.name, **place.at(fake)}
    loaded = agent(*tools, realtime=choice, **config)
    loaded = replace(loaded, config=for_realtime(loaded.config))
    provided = providers(
        llm={"replies": ["The cascade speaks."]}, stt={"transcripts": ["are you there"]}
    )
    return LiveStage(loaded, replace(provided, realtime=realtime), has_audio=has_audio)


async def say(stage: Stage, ms: int = 600) -> None:
    """The caller speaks, and the vendor has time to notice."""
    await stage.speak(ms)
    await stage.wait(100)


def sound(stage: Stage) -> int:
    return sum(1 for one in stage.frames if one is not None and any(one)) * 20


def spoken(stage: Stage) -> str:
    """What the caller was told that the agent says, whole or not."""
    told = stage.call.of("response.output_audio_transcript.delta")
    return "".join(str(one["delta"]) for one in told)


async def test_greeting_question_and_answer(place: Place, fake: Any) -> None:
    fake.transcripts, fake.replies = (
        ["a coffee please"],
        [Reply("Sure, one coffee. Anything else?")],
    )
    async with await staged(place, fake, greeting="Welcome to the cafe.") as stage:
        await stage.until(lambda: sound(stage) > 200)
        await stage.until_idle()
        assert stage.said == ["Welcome to the cafe."]
        greeted_ms = sound(stage)
        assert greeted_ms >= 900
        await say(stage)
        await stage.until(lambda: len(stage.said) == 2)
        assert stage.messages == [
            ("assistant", "Welcome to the cafe."),
            ("user", "a coffee please"),
            ("assistant", "Sure, one coffee. Anything else?"),
        ]
        assert sound(stage) - greeted_ms >= 25 * 60 * 0.8
        assert not stage.call.of("error")


async def test_a_tool_is_called_and_its_result_spoken(place: Place, fake: Any) -> None:
    calls = []

    def weather(city: str) -> dict[str, Any]:
        """The weather of a city."""
        calls.append(city)
        return {"sky": "blue"}

    fake.replies = [
        Reply("Let me look.", [("weather", {"city": "Oslo"})]),
        Reply("The sky over Oslo is blue."),
    ]
    async with await staged(place, fake, weather) as stage:
        await say(stage)
        await stage.until(lambda: stage.said)
        assert calls == ["Oslo"]
        assert stage.said == ["Let me look. The sky over Oslo is blue."]
        assert not stage.call.of("error")


async def test_an_interrupted_answer_is_cut_to_what_was_heard(place: Place, fake: Any) -> None:
    fake.transcripts = ["count please", "no stop that now", "go on"]
    fake.replies = [Reply(LONG), Reply("Fine, I stop.")]
    async with await staged(place, fake) as stage:
        await say(stage)
        await stage.until(lambda: sound(stage) > 1500)
        await say(stage, 900)
        await stage.until(lambda: len(stage.said) == 2, 20_000)
        heard, answer = stage.said
        assert LONG.startswith(heard)
        assert 2 <= len(heard.split()) <= 12
        assert answer == "Fine, I stop."
        if isinstance(fake, FakeOpenAiRealtime):
            roles = [role for role, _ in fake.session.story]
            assert roles == ["user", "assistant", "user", "assistant"]
            assert abs(len(fake.session.story[1][1]) - len(heard)) <= 12
            assert fake.session.story[1][1] in LONG


async def test_when_the_vendor_is_lost_the_cascade_goes_on(place: Place, fake: Any) -> None:
    fake.replies = [Reply("Sure.")]
    async with await staged(place, fake) as stage:
        await say(stage)
        await stage.until(lambda: stage.said)
        assert stage.said == ["Sure."]
        fake.faults.close_after = 1
        fake.faults.status = 503
        await stage.wait(200)
        await say(stage)
        await stage.until(lambda: len(stage.said) == 2, 20_000)
        assert stage.said[1] == "The cascade speaks."
        assert sound(stage) > 0


async def test_a_vendor_that_is_not_there_leaves_the_call_to_the_cascade(
    place: Place, fake: Any
) -> None:
    fake.faults.status = 401
    async with await staged(place, fake, greeting="Hello.") as stage:
        await stage.until(lambda: stage.said)
        await stage.until_idle()
        await say(stage)
        await stage.until(lambda: len(stage.said) == 2, 20_000)
        assert stage.said == ["Hello.", "The cascade speaks."]


async def test_typed_words_reach_the_model(place: Place, fake: Any) -> None:
    fake.replies = [Reply("Sure, one tea.")]
    async with await staged(place, fake) as stage:
        stage.session.on_text("a tea please")
        await stage.until(lambda: stage.said)
        assert stage.messages == [("user", "a tea please"), ("assistant", "Sure, one tea.")]


async def test_a_call_by_text_is_answered_by_the_cascade(place: Place, fake: Any) -> None:
    async with await staged(place, fake, has_audio=False) as stage:
        stage.session.on_text("a tea")
        await settle()
        assert stage.messages[-1] == ("assistant", "The cascade speaks.")
    assert not fake.connections


async def test_a_connection_lost_between_two_answers_is_not_noticed(
    place: Place, fake: Any
) -> None:
    fake.transcripts, fake.replies = ["one", "two"], [Reply("First."), Reply("Second.")]
    async with await staged(place, fake) as stage:
        await say(stage)
        await stage.until(lambda: stage.said)
        await stage.until_idle()
        await fake.session.socket.close(1011)
        await stage.until(lambda: len(fake.sessions) == 2 and fake.session.noted.sent)
        await stage.wait(200)
        await say(stage)
        await stage.until(lambda: len(stage.said) == 2)
        assert stage.said == ["First.", "Second."]
        assert not stage.call.of("error")


async def test_a_connection_lost_in_an_answer_ends_it_honestly(place: Place, fake: Any) -> None:
    fake.pace = Pace(pieces=3)
    fake.replies = [Reply(f"{LONG} Fifteen sixteen seventeen. Eighteen."), Reply("Second.")]
    async with await staged(place, fake) as stage:
        await say(stage)
        await stage.until(lambda: "three" in spoken(stage))
        await fake.session.socket.close(1011)
        fake.pace = Pace()
        await stage.until(lambda: stage.call.of("error") and stage.said, 20_000)
        await stage.until(lambda: stage.state[1] == "listening", 20_000)
        # The cascade's voice says what is written, and that the rest will not come.
        told = " ".join(stage.said).strip()
        assert "One two three" in told
        assert "technical problem" in told
        await say(stage)
        ends = ("Second.", "The cascade speaks.")
        await stage.until(lambda: stage.said[-1].endswith(ends), 20_000)


async def test_a_hum_over_the_agents_voice_does_not_stop_it(fake_openai: Any) -> None:
    place, fake = PLACES[0], fake_openai
    fake.transcripts, fake.replies = (
        ["count please", "mm-hm", "thanks"],
        [Reply(LONG), Reply("Bye.")],
    )
    async with await staged(place, fake) as stage:
        await say(stage)
        await stage.until(lambda: sound(stage) > 500)
        await say(stage, 300)
        await stage.until(lambda: stage.said, 20_000)
        assert stage.said == [LONG]
        await stage.until_idle()
        await say(stage)
        await stage.until(lambda: len(stage.said) == 2)
        users = [text for role, text in fake.session.story if role == "user"]
        assert users == ["count please", "thanks"]


@pytest.fixture
async def fake_openai() -> AsyncIterator[FakeOpenAiRealtime]:
    async with FakeOpenAiRealtime() as running:
        yield running


async def test_an_agent_needs_nothing_but_the_model(
    tmp_path: Path, fake_openai: FakeOpenAiRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No language model is there, and the recogniser does not know what callers say."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    file = tmp_path / "agent.yaml"
    place = f"{{provider: openai, base_url: '{fake_openai.http_url}/v1'}}"
    file.write_text(f"name: Cafe\ngreeting: Welcome.\nturn_detector: null\nrealtime: {place}\n")
    loaded = load_agent(file)
    started = await start_providers(loaded)
    try:
        provided = replace(started, vad=providers().vad, voices=providers().voices)
        async with LiveStage(loaded, provided) as stage:
            await stage.until(lambda: stage.said)
            await stage.until_idle()
            await say(stage)
            await stage.until(lambda: len(stage.said) == 2)
            assert stage.said == ["Welcome.", "Yes, of course."]
        with pytest.raises(ProviderError, match="pocketsphinx needs to know"):
            await started.stt.open()
    finally:
        await started.stop()


async def test_a_sentence_that_the_model_refuses_is_said_by_the_voice_beside_it() -> None:
    place = PLACES[2]
    async with FakeDeepgramAgent() as fake:
        fake.refuse_injections = True
        async with await staged(place, fake, greeting="Welcome to the cafe.") as stage:
            await stage.until(lambda: stage.said)
            assert stage.said == ["Welcome to the cafe."]
            assert not stage.call.of("error")
            await say(stage)
            await stage.until(lambda: len(stage.said) == 2)
            assert stage.said[1] == "Yes, of course."
