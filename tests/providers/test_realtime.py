"""Speech-to-speech models against fakes of their vendors: one connection as recogniser, brain and
voice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from pydantic import ValidationError
from tests.fakes.deepgram_agent import FakeDeepgramAgent
from tests.fakes.elevenlabs_agent import FakeElevenLabsAgent
from tests.fakes.gemini_live import FakeGeminiLive
from tests.fakes.host import FakeVendor
from tests.fakes.openai_realtime import FakeOpenAiRealtime
from tests.fakes.talking import Reply, voiced
from tests.support.stage import SILENCE, speech

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import (
    AgentHints,
    EndOfTurn,
    FinalText,
    LlmEvent,
    LlmRequest,
    PartialText,
    SttEvent,
    TextDelta,
    TtsAudio,
    TtsSegment,
    TtsSegmentDone,
    Usage,
)
from antiphon.providers.realtime.answer import Answer, Pace
from antiphon.providers.realtime.deepgram import DeepgramAgent
from antiphon.providers.realtime.elevenlabs import ElevenLabsAgent
from antiphon.providers.realtime.gemini import GeminiLive
from antiphon.providers.realtime.openai import OpenAiRealtime
from antiphon.types import FRAME_BYTES, Message, ToolCall, ToolSpec

SYSTEM = Message("system", "Be nice.")
WEATHER = ToolSpec("weather", "The weather.", {"type": "object", "properties": {}})
QUICK = {"connect_ms": 10_000, "first_ms": 1500, "idle_ms": 1500}


@dataclass(frozen=True)
class Vendor:
    name: str
    make: Any
    fake: Callable[[], Any]
    options: dict[str, Any]
    path: str = ""


OPENAI = Vendor("openai", OpenAiRealtime, FakeOpenAiRealtime, {"transcript_ms": 100}, "/v1")
GEMINI = Vendor("gemini", GeminiLive, FakeGeminiLive, {"transcript_ms": 100})
DEEPGRAM = Vendor("deepgram", DeepgramAgent, FakeDeepgramAgent, {})
ELEVENLABS = Vendor(
    "elevenlabs", ElevenLabsAgent, FakeElevenLabsAgent, {"agent_id": "a1", "quiet_ms": 100}
)
ALL = [OPENAI, GEMINI, DEEPGRAM, ELEVENLABS]


class Caller:
    """The session's side of one call."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.heard: list[SttEvent] = []
        self.failure: ProviderError | None = None
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._listen())
        self._utterance = 0

    async def _listen(self) -> None:
        try:
            async for event in self.call.stt.events():
                self.heard.append(event)
                self._more.set()
        except ProviderError as error:
            self.failure = error
        self._more.set()

    async def close(self) -> None:
        await self.call.aclose()
        self._task.cancel()
        await asyncio.wait([self._task])

    def has_finals(self, count: int) -> bool:
        return sum(isinstance(one, FinalText) for one in self.heard) == count

    async def until(self, done: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not done():
                self._more.clear()
                await self._more.wait()

    def hum(self, ms: int) -> None:
        pcm = speech(ms)
        for at in range(0, len(pcm), FRAME_BYTES):
            self.call.stt.push(pcm[at : at + FRAME_BYTES])

    def silent(self, ms: int) -> None:
        for _ in range(ms // 20):
            self.call.stt.push(SILENCE)

    async def speak(self, *, over_agent: bool = False, ms: int = 500) -> str:
        """An utterance; returns its transcript."""
        self._utterance += 1
        number, stt = self._utterance, self.call.stt
        stt.begin(number, 0, over_agent)
        self.hum(ms)
        self.silent(100)
        stt.finalize(number, 1)
        self.silent(400)
        finals: list[FinalText] = []

        def answered() -> bool:
            finals[:] = [e for e in self.heard if isinstance(e, FinalText)]
            return any(one.utterance_id == number for one in finals)

        await self.until(answered)
        stt.end(number)
        return finals[-1].text

    async def ask(self, *messages: Message) -> list[LlmEvent]:
        stream = self.call.llm.stream(LlmRequest((SYSTEM, *messages), (WEATHER,)))
        return [event async for event in stream]

    async def voice(self, *texts: str) -> dict[int, bytes]:
        async def segments() -> AsyncIterator[TtsSegment]:
            for number, text in enumerate(texts):
                yield TtsSegment(number, text)

        sound: dict[int, bytes] = {}
        done = []
        async for event in self.call.tts.stream(segments()):
            if isinstance(event, TtsAudio):
                sound[event.segment_id] = sound.get(event.segment_id, b"") + event.pcm
            elif isinstance(event, TtsSegmentDone):
                done.append(event.segment_id)
        assert done == list(range(len(texts)))
        return sound


def text_of(events: list[LlmEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta)).strip()


def provider(vendor: Vendor, fake: FakeVendor, **options: Any) -> Any:
    given = {**QUICK, **vendor.options, "base_url": fake.http_url + vendor.path, **options}
    return vendor.make(vendor.make.Options(**given), AgentHints(vocabulary=("Zurich",)))


@asynccontextmanager
async def calling(vendor: Vendor, fake: FakeVendor, **options: Any) -> AsyncIterator[Caller]:
    made = provider(vendor, fake, **options)
    await made.start()
    caller = Caller(await made.open(LlmRequest((SYSTEM,), (WEATHER,))))
    try:
        yield caller
    finally:
        await caller.close()
        await caller.call.aclose()
        await made.aclose()
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not [name for name in names if name.startswith("realtime")]


@pytest.fixture(params=ALL, ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    assert isinstance(request.param, Vendor)
    return request.param


@pytest.fixture
async def fake(vendor: Vendor) -> AsyncIterator[Any]:
    async with vendor.fake() as running:
        yield running


# ---- every vendor --------------------------------------------------------------------------


async def test_a_turn_is_heard_answered_and_spoken(vendor: Vendor, fake: Any) -> None:
    fake.transcripts = ["a coffee please"]
    fake.replies = [Reply("Sure, one coffee. Would you like a cake with it?")]
    async with calling(vendor, fake) as caller:
        heard = await caller.speak()
        assert heard == "a coffee please"
        assert any(isinstance(one, PartialText) for one in caller.heard)
        events = await caller.ask(Message("user", heard))
        assert text_of(events) == fake.replies[0].text
        sound = await caller.voice("Sure, one coffee.", "Would you like a cake with it?")
        whole = voiced(fake.replies[0].text, caller.call.tts.sample_rate_hz)
        assert sound[0] + sound[1] == whole
        first = voiced("Sure, one coffee.", caller.call.tts.sample_rate_hz)
        assert abs(len(sound[0]) - len(first)) <= len(whole) // 10
        assert ("user", "a coffee please") in fake.session.story
        if vendor in (OPENAI, GEMINI):
            assert [event for event in events if isinstance(event, Usage)]


async def test_tools_are_asked_for_and_answered(vendor: Vendor, fake: Any) -> None:
    fake.replies = [Reply("", [("weather", {"city": "Oslo"})]), Reply("It is blue.")]
    async with calling(vendor, fake) as caller:
        user = Message("user", await caller.speak())
        (call,) = [e for e in await caller.ask(user) if isinstance(e, ToolCall)]
        assert (call.name, call.arguments) == ("weather", '{"city": "Oslo"}')
        asked = Message("assistant", "", (call,))
        output = Message("tool", '{"sky": "blue"}', (), call.tool_call_id)
        assert text_of(await caller.ask(user, asked, output)) == "It is blue."
        (told,) = [text for role, text in fake.session.story if role == "output"]
        assert "blue" in told
        await caller.voice("It is blue.")


async def test_what_is_not_the_models_own_is_said_word_for_word(vendor: Vendor, fake: Any) -> None:
    async with calling(vendor, fake) as caller:
        assert not caller.call.tts.owns("Welcome to the cafe.")
        if vendor is ELEVENLABS:
            assert not caller.call.tts.can_say()
            with pytest.raises(ProviderError, match="cannot be told"):
                await caller.voice("Welcome to the cafe.")
            return
        sound = await caller.voice("Welcome to the cafe.")
        assert sound[0] == voiced("Welcome to the cafe.", 24_000)


async def test_typed_words_are_answered(vendor: Vendor, fake: Any) -> None:
    async with calling(vendor, fake) as caller:
        assert text_of(await caller.ask(Message("user", "a tea"))) == "Yes, of course."
        assert ("user", "a tea") in fake.session.story


async def test_something_to_tell_without_a_word_of_the_caller(vendor: Vendor, fake: Any) -> None:
    async with calling(vendor, fake) as caller:
        note = Message("system", "A tool has come back.")
        assert text_of(await caller.ask(note)) == "Yes, of course."
        assert any("A tool has come back." in text for _, text in fake.session.story)


@pytest.mark.parametrize(("status", "retryable"), [(401, False), (429, True), (503, True)])
async def test_a_refused_connection_says_why(
    vendor: Vendor, fake: Any, status: int, retryable: bool
) -> None:
    fake.faults.status = status
    made = provider(vendor, fake)
    await made.start()
    with pytest.raises(ProviderError, match=f"HTTP {status}") as caught:
        await made.open(LlmRequest((SYSTEM,)))
    assert (caught.value.retryable, caught.value.status) == (retryable, status)


async def test_nobody_answers(vendor: Vendor, fake: Any) -> None:
    fake.faults.silent = True
    fake.faults.first_ms = 10_000
    made = provider(vendor, fake, connect_ms=100)
    await made.start()
    with pytest.raises(ProviderError, match="no session within 100 ms") as caught:
        await made.open(LlmRequest((SYSTEM,)))
    assert caught.value.retryable


async def test_garbage_at_the_beginning(vendor: Vendor, fake: Any) -> None:
    fake.faults.garbage = True
    made = provider(vendor, fake)
    await made.start()
    with pytest.raises(ProviderError, match="not a message"):
        await made.open(LlmRequest((SYSTEM,)))


async def test_an_answer_that_does_not_come(vendor: Vendor, fake: Any) -> None:
    async with calling(vendor, fake) as caller:
        fake.faults.silent = True
        with pytest.raises(ProviderError, match="no answer within 1500 ms") as caught:
            await caller.ask(Message("user", "hello"))
        assert caught.value.retryable


async def test_garbage_in_the_middle_fails_the_answer(vendor: Vendor, fake: Any) -> None:
    async with calling(vendor, fake) as caller:
        fake.faults.garbage = True
        with pytest.raises(ProviderError):
            await caller.ask(Message("user", "hello"))
        await caller.until(lambda: caller.failure)


@pytest.mark.parametrize(("code", "retryable"), [(1011, True), (1008, False)])
async def test_a_connection_that_is_closed_and_stays_so(
    vendor: Vendor, fake: Any, code: int, retryable: bool
) -> None:
    async with calling(vendor, fake) as caller:
        fake.faults.close_after, fake.faults.close_code = 1, code
        fake.faults.status = 503
        with pytest.raises(ProviderError, match=str(code)) as caught:
            await caller.ask(Message("user", "hello"))
        assert caught.value.retryable is retryable
        await caller.until(lambda: caller.failure)
        # Whichever of the three is asked says so at once.
        with pytest.raises(ProviderError):
            await caller.ask(Message("user", "hello"))
        with pytest.raises(ProviderError):
            await caller.voice("Hello.")
        with pytest.raises(ProviderError):
            caller.silent(20)


async def test_a_lost_connection_is_replaced_and_told_the_past(vendor: Vendor, fake: Any) -> None:
    fake.transcripts, fake.replies = ["one", "two"], [Reply("First."), Reply("Second.")]
    async with calling(vendor, fake) as caller:
        first = Message("user", await caller.speak())
        assert text_of(await caller.ask(first)) == "First."
        await caller.voice("First.")
        await fake.session.socket.close(1011)
        async with asyncio.timeout(20):
            await caller.call._lost.wait()
            await caller.call._back.wait()
        second = Message("user", await caller.speak())
        told = await caller.ask(first, Message("assistant", "First."), second)
        assert text_of(told) == "Second."
        story = " ".join(text for _, text in fake.session.story)
        assert "one" in story
        assert "two" in story
        if vendor is OPENAI:
            assert fake.session.story[:3] == [
                ("user", "one"),
                ("assistant", "First."),
                ("user", "two"),
            ]


async def test_stopping_the_voice_stops_the_answer(vendor: Vendor, fake: Any) -> None:
    fake.pace.ms = 30
    fake.replies = [Reply("One two three four. Five six seven eight."), Reply("Yes.")]
    async with calling(vendor, fake) as caller:
        user = Message("user", await caller.speak())

        begun = asyncio.Event()

        async def think() -> None:
            said = ""
            async for event in caller.call.llm.stream(LlmRequest((SYSTEM, user))):
                said += event.text if isinstance(event, TextDelta) else ""
                if "four." in said:
                    begun.set()

        async def sing() -> None:
            await caller.voice("One two three four.", "Five six seven eight.")

        thinking = asyncio.create_task(think())
        await begun.wait()
        singing = asyncio.create_task(sing())
        await asyncio.sleep(0.02)
        for task in (thinking, singing):
            task.cancel()
        await asyncio.wait([thinking, singing])
        more = Message("assistant", "One two", interrupted=True)
        answer = await caller.ask(user, more, Message("user", "stop that"))
        assert text_of(answer) == "Yes."
        sound = await caller.voice("Yes.")
        assert sound[0] == voiced("Yes.", caller.call.tts.sample_rate_hz)
        if vendor is OPENAI:
            assert len(fake.session.cancelled) == 1
            assert fake.session.story[-3][1].startswith("One")
            assert len(fake.session.story[-3][1]) < 16
        if vendor is GEMINI:
            assert any('heard only: "One two"' in text for _, text in fake.session.story)


def test_options_and_keys(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    options = vendor.make.Options(**vendor.options)
    with pytest.raises(ValidationError):
        vendor.make.Options(**vendor.options, no_such_option=1)
    made = vendor.make(options, AgentHints())
    assert made.model
    variable = made.traits.key
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UserFacingError, match=variable):
        asyncio.run(made.start())
    wrong = vendor.make.Options(**vendor.options, base_url="nowhere")
    with pytest.raises(UserFacingError, match="not an address"):
        vendor.make(wrong, AgentHints())


# ---- OpenAI --------------------------------------------------------------------------------


async def test_openai_sound_that_was_no_turn_is_deleted() -> None:
    async with FakeOpenAiRealtime() as fake, calling(OPENAI, fake) as caller:
        fake.transcripts = ["hm", "a coffee"]
        await caller.speak()
        said = await caller.speak()
        assert text_of(await caller.ask(Message("user", said))) == "Yes, of course."
        assert [one for one in fake.session.story if one[0] == "user"] == [("user", "a coffee")]
        assert fake.last.headers.get("authorization") is None


async def test_openai_a_turn_of_several_pauses_stays_whole() -> None:
    async with FakeOpenAiRealtime() as fake, calling(OPENAI, fake) as caller:
        fake.transcripts = ["I would like", "a coffee"]
        stt = caller.call.stt
        stt.begin(1, 0)
        for revision in (1, 2):
            caller.hum(300)
            stt.finalize(1, revision)
            await caller.until(partial(caller.has_finals, revision))
        stt.end(1)
        assert caller.heard[-1] == FinalText(1, 2, "I would like a coffee")
        await caller.ask(Message("user", "I would like a coffee"))
        users = [text for role, text in fake.session.story if role == "user"]
        assert users == ["I would like", "a coffee"]


async def test_openai_does_not_wait_for_a_slow_transcript() -> None:
    async with FakeOpenAiRealtime() as fake, calling(OPENAI, fake, transcript_ms=20) as caller:
        fake.transcript_ms = 200
        assert await caller.speak() == "(speech)"
        assert text_of(await caller.ask(Message("user", "(speech)"))) == "Yes, of course."
        assert [role for role, _ in fake.session.story] == ["user", "assistant"]
        # A short sound over the agent's voice is not taken for speech.
        assert await caller.speak(over_agent=True, ms=200) == ""


async def test_openai_what_came_before_stands_before_the_callers_sound() -> None:
    async with FakeOpenAiRealtime() as fake, calling(OPENAI, fake) as caller:
        said = await caller.speak()
        greeting = Message("assistant", "Welcome.")
        await caller.ask(greeting, Message("user", f"{said} 123"))
        assert fake.session.story[:3] == [
            ("assistant", "Welcome."),
            ("user", "hello there"),
            ("user", "123"),
        ]


async def test_openai_an_answer_that_nobody_heard_is_deleted() -> None:
    async with FakeOpenAiRealtime() as fake, calling(OPENAI, fake) as caller:
        fake.transcripts = ["one", "two"]
        first = await caller.speak()
        await caller.ask(Message("user", first))
        second = await caller.speak()
        await caller.ask(Message("user", f"{first} {second}"))
        roles = [role for role, _ in fake.session.story]
        assert roles == ["user", "user", "assistant"]


async def test_openai_a_late_tool_replaces_what_was_said_of_it() -> None:
    async with FakeOpenAiRealtime() as fake, calling(OPENAI, fake) as caller:
        fake.replies = [Reply("", [("weather", {})]), Reply("It still runs."), Reply("Blue.")]
        user = Message("user", await caller.speak())
        (call,) = [e for e in await caller.ask(user) if isinstance(e, ToolCall)]
        asked = Message("assistant", "", (call,))
        waiting = Message("tool", '{"status": "still running"}', (), call.tool_call_id)
        await caller.ask(user, asked, waiting)
        done = Message("tool", '{"sky": "blue"}', (), call.tool_call_id)
        said = Message("assistant", "It still runs.")
        await caller.ask(user, asked, done, said, Message("system", "Tell it."))
        assert fake.session.story == [
            ("user", "hello there"),
            ("call", "weather"),
            ("output", '{"sky": "blue"}'),
            ("assistant", "It still runs."),
            ("system", "Tell it."),
            ("assistant", "Blue."),
        ]


async def test_openai_a_failed_response_is_an_error() -> None:
    async with FakeOpenAiRealtime() as fake, calling(OPENAI, fake) as caller:
        fake.refuse_answers = "server_overloaded"
        with pytest.raises(ProviderError, match="server_overloaded") as caught:
            await caller.ask(Message("user", "hello"))
        assert caught.value.retryable


async def test_openai_session_is_as_configured() -> None:
    async with FakeOpenAiRealtime() as fake:
        options = {"voice": "cedar", "noise_reduction": "far_field", "extra_session": {"x": 1}}
        async with calling(OPENAI, fake, **options):
            settings = fake.session.settings
            heard, said = settings["audio"]["input"], settings["audio"]["output"]
            assert heard["turn_detection"] is None
            assert heard["noise_reduction"] == {"type": "far_field"}
            assert "Zurich" in heard["transcription"]["prompt"]
            assert said["voice"] == "cedar"
            assert settings["instructions"] == "Be nice."
            assert settings["tools"][0]["name"] == "weather"
            assert settings["x"] == 1
            assert fake.last.query == [("model", "gpt-realtime")]


# ---- those that decide themselves ----------------------------------------------------------


@pytest.mark.parametrize("vendor", [DEEPGRAM, ELEVENLABS], ids=lambda vendor: vendor.name)
async def test_they_end_the_turn_and_their_answer_waits(vendor: Vendor) -> None:
    async with vendor.fake() as fake, calling(vendor, fake) as caller:
        heard = await caller.speak()
        assert EndOfTurn(1, "final") in caller.heard
        await asyncio.sleep(0.05)
        assert text_of(await caller.ask(Message("user", heard))) == "Yes, of course."
        assert not [one for one in fake.session.story[1:] if one[0] == "user"]


@pytest.mark.parametrize("vendor", [DEEPGRAM, ELEVENLABS], ids=lambda vendor: vendor.name)
async def test_an_answer_to_half_a_turn_is_dropped(vendor: Vendor) -> None:
    async with vendor.fake() as fake, calling(vendor, fake) as caller:
        fake.transcripts = ["I would like", "a coffee"]
        fake.replies = [Reply("What would you like?"), Reply("Sure, one coffee.")]
        first = await caller.speak()
        await asyncio.sleep(0.05)
        second = await caller.speak()
        events = await caller.ask(Message("user", f"{first} {second}"))
        assert text_of(events) == "Sure, one coffee."
        assert (await caller.voice("Sure, one coffee."))[0]


@pytest.mark.parametrize("vendor", [DEEPGRAM, ELEVENLABS], ids=lambda vendor: vendor.name)
async def test_what_they_drop_when_interrupted_is_over(vendor: Vendor) -> None:
    async with vendor.fake() as fake, calling(vendor, fake) as caller:
        fake.pace.ms = 30
        fake.replies = [Reply("One two three. Four five six. Seven eight nine."), Reply("Yes.")]
        fake.transcripts = ["count", "stop"]
        user = Message("user", await caller.speak())
        asking = asyncio.create_task(caller.ask(user))
        await asyncio.sleep(0.045)
        stop = await caller.speak(over_agent=True)
        text = text_of(await asking)
        assert text.startswith("One two three.")
        heard = Message("assistant", "One two", interrupted=True)
        assert text_of(await caller.ask(user, heard, Message("user", stop))) == "Yes."


async def test_elevenlabs_signed_address_and_formats() -> None:
    async with FakeElevenLabsAgent() as fake:
        key = pytest.MonkeyPatch()
        key.setenv("OTHER_KEY", "secret")
        options = {"api_key": "${OTHER_KEY}", "voice": "v1"}
        async with calling(ELEVENLABS, fake, **options):
            assert [one.path for one in fake.connections] == [
                "/v1/convai/conversation/get-signed-url",
                "/v1/convai/conversation",
            ]
            override = fake.session.settings["conversation_config_override"]
            assert override["agent"]["prompt"] == {"prompt": "Be nice."}
            assert override["tts"] == {"voice_id": "v1"}
        key.undo()
        fake.formats = ("pcm_16000", "ulaw_8000")
        made = provider(ELEVENLABS, fake)
        await made.start()
        with pytest.raises(ProviderError, match="set its input to PCM") as caught:
            await made.open(LlmRequest((SYSTEM,)))
        assert not caught.value.retryable


# ---- text and sound of an answer -----------------------------------------------------------


async def test_what_was_heard_is_found_in_the_sound() -> None:
    answer = Answer(24_000, Pace())
    text = "One two three. Four five six."
    answer.say(text)
    answer.sound(voiced(text, 24_000))
    answer.end()
    for segment in ("One two three.", "Four five six."):
        end = answer.find(segment)
        assert end is not None
        span = answer.begin(end)
        while not answer.take(span)[1]:
            pass
        answer.finish(span)
    assert answer.heard_ms(text) is None
    assert answer.heard_ms("") == 0
    first_ms = len(voiced("One two three.", 24_000)) // 48
    heard_ms = answer.heard_ms("One two three.")
    assert heard_ms is not None
    assert abs(heard_ms - first_ms) <= 150
    assert answer.find("Something else entirely") is None


async def test_an_answer_without_end_fails() -> None:
    answer = Answer(8000, Pace())
    for _ in range(11):
        answer.sound(bytes(8000 * 2 * 60))
        answer.pcm.clear()
    assert answer.error is not None
