"""A session on a telephone line: typed numbers, transfers, keys, recording, what was heard."""

from __future__ import annotations

import asyncio
import json
import wave
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.support.stage import SILENCE, Stage, TestCall, agent, providers, settle

from antiphon.agent.load import LoadedAgent
from antiphon.channels.base import CallFacts, Telephone, TransferResult, TransferTarget
from antiphon.observe.metrics import Metrics
from antiphon.providers.base import LlmEvent, LlmRequest, TextDelta
from antiphon.providers.scripted import ScriptedTtsOptions
from antiphon.session.clock import StreamClock
from antiphon.session.kept import Archive, Kept
from antiphon.session.providers import Providers
from antiphon.session.session import Session
from antiphon.session.trace import TraceWriter
from antiphon.types import DIGITS_TOOL, KEYS_TOOL, TRANSFER_TOOL, ToolCall

SECRET = "48151623"
DIGITS = {"account": {"ask": "Type your account number.", "min": 4, "max": 12, "secret": True}}
TRANSFER = {"targets": {"sales": {"to": "+493012345678", "warm": True}}}


class TestPhone(TestCall):
    """A telephone line that buffers, and of which the test says what it plays."""

    __test__ = False
    channel = "test-phone"
    tells_heard = True

    def __init__(self) -> None:
        super().__init__()
        self.facts = CallFacts(caller="+4930111", called="+4930222", line_call_id="CA1")
        self.cleared = 0
        self.pressed: list[str] = []
        self.targets: list[TransferTarget] = []
        self.result: asyncio.Future[TransferResult] = asyncio.get_running_loop().create_future()

    def clear(self) -> bool:
        self.cleared += 1
        return True

    def press(self, digits: str) -> None:
        self.pressed.append(digits)

    async def transfer(self, target: TransferTarget) -> TransferResult:
        self.targets.append(target)
        return await self.result


class Pieces:
    """An LLM that gives the next list of pieces at each request."""

    def __init__(self, *answers: Sequence[LlmEvent]) -> None:
        self.answers = list(answers)
        self.asked: list[LlmRequest] = []

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        self.asked.append(request)
        for piece in self.answers.pop(0) if self.answers else ():
            yield piece


class PhoneStage(Stage):
    """A call over a telephone line, whose frames are heard `lag` frames after they were read."""

    def __init__(
        self,
        loaded: LoadedAgent,
        provided: Providers,
        folder: Path | None = None,
        *,
        lag: int = 0,
    ) -> None:
        super().__init__(loaded, provided)
        self.clock = StreamClock()
        self.phone = TestPhone()
        self.call = self.phone
        self.read = 0
        self.lag = lag
        kept = Kept()
        if folder is not None:
            archive = Archive(folder, loaded.config)
            made = archive.open("call_test", self.phone, self.clock.now_ms)
            kept = Kept(TraceWriter(folder / "call_test.jsonl", loaded.setup), None, *made)
        self.session = Session(
            "call_test", loaded, provided, self.phone, self.clock, Metrics(), kept
        )

    async def frame(self, pcm: bytes = SILENCE) -> bytes | None:
        frame = await super().frame(pcm)
        self.read += frame is not None
        self.session.on_heard(max(0, self.read - self.lag))
        await settle()
        return frame

    async def ends(self) -> None:
        for _ in range(500):
            if self.session.ended_reason:
                return
            await self.frame()
        raise AssertionError("the call goes on")


def wants(tool: str, /, **arguments: str) -> ToolCall:
    return ToolCall(f"call_{tool}", tool, json.dumps(arguments))


def files(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.rglob(f"*.{kind}"))


def test_a_telephone_is_told_from_other_calls() -> None:
    assert not isinstance(TestCall(), Telephone)


async def test_a_secret_number_reaches_the_tool_and_nobody_else(tmp_path: Path) -> None:
    paid: list[str] = []

    def pay(account: str) -> dict[str, str]:
        paid.append(account)
        return {"paid_from": account, "state": "done"}

    llm = Pieces(
        [wants(DIGITS_TOOL, name="account")],
        [wants("pay", account="{{secret.account}}")],
        [TextDelta("It is paid.")],
    )
    loaded = agent(pay, digits=DIGITS, recording={"announced": True})
    stage = PhoneStage(loaded, providers(llm=llm), tmp_path)
    assert isinstance(stage.phone, Telephone)
    async with stage:
        await stage.turn()
        await stage.until_idle()
        assert stage.said[-1] == "Type your account number."
        for key in SECRET:
            stage.session.on_key(key)
            await stage.frame()
        stage.session.on_key("#")
        await stage.until(lambda: "It is paid." in stage.said)
    assert paid == [SECRET]
    told = json.dumps([str(one) for one in llm.asked]) + json.dumps(stage.phone.notices)
    told += (tmp_path / "call_test.jsonl").read_text()
    told += files(tmp_path, "call.json")[0].read_text()
    assert SECRET not in told
    assert "{{secret.account}}" in told


async def test_typed_text_is_a_number_while_one_is_awaited() -> None:
    llm = Pieces([wants(DIGITS_TOOL, name="account")], [TextDelta("Thanks.")])
    stage = PhoneStage(agent(digits=DIGITS), providers(llm=llm))
    async with stage:
        await stage.turn()
        await stage.until_idle()
        stage.session.on_text("4815 1623")
        await stage.until(lambda: "Thanks." in stage.said)
        assert SECRET not in str(stage.messages)


async def test_keys_are_pressed_on_the_line() -> None:
    llm = Pieces(
        [wants(KEYS_TOOL, keys="1w2#")], [wants(KEYS_TOOL, keys="call")], [TextDelta("Done.")]
    )
    stage = PhoneStage(agent(press_keys=True), providers(llm=llm))
    async with stage:
        await stage.turn()
        await stage.until(lambda: "Done." in stage.said)
        assert stage.phone.pressed == ["1w2#"]
        assert "error" in str(llm.asked[-1].messages)


@pytest.mark.parametrize("name", [DIGITS_TOOL, "nothing"])
async def test_what_is_not_there_is_said_to_the_llm(name: str) -> None:
    llm = Pieces([wants(name, name="pin")], [TextDelta("Sorry.")])
    stage = PhoneStage(agent(digits=DIGITS), providers(llm=llm))
    async with stage:
        await stage.turn()
        await stage.until(lambda: "Sorry." in stage.said)
        assert "there is no" in str(llm.asked[-1].messages)


async def test_a_tool_that_wants_a_number_too_early_is_told_so() -> None:
    def pay(account: str) -> None:
        raise AssertionError(account)

    llm = Pieces([wants("pay", account="{{secret.account}}")], [TextDelta("Sorry.")])
    stage = PhoneStage(agent(pay, digits=DIGITS), providers(llm=llm))
    async with stage:
        await stage.turn()
        await stage.until(lambda: "Sorry." in stage.said)
        assert "collect it first" in str(llm.asked[-1].messages)


async def test_the_caller_is_passed_on() -> None:
    llm = Pieces([TextDelta("One moment. "), wants(TRANSFER_TOOL, target="sales", reason="a car")])
    stage = PhoneStage(agent(transfer=TRANSFER), providers(llm=llm))
    async with stage:
        await stage.turn()
        await stage.until(lambda: stage.phone.targets)
        target = stage.phone.targets[0]
        assert (target.name, target.to) == ("sales", "+493012345678")
        assert "a car" in target.message
        assert target.ring_s == 25
        stage.phone.result.set_result(TransferResult("connected"))
        await stage.ends()
        assert stage.session.ended_reason == "transferred"


async def test_it_does_not_ring_longer_than_the_call_waits() -> None:
    llm = Pieces([wants(TRANSFER_TOOL, target="sales")])
    turn = {"dead_air": {"transfer_deadline_ms": 20_000}, "speculation": {"prepare": "nothing"}}
    stage = PhoneStage(agent(transfer=TRANSFER, turn=turn), providers(llm=llm))
    async with stage:
        await stage.turn()
        await stage.until(lambda: stage.phone.targets)
        assert stage.phone.targets[0].ring_s == 10


async def test_nobody_answers_and_the_agent_goes_on() -> None:
    llm = Pieces([wants(TRANSFER_TOOL, target="sales")], [TextDelta("A coffee then.")])
    stage = PhoneStage(agent(transfer=TRANSFER), providers(llm=llm))
    async with stage:
        await stage.turn()
        await stage.until(lambda: stage.phone.targets)
        stage.phone.result.set_result(TransferResult("no_answer"))
        await stage.until(lambda: any("nobody could take" in one for one in stage.said))
        await stage.until_idle()
        await stage.turn()
        await stage.until(lambda: "A coffee then." in stage.said)


async def test_an_unknown_target_is_never_called() -> None:
    llm = Pieces([wants(TRANSFER_TOOL, target="+19005551234")], [TextDelta("I cannot do that.")])
    stage = PhoneStage(agent(transfer=TRANSFER), providers(llm=llm))
    async with stage:
        await stage.turn()
        await stage.until(lambda: "I cannot do that." in stage.said)
        assert stage.phone.targets == []


async def test_history_ends_where_the_line_stopped_playing() -> None:
    answer = "one two three four five six seven eight nine ten eleven twelve"
    llm = Pieces([TextDelta(answer)])
    stage = PhoneStage(agent(), providers(llm=llm), lag=10)
    async with stage:
        await stage.turn()
        await stage.until(lambda: stage.read > 40)
        heard = stage.read - stage.lag
        stage.session.on_text("stop")
        await settle()
        assert stage.phone.cleared == 1
        said = next(text for role, text in stage.messages if role == "assistant").split()
    word_ms = ScriptedTtsOptions().ms_per_word
    assert 0 < len(said) < len(answer.split())
    assert abs(len(said) - heard * 20 / word_ms) <= 1


async def test_what_is_heard_to_its_end_is_over_only_then() -> None:
    llm = Pieces([TextDelta("Bye now."), wants("end_call")])
    stage = PhoneStage(agent(), providers(llm=llm), lag=20)
    async with stage:
        await stage.turn()
        await stage.until(lambda: stage.read > 0)
        while stage.frames[-1] is not None:
            await stage.frame()
        assert not stage.session.ended_reason  # it has all been sent, and not all been heard
        stage.lag = 0
        await stage.ends()


@pytest.mark.parametrize(("word", "recorded"), [("no", False), ("yes", True)])
async def test_nothing_is_recorded_without_a_yes(tmp_path: Path, word: str, recorded: bool) -> None:
    disclosure = {"text": "This is a machine.", "consent": "ask", "question": "May I record it?"}
    loaded = agent(disclosure=disclosure, recording=True, greeting="Good.")
    stage = PhoneStage(loaded, providers(stt={"transcripts": (word, "hello")}), tmp_path)
    async with stage:
        await stage.until(lambda: stage.read > 0)
        await stage.until_idle()
        assert not files(tmp_path, "wav")
        await stage.turn()
        await stage.until_idle()
        await stage.turn()
    record = json.loads(files(tmp_path, "call.json")[0].read_text())
    assert record["disclosure"]["complete"] is True
    assert record["consent"]["granted"] is recorded
    wavs = files(tmp_path, "wav")
    assert bool(wavs) is recorded
    if recorded:
        with wave.open(str(wavs[0])) as file:
            assert (file.getnchannels(), file.getframerate()) == (2, 16_000)
            assert file.getnframes() > 16_000


async def test_hold_and_machines_reach_the_engine() -> None:
    stage = PhoneStage(agent(greeting="Hello there, how are you?"), providers())
    async with stage:
        await stage.until(lambda: stage.read > 2)
        stage.session.on_hold(True)
        await settle()
        assert stage.phone.cleared <= 1
        stage.session.on_hold(False)
        stage.session.on_machine("Please call back.")
        await stage.until(lambda: "Please call back." in stage.said)
        await stage.ends()
        assert stage.session.ended_reason == "answering machine"
