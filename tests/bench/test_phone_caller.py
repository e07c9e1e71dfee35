"""A caller against a scripted agent, on a clock of the test."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from typing import Any

from antiphon.bench.phone_caller import SimCall
from antiphon.bench.phone_impair import Impairments
from antiphon.bench.phone_speech import SILENCE, Plan, Speech, Turn
from antiphon.bench.phone_wire import Line

from .phone_double import TONE

SPEECH = Speech.of(
    (array("h", [0] * 160 * 5) + array("h", [9000, -9000] * 80 * 30) + array("h", [0] * 800))
    .tobytes()
)  # fmt: skip


class Agent:
    """Answers on the same clock: a greeting, and so long after speech ended an answer."""

    def __init__(self, frames: int = 50, after_ms: int = 300, clear_ms: int | None = 200) -> None:
        self.frames, self.after_ms, self.clear_ms = frames, after_ms, clear_ms
        self.got: list[dict[str, Any]] = []
        self._speaking_ms = self._quiet_ms = 0
        self._owes = False

    def said(self, frames: int, name: str) -> list[str]:
        media = json.dumps({"event": "media", "streamSid": "MZ1", "media": {"payload": TONE}})
        mark = {"event": "mark", "streamSid": "MZ1", "mark": {"name": name}}
        return [media] * frames + [json.dumps(mark)]

    def answer(self, message: dict[str, Any]) -> list[str]:
        self.got.append(message)
        if message["event"] == "start":
            return self.said(self.frames, "greeting")
        if message["event"] != "media":
            return []
        if message["media"]["payload"] == SILENCE:
            self._quiet_ms += 20
            if self._owes and self._quiet_ms == self.after_ms:
                self._owes, self._speaking_ms = False, 0
                return self.said(self.frames, "answer")
            return []
        self._quiet_ms, self._owes = 0, True
        self._speaking_ms += 20
        if self._speaking_ms == self.clear_ms:
            return [json.dumps({"event": "clear", "streamSid": "MZ1"})]
        return []


def converse(call: SimCall, agent: Agent, until_ms: int = 60_000) -> None:
    waiting: list[str] = []
    for now_ms in range(0, until_ms, 20):
        for message in waiting:
            call.receive(message, now_ms)
        sent = call.open() if now_ms == 0 else call.tick(now_ms)
        waiting = [reply for text in sent for reply in agent.answer(json.loads(text))]
        if call.over:
            return


def make(plan: Plan, **options: Any) -> SimCall:
    return SimCall(Line("1"), plan, **options)


def test_the_caller_speaks_after_the_greeting_and_hangs_up_after_the_answer() -> None:
    call, agent = make(Plan([Turn(SPEECH), Turn(SPEECH)]), record=True), Agent()
    converse(call, agent)
    measured = call.measured
    assert measured.ended == "the caller was done"
    assert (measured.turns, measured.unanswered) == (2, 0)
    assert measured.first_audio_ms == [320, 320]
    assert measured.marks == 3
    assert agent.got[0]["event"] == "connected"
    assert agent.got[-1]["event"] == "stop"
    assert not measured.protocol_errors
    assert call.said is not None
    assert call.playout.track is not None


def test_an_interruption_is_measured_to_the_clear() -> None:
    call, agent = make(Plan([Turn(SPEECH, barge_in_ms=400)])), Agent(frames=100)
    converse(call, agent)
    # The tenth frame of sound tells the agent, and its clear arrives with the next tick.
    assert call.measured.clear_ms == [220]
    assert call.measured.silent_ms == [220]
    assert call.measured.marks_dropped == 1
    [(cleared_ms, heard_ms)] = call.measured.cleared
    assert heard_ms == cleared_ms - 20 == 700
    assert call.playout.answers[0].cleared_ms == cleared_ms
    assert call.measured.first_audio_ms == [320]


def test_an_agent_that_does_not_stop_is_noticed() -> None:
    call, agent = make(Plan([Turn(SPEECH, barge_in_ms=400)])), Agent(100, 300, clear_ms=None)
    converse(call, agent)
    assert call.measured.clear_ms == []
    assert call.measured.not_cleared == 1


def test_silence_is_not_an_answer() -> None:
    call, agent = make(Plan([Turn(SPEECH)], patience_ms=1000)), Agent(50, after_ms=10**6)
    converse(call, agent)
    assert call.measured.unanswered == 1
    assert call.measured.ended == "the caller was done"


def test_keys_come_first() -> None:
    call, agent = make(Plan([Turn(SPEECH)], keys="12#")), Agent()
    converse(call, agent)
    kinds = [
        message["dtmf"]["digit"] if message["event"] == "dtmf" else "speech"
        for message in agent.got
        if message["event"] == "dtmf" or message.get("media", {}).get("payload", SILENCE) != SILENCE
    ]
    assert kinds[:4] == ["1", "2", "#", "speech"]


def test_the_caller_hangs_up_when_told() -> None:
    call, agent = make(Plan([Turn(SPEECH)], hang_up_after_ms=1500)), Agent()
    converse(call, agent)
    assert call.measured.ended == "the caller hung up"
    assert agent.got[-1]["event"] == "stop"
    assert call.tick(1600) == call.end("again") == []


def test_lost_frames_leave_a_hole_in_the_numbers() -> None:
    agent = Agent()
    converse(make(Plan([Turn(SPEECH)]), impairments=Impairments(loss=0.3), seed=4), agent)
    chunks = [int(m["media"]["chunk"]) for m in agent.got if m["event"] == "media"]
    assert chunks == sorted(set(chunks))
    assert 0.55 < len(chunks) / chunks[-1] < 0.85
    numbers = [int(m["sequenceNumber"]) for m in agent.got[1:]]
    assert numbers == list(range(1, len(numbers) + 1))


def test_jitter_bunches_frames_but_keeps_their_order() -> None:
    agent = Agent()
    converse(make(Plan([Turn(SPEECH)]), impairments=Impairments(jitter_ms=80)), agent)
    times = [int(m["media"]["timestamp"]) for m in agent.got if m["event"] == "media"]
    assert times == sorted(times)
    assert len(set(times)) < len(times)


def test_marks_are_late_lost_or_cross_a_clear() -> None:
    def order(impairments: Impairments) -> tuple[SimCall, list[str]]:
        call, agent = make(Plan([Turn(SPEECH, 400)]), impairments=impairments), Agent(100)
        converse(call, agent)
        return call, [m["mark"]["name"] for m in agent.got if m["event"] == "mark"]

    call, names = order(Impairments(late_marks_ms=200))
    assert names == ["greeting", "answer"]
    assert len(call.measured.late_marks_ms) == 2
    call, names = order(Impairments(lose_marks=1))
    assert (names, call.measured.marks_lost) == ([], 2)
    call, names = order(Impairments(clear_race=True))
    assert names == ["greeting", "answer"]
    assert call.measured.late_marks_ms == [120, 120]


def test_what_twilio_would_not_take_is_kept() -> None:
    call = make(Plan(hang_up_after_ms=100))
    for _ in range(100):
        call.receive("{", 10)
    assert call.measured.protocol_errors == ["not JSON"] * 20


def test_a_caller_whose_machine_stood_still_goes_on_from_now() -> None:
    call = make(Plan(hang_up_after_ms=60_000))
    sent: Callable[[float], int] = lambda now_ms: len(call.tick(now_ms))  # noqa: E731
    assert sent(20) == 1
    assert sent(10_000) == 10
    assert sent(10_020) == 1
