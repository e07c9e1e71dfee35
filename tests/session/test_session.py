"""Whole calls through a real session, with scripted providers and no time passing."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.stage import (
    GatedLlm,
    Stage,
    agent,
    leftovers,
    providers,
    settle,
    speech,
)

from antiphon.engine import codec
from antiphon.engine.conversation import Conversation
from antiphon.engine.events import Event
from antiphon.engine.policy import Phrases
from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, LlmEvent, TextDelta
from antiphon.providers.scripted import ScriptedStt, ScriptedSttOptions, ScriptedSttStream
from antiphon.session import session as session_module
from antiphon.session.recorded import RecordedVoice
from antiphon.session.trace import TraceWriter
from antiphon.types import FRAME_MS

LONG = "One two three four five six seven eight nine ten eleven twelve."
PHRASES = Phrases()


def loud_frames(frames: list[bytes | None]) -> int:
    return sum(1 for one in frames if one is not None and any(one))


# ---- a turn --------------------------------------------------------------------------------


async def test_a_caller_is_greeted_understood_and_answered() -> None:
    stage = Stage(
        agent(greeting="Welcome to the cafe."),
        providers(llm={"replies": ["Sure, one coffee."]}, stt={"transcripts": ["a coffee"]}),
    )
    async with stage:
        await stage.until(lambda: stage.frames and stage.frames[-1])
        await stage.until_idle()
        assert stage.said == ["Welcome to the cafe."]
        await stage.turn()
        await stage.until_idle()
        assert stage.messages == [
            ("assistant", "Welcome to the cafe."),
            ("user", "a coffee"),
            ("assistant", "Sure, one coffee."),
        ]
        (latency,) = stage.call.of("antiphon.latency")
        assert latency["total_ms"] == sum(latency["contributions"].values()) < 700
    assert stage.call.notices[0]["type"] == "session.created"
    assert stage.call.notices[-1] == {
        "type": "antiphon.session.ended",
        "reason": "the test is over",
    }
    assert stage.call.closed == ["the test is over"]


async def test_typed_words_are_answered_aloud() -> None:
    async with Stage(provided=providers(llm={"replies": ["Sure."]})) as stage:
        stage.session.on_text("  a coffee ")
        await stage.until(lambda: stage.frames and stage.frames[-1])
        await stage.until_idle()
        assert stage.messages == [("user", "a coffee"), ("assistant", "Sure.")]
        stage.session.on_text("   ")
        assert len(stage.messages) == 2


async def test_a_novel_is_cut_and_the_caller_told() -> None:
    async with Stage(provided=providers(llm={"replies": ["Sure."]})) as stage:
        stage.session.on_text("x" * 5000)
        (error,) = stage.call.of("error")
        assert "first 4000 characters" in error["error"]["message"]
        assert stage.messages[0] == ("user", "x" * 4000)


async def test_a_call_by_text_needs_no_audio() -> None:
    stage = Stage(
        agent(greeting="Welcome."), providers(llm={"replies": ["Sure. Anything else?"]}),
        has_audio=False,
    )  # fmt: skip
    async with stage:
        stage.session.on_text("a coffee")
        await settle()
        assert stage.messages == [
            ("assistant", "Welcome."),
            ("user", "a coffee"),
            ("assistant", "Sure. Anything else?"),
        ]
        assert stage.session.read_frame() is None
        stage.session.on_audio(speech(20))
        assert stage.state == ("listening", "listening")


# ---- interruptions -------------------------------------------------------------------------


async def test_no_sound_leaves_after_an_interruption_but_one_fading_frame() -> None:
    stage = Stage(
        provided=providers(
            llm={"replies": [LONG, "Fine."]},
            stt={"transcripts": ["hello", "no stop that"], "partial_every_ms": 60},
        )
    )
    async with stage:
        await stage.turn()
        await stage.wait(800)
        assert stage.state == ("listening", "speaking")
        decided = None
        for at in range(60):
            await stage.frame(speech(FRAME_MS))
            if decided is None and stage.call.of("response.done"):
                decided = at
                after = len(stage.frames)
        assert decided is not None
        assert decided * FRAME_MS <= 400
        assert loud_frames(stage.frames[after:]) <= 1
        assert all(one is None for one in stage.frames[after + 1 :])
        (heard,) = stage.said
        assert LONG.startswith(heard)
        assert 2 <= len(heard.split()) <= 5
        await stage.until(lambda: len(stage.said) == 2)
        assert stage.messages[1:] == [
            ("assistant", heard),
            ("user", "no stop that"),
            ("assistant", "Fine."),
        ]


async def test_a_cough_lowers_the_voice_and_lets_it_go_on_to_its_end() -> None:
    stage = Stage(provided=providers(llm={"replies": [LONG]}, stt={"transcripts": ["hello", ""]}))
    async with stage:
        await stage.turn()
        await stage.wait(400)
        await stage.speak(160)
        await stage.until_idle()
        assert stage.said == [LONG]
        decisions = [one["decision"] for one in stage.call.of("antiphon.overlap")]
        assert decisions == ["duck", "resume"]


async def test_a_caller_who_goes_on_before_the_answer_gets_one_answer_to_all() -> None:
    llm = GatedLlm(TextDelta("Sure."))
    stage = Stage(provided=providers(llm=llm, stt={"transcripts": ["a coffee", "with milk"]}))
    async with stage:
        await stage.speak(600)
        await stage.until(lambda: llm.asked)
        await stage.speak(400)
        await stage.until(lambda: len(llm.asked) == 2)
        assert llm.released == 1
        assert [one.content for one in llm.asked[1].messages[1:]] == ["a coffee with milk"]
        llm.gate.set()
        await stage.until_idle()
        assert stage.said[-1] == "Sure."


# ---- tools ---------------------------------------------------------------------------------


async def test_a_tool_runs_once_although_the_caller_interrupts_it() -> None:
    runs: list[int] = []
    gate = asyncio.Event()

    async def place(n: int = 0) -> dict[str, int]:
        """Place the order."""
        runs.append(n)
        await gate.wait()
        return {"number": 7}

    replies: list[Any] = [
        {"text": "One moment please.", "tool_calls": [{"name": "place", "arguments": {"n": 3}}]},
        "not asked for",
        "I have heard you.",
    ]
    stage = Stage(agent(place), providers(llm={"replies": replies}))
    async with stage:
        await stage.turn()
        assert runs == [3]
        await stage.wait(200)
        stage.session.on_text("never mind")
        await stage.until(lambda: stage.said and stage.said[-1] == "I have heard you.")
        assert stage.session.busy
        gate.set()
        await stage.until(lambda: len(stage.said) == 3)
        assert runs == [3]
        assert ("tool", '{"number": 7}') in stage.messages
        assert len(stage.call.of("antiphon.tool.completed")) == 1


async def test_a_tool_that_raises_or_is_unknown_is_an_answer_like_any_other() -> None:
    async def broken() -> None:
        """Break."""
        raise RuntimeError("no milk")

    tools = [{"name": "broken"}, {"name": "missing"}]
    replies: list[Any] = [{"tool_calls": tools}, "That did not work."]
    async with Stage(agent(broken), providers(llm={"replies": replies})) as stage:
        await stage.turn()
        await stage.until_idle()
        outputs = [one for role, one in stage.messages if role == "tool"]
        assert json.loads(outputs[0]) == {"error": "RuntimeError: no milk"}
        assert "no tool called" in json.loads(outputs[1])["error"]
        assert stage.said == ["That did not work."]


async def test_the_agent_hangs_up_after_its_goodbye() -> None:
    replies: list[Any] = [{"text": "Goodbye then.", "tool_calls": [{"name": "end_call"}]}]
    async with Stage(provided=providers(llm={"replies": replies})) as stage:
        await stage.turn()
        await stage.until(lambda: stage.call.closed)
        assert stage.said == ["Goodbye then."]
        assert stage.call.closed == ["agent"]
        assert stage.session.read_frame() is None
        stage.session.on_text("hello?")
        stage.session.on_audio(speech(20))
        assert stage.call.notices[-1]["type"] == "antiphon.session.ended"


# ---- failures ------------------------------------------------------------------------------


@pytest.mark.parametrize("chunks", [0, 3])
async def test_a_failing_llm_is_admitted(chunks: int) -> None:
    script = {"replies": [LONG], "fail_after_chunks": chunks}
    async with Stage(provided=providers(llm=script)) as stage:
        await stage.turn()
        await stage.until_idle()
        assert stage.said[0].endswith(PHRASES.llm_failed)
        (error,) = stage.call.of("error")
        assert error["error"]["type"] == "provider_error"


async def test_an_llm_that_hangs_is_bridged_and_then_given_up() -> None:
    llm = GatedLlm(TextDelta("too late"))
    async with Stage(provided=providers(llm=llm)) as stage:
        await stage.speak(600)
        waited_ms = await stage.until(lambda: stage.frames[-1] is not None)
        assert waited_ms < 3000
        await stage.until(lambda: stage.said, 15_000)
        assert stage.said[0].startswith("One moment.")
        assert stage.said[0].endswith(PHRASES.llm_failed)
        assert llm.released == 1


async def test_an_answer_after_its_cancellation_is_not_heard() -> None:
    class Stubborn(GatedLlm):
        """Delivers although it was cancelled."""

        async def stream(self, request: Any) -> Any:
            self.asked.append(request)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield TextDelta("I will not stop. ")
                raise

    llm = Stubborn()
    async with Stage(provided=providers(llm=llm)) as stage:
        await stage.speak(600)
        await stage.until(lambda: llm.asked)
        stage.session.on_text("never mind")
        await stage.wait(400)
        assert len(llm.asked) == 2
        assert all(one is None for one in stage.frames)


async def test_a_voice_that_fails_is_tried_again_and_then_the_call_ends() -> None:
    async with Stage(provided=providers(tts={"fail_after_chunks": 2})) as stage:
        await stage.speak(600)
        await stage.until(lambda: stage.call.closed)
        assert stage.call.closed == ["the voice failed"]
        statuses = [one["response"]["status"] for one in stage.call.of("response.done")]
        assert statuses == ["failed", "failed", "failed"]  # the last one is what was recorded
        counted = 'antiphon_provider_errors_total{kind="tts",provider="flite"} 2.0'
        assert counted in stage.metrics.render().decode()


async def test_when_the_voice_is_gone_the_recorded_sentence_is_heard_and_the_call_ends() -> None:
    loaded = agent()
    gone = loaded.config.phrases.voice_gone
    provided = providers(tts={"fail_after_chunks": 2})
    recorded = RecordedVoice(gone, (providers().voices[0],), "test")
    await recorded.start()
    async with Stage(loaded, replace(provided, voices=(*provided.voices, recorded))) as stage:
        await stage.speak(600)
        await stage.until(lambda: stage.call.closed)
        assert stage.call.closed == ["the voice failed"]
        heard = [
            one["transcript"] for one in stage.call.of("response.output_audio_transcript.done")
        ]
        assert heard[-1] == gone
        sounding = [frame for frame in stage.frames if frame is not None and any(frame)]
        assert len(sounding) * 20 > 3000
    await recorded.aclose()


async def test_a_voice_that_hangs_is_noticed() -> None:
    async with Stage(provided=providers(tts={"hang_after_chunks": 0})) as stage:
        await stage.speak(600)
        await stage.until(lambda: stage.call.of("response.done"))
        assert stage.call.of("response.done")[0]["response"]["status"] == "failed"


async def test_without_recognition_the_caller_can_type() -> None:
    async with Stage(
        provided=providers(stt={"fail_at_utterance": 0}, llm={"replies": ["Sure."]})
    ) as stage:
        await stage.turn()
        await stage.until_idle()
        assert stage.said[0] == PHRASES.stt_failed
        stage.session.on_text("a coffee")
        await stage.until(lambda: stage.said[-1] == "Sure.")


class ClosedStt(ScriptedStt):
    """Cannot be opened."""

    async def open(self) -> ScriptedSttStream:
        raise ProviderError("busy", provider="scripted", retryable=True)


async def test_a_recogniser_that_cannot_be_opened_is_told_at_once() -> None:
    stt = ClosedStt(ScriptedSttOptions(), AgentHints())
    async with Stage(provided=providers(stt=stt, llm={"replies": ["Sure."]})) as stage:
        await stage.until(lambda: stage.said)
        assert stage.said == [PHRASES.stt_failed]
        stage.session.on_text("a coffee")
        await stage.until(lambda: stage.said[-1] == "Sure.")
        await stage.turn()


async def test_a_recogniser_that_hangs_is_not_waited_for() -> None:
    async with Stage(provided=providers(stt={"hang_at_utterance": 0})) as stage:
        await stage.speak(600)
        waited_ms = await stage.until(lambda: stage.frames[-1] is not None)
        assert waited_ms < 3000
        await stage.until_idle()
        assert stage.said == [PHRASES.repeat[0]]


# ---- bugs of ours or of a provider ---------------------------------------------------------


async def test_a_bug_in_a_provider_ends_only_its_call(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(GatedLlm):
        async def stream(self, request: Any) -> Any:
            raise ZeroDivisionError
            yield LlmEvent

    other = Stage(provided=providers(llm={"replies": ["Sure."]}))
    stage = Stage(provided=providers(llm=Broken()))
    async with other:
        await stage.__aenter__()
        await stage.speak(600)
        await stage.until(lambda: stage.call.closed)
        assert stage.call.closed == ["internal error"]
        assert stage.call.of("error")[0]["error"]["type"] == "server_error"
        assert "ZeroDivisionError" in caplog.text
        await other.turn()
        await other.until_idle()
        assert other.said == ["Sure."]


@pytest.mark.parametrize("kind", ["TextReceived", "DeadlineReached", "CallEnded", "ToolCompleted"])
async def test_a_bug_in_the_engine_ends_only_its_call(
    kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    handle = Conversation.handle

    def broken(self: Conversation, event: Event) -> Any:
        if type(event).__name__ == kind:
            raise KeyError("a bug")
        return handle(self, event)

    monkeypatch.setattr(Conversation, "handle", broken)

    async def place() -> None:
        """Place the order."""

    replies: list[Any] = [{"tool_calls": [{"name": "place"}]}, "Done."]
    path = tmp_path / "trace.jsonl"
    loaded = agent(place)
    stage = Stage(
        loaded, providers(llm={"replies": replies}), trace=TraceWriter(path, loaded.setup)
    )
    async with stage:
        await stage.frame()
        stage.session.on_text("an order")
        await settle()
        if kind == "CallEnded":
            stage.session.hang_up("gone")
        await stage.until(lambda: stage.call.closed, 15_000)
    assert "a bug" in caplog.text
    assert f'"type":"{kind}"' in path.read_text()


async def test_a_frame_of_the_wrong_length_is_the_channels_bug() -> None:
    async with Stage() as stage:
        with pytest.raises(ValueError, match="640"):
            stage.session.on_audio(b"\0" * 100)


# ---- the end -------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [0, 1, 3, 20, 33, 36, 40, 44, 60, 120])
async def test_hanging_up_at_any_moment_closes_everything(frames: int, tmp_path: Path) -> None:
    loaded = agent(greeting="Hi.")
    path = tmp_path / "trace.jsonl"
    stage = Stage(loaded, providers(llm={"replies": [LONG]}), trace=TraceWriter(path, loaded.setup))
    await stage.__aenter__()
    for number in range(frames):
        await stage.frame(speech(FRAME_MS) if 15 < number < 30 else bytes(640))
    stage.session.hang_up("gone")
    stage.session.hang_up("twice")
    async with asyncio.timeout(20):
        await stage.session.wait_closed()
        await settle()
    assert leftovers() == set()
    assert stage.call.closed == ["gone"]
    assert stage.session.conversation.ended
    kinds = [json.loads(line)["event"]["type"] for line in path.read_text().splitlines()[1:]]
    assert kinds.count("CallEnded") == 1


async def test_cancelling_a_call_closes_it_too() -> None:
    stage = Stage()
    await stage.__aenter__()
    await stage.speak(100)
    assert stage.task is not None
    stage.task.cancel()
    async with asyncio.timeout(20):
        await stage.session.wait_closed()
    await settle()
    assert stage.call.closed == ["server stopped"]
    assert leftovers() == set()


async def test_what_hangs_while_closing_does_not_keep_the_rest_open(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(session_module, "CLOSE_DEADLINE_S", 0.01)
    hang = asyncio.Event()

    async def never(self: ScriptedSttStream) -> None:
        await hang.wait()

    monkeypatch.setattr(ScriptedSttStream, "aclose", never)
    async with Stage() as stage:
        await stage.wait(100)
        stage.session.hang_up("gone")
        await asyncio.wait_for(stage.session.wait_closed(), 20)
        assert stage.call.closed == ["gone"]
        await settle()
    assert [one for one in caplog.records if one.levelno >= logging.WARNING]


# ---- the record ----------------------------------------------------------------------------


async def test_the_trace_of_a_call_replays_bit_for_bit(tmp_path: Path) -> None:
    async def place() -> dict[str, int]:
        """Place the order."""
        return {"number": 7}

    replies: list[Any] = [{"text": "Wait.", "tool_calls": [{"name": "place"}]}, LONG, "Fine."]
    loaded = agent(place, greeting="Welcome to the cafe.")
    path = tmp_path / "trace.jsonl"
    stage = Stage(
        loaded,
        providers(
            llm={"replies": replies},
            stt={"transcripts": ["a coffee", "stop it"], "partial_every_ms": 100},
        ),
        trace=TraceWriter(path, loaded.setup),
    )
    async with stage:
        await stage.turn()
        await stage.wait(1500)
        await stage.speak(500)
        await stage.until_idle()
    header, *steps = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(steps) > 40
    conversation = Conversation(codec.decode_setup(header["setup"]))
    for step in steps:
        given = conversation.handle(codec.decode_event(step["event"]))
        assert [codec.encode(one) for one in given] == step["commands"]
    assert conversation.ended


# ---- figures -------------------------------------------------------------------------------


async def test_a_call_is_counted() -> None:
    async with Stage(provided=providers(llm={"replies": [LONG]})) as stage:
        await stage.turn()
        await stage.wait(300)
        stage.session.on_text("stop")
        await stage.until_idle()
        shown = stage.metrics.render().decode()
    assert "interrupt" in shown


async def test_a_listening_call_runs_few_tasks() -> None:
    async with Stage() as stage:
        await stage.wait(100)
        assert len(leftovers()) <= 3
        await stage.turn()
        assert len(leftovers()) <= 8
