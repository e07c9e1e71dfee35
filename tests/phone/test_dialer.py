"""Calls from the order to their end, over a scripted line."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.scripted_line import ScriptedLine, ScriptedSession

from antiphon.channels.phone.vendor import Status
from antiphon.errors import ProviderError, UserFacingError
from antiphon.phone import dialer as dialer_module
from antiphon.phone.config import OutboundConfig
from antiphon.phone.dialer import Dialer
from antiphon.phone.dialer_record import (
    Attempt,
    Order,
    Record,
    Refused,
    Taken,
    certainly_not_dialled,
)
from antiphon.phone.rules import Counts

NOON_S = datetime(2026, 3, 2, 10, 0, tzinfo=UTC).timestamp()
ANNA, BERT = "+4930111111", "+4930222222"


class Memory:
    """A journal that forgets at its end."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []

    async def counts(self, number: str, now_s: float) -> Counts:
        of_number = [a.at_s for a in self.attempts if a.number == number]
        hour = [a.at_s for a in self.attempts]
        return Counts(len(of_number), min(of_number, default=0), len(hour), min(hour, default=0))

    async def reserve(self, attempt: Attempt) -> bool:
        if attempt.key and attempt.key in {a.key for a in self.attempts}:
            return False
        self.attempts.append(attempt)
        return True


class Stage:
    """A dialer, its line, and the clock."""

    def __init__(self, **settings: Any) -> None:
        base = {"vendor": "scripted", "sender": "+4930999999", "countries": ("DE",), "ring_s": 30}
        self.config = OutboundConfig.model_validate(base | settings)
        self.line, self.journal, self.now_s = ScriptedLine(), Memory(), NOON_S
        self.dialer = Dialer(self.config, self.line, self.journal, self.agent, lambda: self.now_s)

    def agent(self, name: str | None) -> str:
        if name == "nobody":
            raise UserFacingError("There is no agent called 'nobody'.")
        return name or "Cafe"

    async def call(self, to: str = ANNA) -> Record:
        return await self.dialer.place(Order(to, None, {"name": "Anna"}))

    async def settle(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)


def state(record: Record) -> str:
    """Now; it changes behind the type checker's back."""
    return record.state


async def test_a_call_from_order_to_end() -> None:
    stage = Stage()
    record = await stage.call("+49 30 111111")
    (call,) = stage.line.calls
    assert (call.to, call.sender, call.agent) == (ANNA, "+4930999999", "Cafe")
    assert call.variables == {"name": "Anna"}
    assert (call.ring_s, call.longest_s, call.detect_machine) == (30, 1800, True)
    assert state(record) == "queued"
    stage.line.say(0, "ringing")
    stage.now_s += 5
    stage.line.say(0, Status("c0", "answered", "human"))
    stage.now_s += 60
    stage.line.say(0, "ringing")
    assert state(record) == "answered", "what comes late does not turn it back"
    stage.line.say(0, "completed", "busy")
    shown = record.shown()
    assert shown["state"] == "completed"
    assert shown["answered_by"] == "human"
    assert shown["duration_s"] == 60
    assert shown["queued_at"] == "2026-03-02T10:00:00Z"
    assert shown["ended_at"] == "2026-03-02T10:01:05Z"
    assert stage.dialer.active == 0
    assert stage.dialer.get(record.id) is record
    assert stage.dialer.list(10) == [record]


async def test_what_became_of_each_order_is_counted() -> None:
    stage = Stage()
    counted: list[str] = []
    stage.dialer.count = counted.append
    await stage.call()
    stage.line.say(0, "busy")
    with pytest.raises(Refused):
        await stage.call("+1 900 555 1234")
    assert counted == ["busy", "refused_premium"]


@pytest.mark.parametrize("end", ["busy", "no_answer", "failed", "canceled"])
async def test_calls_that_nobody_took(end: Any) -> None:
    stage = Stage()
    stage.line.at_once = ("ringing", end)
    record = await stage.call()
    assert record.state == end, "also when it is told before `dial` returns"
    assert record.duration_s is None
    assert record.certain
    assert stage.dialer.active == 0


async def test_refused_calls_are_kept_and_nobody_is_called() -> None:
    stage = Stage()
    with pytest.raises(Refused, match="country: ") as refused:
        await stage.call("+12125550123")
    assert refused.value.record.shown()["rule"] == "country"
    assert stage.dialer.list(1)[0].state == "refused"
    with pytest.raises(UserFacingError, match="no agent"):
        await stage.dialer.place(Order(ANNA, "nobody"))
    assert not stage.line.calls
    assert not stage.journal.attempts


async def test_limits_hold_when_orders_come_at_the_same_time() -> None:
    stage = Stage(at_once=3, per_number_per_day=1)
    orders = [stage.call(f"+493011111{n % 8}") for n in range(40)]
    done = await asyncio.gather(*orders, return_exceptions=True)
    assert len(stage.line.calls) == 3
    assert sum(isinstance(one, Refused) for one in done) == 37
    stage.line.say(0, "busy")
    with pytest.raises(Refused, match="per_number: "):
        await stage.call(stage.line.numbers[0])


async def test_a_key_makes_one_call() -> None:
    stage = Stage()
    await stage.dialer.place(Order(ANNA), key="k")
    with pytest.raises(Taken):
        await stage.dialer.place(Order(ANNA), key="k")
    assert len(stage.line.calls) == 1


async def test_the_list_is_read_anew_for_each_call(tmp_path: Path) -> None:
    never = tmp_path / "never.txt"
    never.write_text("")
    stage = Stage(do_not_call=str(never))
    await stage.call(ANNA)
    never.write_text(f"{BERT}\n")
    with pytest.raises(Refused, match="do_not_call"):
        await stage.call(BERT)
    never.unlink()
    with pytest.raises(Refused, match=r"do_not_call.*cannot be used"):
        await stage.call(ANNA)


async def test_a_call_of_which_nothing_is_heard_fails() -> None:
    stage = Stage()
    record = await stage.call()
    stage.now_s += 89
    stage.dialer.tick()
    assert state(record) == "queued"
    stage.now_s += 2
    stage.dialer.tick()
    await stage.settle()
    assert state(record) == "failed"
    assert not record.certain
    assert stage.line.hung_up == ["c0"]
    stage.line.say(0, "completed")
    assert state(record) == "failed"


async def test_the_longest_call() -> None:
    stage = Stage(longest_minutes=1)
    record = await stage.call()
    stage.line.say(0, "answered")
    stage.now_s += 61
    stage.dialer.tick()
    stage.dialer.tick()
    await stage.settle()
    assert set(stage.line.hung_up) == {"c0"}
    assert state(record) == "answered", "until the line says so"
    stage.now_s += 61
    stage.dialer.tick()
    assert (record.state, record.duration_s) == ("completed", 122)


async def test_hanging_up() -> None:
    stage = Stage()
    record = await stage.call()
    assert await stage.dialer.hang_up(record.id) is record
    assert await stage.dialer.hang_up("call_none") is None
    assert stage.line.hung_up == ["c0"]
    stage.line.say(0, "canceled")
    await stage.dialer.hang_up(record.id)
    assert stage.line.hung_up == ["c0"]


class TestMachines:
    async def test_it_is_hung_up_on(self) -> None:
        stage = Stage()
        stage.line.sessions["c0"] = session = ScriptedSession()
        record = await stage.call()
        stage.line.say(0, "answered", Status("c0", "answered", "machine"))
        assert session.messages == [""]
        assert (record.answered_by, record.message_left) == ("machine", False)

    async def test_without_a_session_the_line_hangs_up(self) -> None:
        stage = Stage()
        await stage.call()
        stage.line.say(0, Status("c0", "answered", "machine"))
        await stage.settle()
        assert stage.line.hung_up == ["c0"]

    async def test_a_message_is_left_once_when_it_listens(self) -> None:
        stage = Stage(machine="message", message="Please call back.")
        record = await stage.call()
        stage.line.say(0, Status("c0", "answered", "machine"))
        stage.line.say(0, Status("c0", "answered", "machine", machine_is_listening=True))
        assert not record.message_left, "the conversation is not there yet"
        stage.line.sessions["c0"] = session = ScriptedSession()
        stage.dialer.tick()
        stage.dialer.tick()
        assert session.messages == ["Please call back."]
        assert record.message_left
        stage.line.say(0, "completed")
        assert record.reason == "an answering machine took the call"

    async def test_one_that_never_listens_is_hung_up_on(self) -> None:
        stage = Stage(machine="message", message="Please call back.")
        stage.line.sessions["c0"] = session = ScriptedSession()
        await stage.call()
        stage.line.say(0, Status("c0", "answered", "machine"))
        stage.now_s += 46
        stage.dialer.tick()
        await stage.settle()
        assert stage.line.hung_up == ["c0"]
        assert not session.messages

    async def test_it_may_be_ignored(self) -> None:
        stage = Stage(machine="ignore")
        stage.line.sessions["c0"] = session = ScriptedSession()
        await stage.call()
        assert not stage.line.calls[0].detect_machine
        stage.line.say(0, Status("c0", "answered", "machine"))
        await stage.settle()
        assert not session.messages
        assert not stage.line.hung_up

    async def test_people_are_left_alone(self) -> None:
        stage = Stage()
        stage.line.sessions["c0"] = session = ScriptedSession()
        record = await stage.call()
        stage.line.say(0, Status("c0", "answered", "unknown"), Status("c0", "answered", "human"))
        assert record.answered_by == "human"
        assert not session.messages


async def test_a_line_that_does_not_take_the_call() -> None:
    stage = Stage()
    stage.line.fails = [ProviderError("no such number", provider="x", retryable=False, status=400)]
    with pytest.raises(ProviderError):
        await stage.call()
    assert stage.dialer.active == 0
    (record,) = stage.dialer.list(1)
    assert (record.state, record.certain) == ("failed", True)


async def test_a_line_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    monkeypatch.setattr(dialer_module, "DIAL_TIMEOUT_S", 0.01)
    monkeypatch.setattr(stage.line, "dial", lambda *_: asyncio.sleep(60))
    with pytest.raises(ProviderError, match="in time"):
        await stage.call()
    (record,) = stage.dialer.list(1)
    assert (record.state, record.certain) == ("failed", False)


def test_what_is_certain() -> None:
    def failed(status: int | None, cause: Exception | None = None) -> ProviderError:
        error = ProviderError("x", provider="x", retryable=True, status=status)
        error.__context__ = cause
        return error

    assert certainly_not_dialled(failed(400))
    assert certainly_not_dialled(failed(429))
    assert certainly_not_dialled(failed(None, httpx.ConnectError("refused")))
    assert not certainly_not_dialled(failed(201))
    assert not certainly_not_dialled(failed(408))
    assert not certainly_not_dialled(failed(503))
    assert not certainly_not_dialled(failed(None, httpx.ReadError("reset")))
    assert not certainly_not_dialled(failed(None))


async def test_closing_ends_what_goes_on() -> None:
    stage = Stage()
    await stage.call(ANNA)
    await stage.call(BERT)
    stage.line.say(0, "answered")
    await stage.dialer.aclose()
    assert sorted(stage.line.hung_up) == ["c0", "c1"]


async def test_calls_that_are_over_are_forgotten_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialer_module, "MAX_KEPT", 3)
    stage = Stage(per_hour=100, per_number_per_day=100)
    stage.line.at_once = ("busy",)
    records = [await stage.call() for _ in range(5)]
    assert stage.dialer.get(records[0].id) is None
    assert len(stage.dialer.list(100)) == 3
