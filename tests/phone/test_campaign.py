"""Campaigns: the list, the store, the pace, and what a restart finds."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.scripted_line import ScriptedLine

from antiphon.channels.phone.vendor import LineStatus, Status
from antiphon.errors import CapacityError, ProviderError, UserFacingError
from antiphon.phone import campaign_store
from antiphon.phone.campaign import Campaigns, outcome_of
from antiphon.phone.campaign_csv import BadList, read_list, results_text
from antiphon.phone.campaign_store import Campaign, NewRow, Store
from antiphon.phone.campaign_thread import StoreThread
from antiphon.phone.config import OutboundConfig
from antiphon.phone.dialer import Dialer
from antiphon.phone.dialer_record import Attempt, Record

NOON_S = datetime(2026, 3, 2, 10, 0, tzinfo=UTC).timestamp()
NUMBERS = [f"+49301111{n:03}" for n in range(100, 200)]


def listing(*numbers: str) -> list[NewRow]:
    return [(line, number, f'{{"n": "{line}"}}') for line, number in enumerate(numbers, 2)]


class Stage:
    """Campaigns over a scripted line, and the clock."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        base = {
            "vendor": "scripted",
            "sender": "+4930999999",
            "countries": ("DE",),
            "per_hour": 100_000,
            "per_number_per_day": 20,
            "at_once": 1000,
        }
        self.line, self.now_s = ScriptedLine(), NOON_S
        self.trouble: UserFacingError | None = None
        self.config = OutboundConfig.model_validate(base | settings)
        self.store = StoreThread(folder / "outbound.db")
        self.dialer = Dialer(self.config, self.line, self.store, self.agent, lambda: self.now_s)
        self.campaigns = Campaigns(self.store, self.dialer, lambda: self.now_s)

    def agent(self, name: str | None) -> str:
        if self.trouble:
            raise self.trouble
        return name or "Cafe"

    async def open(self, rows: list[NewRow], **settings: Any) -> None:
        base = {"pace": 600.0, "at_once": 5, "retries": 0, "retry_after_s": 600.0}
        campaign = Campaign(id="camp", name="Spring", agent="Cafe", **(base | settings))
        await self.campaigns.start()
        await self.campaigns.add(campaign, rows, [])

    async def step(self, seconds: float = 0.25) -> None:
        self.now_s += seconds
        await self.campaigns.step()
        await self.settle()

    async def settle(self) -> None:
        while tasks := set(self.campaigns._tasks):
            await asyncio.wait(tasks)

    async def end(self, number: int, *statuses: Status | LineStatus) -> None:
        self.line.say(number, *statuses)
        await self.settle()

    async def tally(self) -> dict[str, int]:
        counts = await self.store.do(lambda store: store.tally("camp"))
        return {name: count for name, count in counts.items() if count}

    async def shown(self) -> dict[str, Any]:
        shown = await self.campaigns.shown("camp")
        assert shown is not None
        return shown


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    made = Stage(tmp_path)
    yield made
    await made.campaigns.aclose()
    await made.store.aclose()


class TestRunning:
    async def test_everybody_is_called_once(self, stage: Stage) -> None:
        await stage.open(listing(*NUMBERS[:12]))
        for _ in range(40):
            await stage.step()
            for number in range(len(stage.line.calls)):
                await stage.end(number, "answered", "completed")
        assert stage.line.numbers == NUMBERS[:12], "in the order of the list"
        assert stage.line.calls[0].variables == {"n": "2"}
        shown = await stage.shown()
        assert (shown["state"], shown["outcomes"]) == ("done", {"completed": 12})
        assert shown["ended_at"]

    async def test_pace(self, stage: Stage) -> None:
        await stage.open(listing(*NUMBERS[:60]), pace=60.0, at_once=1000)
        for _ in range(40):
            await stage.step()
        assert len(stage.line.calls) == pytest.approx(10, abs=2), "one a second, for ten seconds"
        await stage.step(30)
        assert len(stage.line.calls) <= 13, "what was not used is not made up for"

    async def test_calls_at_once(self, stage: Stage) -> None:
        await stage.open(listing(*NUMBERS[:20]), at_once=3)
        for _ in range(10):
            await stage.step()
        assert len(stage.line.calls) == 3
        assert await stage.tally() == {"waiting": 17, "calling": 3}
        await stage.end(1, "busy")
        await stage.step()
        assert len(stage.line.calls) == 4

    @pytest.mark.parametrize("end", ["busy", "no_answer"])
    async def test_busy_and_not_answered_calls_are_tried_again(
        self, stage: Stage, end: Any
    ) -> None:
        await stage.open(listing(NUMBERS[0]), retries=2)
        for attempt in range(3):
            await stage.step()
            await stage.step(300)
            assert len(stage.line.calls) == attempt + 1, "not before its time"
            await stage.end(attempt, "ringing", end)
            await stage.step(601)
        for _ in range(3):
            await stage.step(601)
        assert len(stage.line.calls) == 3
        shown = await stage.shown()
        assert (shown["state"], shown["outcomes"]) == ("done", {end: 1})

    async def test_machines(self, stage: Stage) -> None:
        await stage.open(listing(NUMBERS[0]), retries=1)
        await stage.step()
        await stage.end(0, Status("c0", "answered", "machine"), "completed")
        assert await stage.tally() == {"waiting": 1}
        await stage.step(601)
        await stage.end(1, Status("c1", "answered", "human"), "completed")
        assert await stage.tally() == {"completed": 1}

    async def test_a_call_that_failed_is_not_tried_again(self, stage: Stage) -> None:
        await stage.open(listing(NUMBERS[0]), retries=3)
        await stage.step()
        await stage.end(0, "failed")
        assert await stage.tally() == {"failed": 1}

    async def test_pause_resume_cancel(self, stage: Stage) -> None:
        await stage.open(listing(*NUMBERS[:10]), at_once=2)
        await stage.step()
        await stage.step()
        assert await stage.campaigns.set_state("camp", "paused")
        await stage.end(0, "completed")
        for _ in range(5):
            await stage.step()
        assert len(stage.line.calls) == 2
        assert await stage.campaigns.set_state("camp", "running")
        await stage.step()
        assert len(stage.line.calls) == 3
        assert await stage.campaigns.set_state("camp", "canceled")
        assert not await stage.campaigns.set_state("camp", "running"), "it is over"
        await stage.end(1, "busy")
        await stage.end(2, "completed")
        assert await stage.tally() == {"canceled": 7, "busy": 1, "completed": 2}

    async def test_retries_end_with_the_campaign(self, stage: Stage) -> None:
        await stage.open(listing(NUMBERS[0]), retries=3)
        await stage.step()
        await stage.campaigns.set_state("camp", "canceled")
        await stage.end(0, "busy")
        assert await stage.tally() == {"busy": 1}


class TestRules:
    async def test_some_are_never_called(self, tmp_path: Path, stage: Stage) -> None:
        never = tmp_path / "never.txt"
        never.write_text(NUMBERS[1])
        stage.dialer._never = type(stage.dialer._never)(str(never))
        await stage.open(listing(NUMBERS[0], NUMBERS[1], "+12125550123", "+499001123456"))
        for _ in range(4):
            await stage.step()
        assert stage.line.numbers == [NUMBERS[0]]
        rows = await stage.store.do(lambda store: store.results("camp", 0, 10))
        assert [row[3] for row in rows] == ["", "refused", "refused", "refused"]
        assert [row[11].partition(":")[0] for row in rows[1:]] == [
            "do_not_call", "country", "premium",
        ]  # fmt: skip

    async def test_quiet_hours_put_a_row_off(self, stage: Stage) -> None:
        stage.now_s = datetime(2026, 3, 2, 18, 59, 59, tzinfo=UTC).timestamp()
        await stage.open(listing(*NUMBERS[:3]), at_once=1)
        await stage.step(0)
        await stage.end(0, "completed")
        await stage.step(60)
        assert len(stage.line.calls) == 1
        for _ in range(20):
            await stage.step(3600)
            await stage.end(len(stage.line.calls) - 1, "completed")
        assert len(stage.line.calls) == 3
        rows = await stage.store.do(lambda store: store.results("camp", 0, 10))
        assert all(8 <= datetime.fromtimestamp(row[7], UTC).hour < 19 for row in rows)

    async def test_many_that_sleep_do_not_hold_up_one_that_is_awake(self, tmp_path: Path) -> None:
        stage = Stage(tmp_path, countries=("DE", "JP"), hours="Mon-Sat 09:00-18:00")
        tokyo = [f"+81312345{n:03}" for n in range(300)]
        await stage.open(listing(*tokyo, NUMBERS[0]), at_once=1)
        await stage.step()
        assert stage.line.numbers == [NUMBERS[0]]
        await stage.campaigns.aclose()
        await stage.store.aclose()

    async def test_limits_of_all_hold_the_campaign(self, tmp_path: Path) -> None:
        stage = Stage(tmp_path, per_hour=2)
        await stage.open(listing(*NUMBERS[:5]))
        for _ in range(20):
            await stage.step()
        assert len(stage.line.calls) == 2
        shown = await stage.shown()
        assert shown["held_because"].startswith("per_hour")
        assert shown["waiting"] == 3
        await stage.step(3601)
        assert len(stage.line.calls) == 4
        await stage.campaigns.aclose()
        await stage.store.aclose()

    async def test_calls_to_a_number_are_counted_over_campaigns(self, tmp_path: Path) -> None:
        stage = Stage(tmp_path, per_number_per_day=1)
        await stage.open(listing(NUMBERS[0]), retries=3)
        await stage.step()
        await stage.end(0, "busy")
        for _ in range(5):
            await stage.step(700)
        assert len(stage.line.calls) == 1
        assert await stage.tally() == {"waiting": 1}
        await stage.step(86_400)
        await stage.step()
        assert len(stage.line.calls) == 2
        await stage.campaigns.aclose()
        await stage.store.aclose()


class TestTrouble:
    async def test_a_line_that_takes_no_calls(self, stage: Stage) -> None:
        await stage.open(listing(*NUMBERS[:5]), at_once=1)
        limit = ProviderError("too many", provider="x", retryable=True, status=429)
        stage.line.fails = [limit, limit]
        await stage.step()
        assert await stage.tally() == {"waiting": 5}
        assert "too many" in (await stage.shown())["held_because"]
        await stage.step(1)
        assert len(stage.line.calls) == 1, "it is held"
        await stage.step(15)
        await stage.step(15)
        assert len(stage.line.calls) == 2, "longer than before"
        await stage.step(16)
        assert await stage.tally() == {"waiting": 4, "calling": 1}
        rows = await stage.store.do(lambda store: store.results("camp", 0, 9))
        assert sum(row[4] for row in rows) == 1, "attempts that never began do not count"

    async def test_a_line_that_may_have_called(self, stage: Stage) -> None:
        await stage.open(listing(NUMBERS[0]), retries=5)
        stage.line.fails = [ProviderError("it broke", provider="x", retryable=True)]
        await stage.step()
        for _ in range(5):
            await stage.step(700)
        assert await stage.tally() == {"unknown": 1}
        assert len(stage.line.calls) == 1

    async def test_a_number_that_the_line_does_not_take(self, stage: Stage) -> None:
        await stage.open(listing(*NUMBERS[:2]), at_once=1)
        wrong = ProviderError("no such number", provider="x", retryable=False, status=400)
        stage.line.fails = [wrong]
        await stage.step()
        await stage.step()
        assert await stage.tally() == {"failed": 1, "calling": 1}

    async def test_no_free_line(self, stage: Stage) -> None:
        await stage.open(listing(NUMBERS[0]))
        stage.trouble = CapacityError("All lines are in use.")
        await stage.step()
        assert not stage.line.calls
        assert (await stage.shown())["held_because"] == "All lines are in use."
        stage.trouble = None
        await stage.step(2.1)
        assert len(stage.line.calls) == 1

    async def test_an_end_that_cannot_be_written_is_written_later(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await stage.open(listing(NUMBERS[0]))
        await stage.step()

        def full(*_: object) -> None:
            raise OSError("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(Store, "finish", full)
            await stage.end(0, "completed")
        assert await stage.tally() == {"calling": 1}
        await stage.step()
        assert await stage.tally() == {"completed": 1}

    async def test_nobody_is_called_when_it_cannot_be_written_first(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await stage.open(listing(NUMBERS[0]))

        def full(*_: object) -> bool:
            raise OSError("the disk is full")

        monkeypatch.setattr(Store, "reserve", full)
        await stage.step()
        assert not stage.line.calls


class TestRestart:
    async def test_claimed_rows_are_unknown_and_reported(self, tmp_path: Path) -> None:
        first = Stage(tmp_path)
        await first.open(listing(*NUMBERS[:4]), at_once=2, retries=5)
        for _ in range(4):
            await first.step()
        await first.end(0, "completed")
        # The process is gone: nothing is closed but its files.
        await first.store.aclose()
        second = Stage(tmp_path)
        await second.campaigns.start()
        assert await second.tally() == {"completed": 1, "unknown": 1, "waiting": 2}
        for _ in range(10):
            await second.step(0.5)
        assert second.line.numbers == NUMBERS[2:4]
        rows = await second.store.do(lambda store: store.results("camp", 0, 10))
        assert "stopped" in rows[1][11]
        await second.store.aclose()

    async def test_only_one_process_runs_campaigns(self, tmp_path: Path) -> None:
        first, second = Stage(tmp_path), Stage(tmp_path)
        await first.open(listing(NUMBERS[0]))
        await second.campaigns.start()
        assert not second.campaigns.ready
        await second.step()
        assert not second.line.calls
        assert await first.tally() == {"waiting": 1}
        await first.store.aclose()
        await second.campaigns.start()
        assert second.campaigns.ready
        await second.store.aclose()


class TestStore:
    def test_a_row_or_key_is_reserved_once(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "x.db")
        campaign = Campaign("camp", "n", "a", 1, 1, 0, 1)
        assert store.add(campaign, listing(NUMBERS[0])) == 1
        attempt = Attempt("call_1", NUMBERS[0], NOON_S, ("camp", 2), "key")
        assert store.reserve(attempt)
        assert not store.reserve(Attempt("call_2", NUMBERS[0], NOON_S, ("camp", 2)))
        assert not store.reserve(Attempt("call_3", NUMBERS[0], NOON_S, None, "key"))
        assert store.key_used("key") == "call_1"
        assert store.key_used("other") is None
        counts = store.counts(NUMBERS[0], NOON_S + 10)
        assert (counts.number_calls, counts.hour_calls) == (1, 1), "what was refused is not noted"
        assert store.counts(NUMBERS[0], NOON_S + 4000).hour_calls == 0
        store.forget(NOON_S + 86_401)
        assert store.key_used("key") is None
        store.close()

    def test_what_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "x.db").write_text("this is not a database, but a text")
        with pytest.raises(UserFacingError, match="cannot be used"):
            Store(tmp_path / "x.db")
        (tmp_path / "file").write_text("")
        with pytest.raises(UserFacingError, match="cannot be used"):
            Store(tmp_path / "file" / "x.db")

    def test_a_later_version_is_left_alone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(campaign_store, "SCHEMA", 9)
        Store(tmp_path / "x.db").close()
        monkeypatch.undo()
        with pytest.raises(UserFacingError, match="later version"):
            Store(tmp_path / "x.db")

    def test_campaigns_have_a_bound(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(campaign_store, "MAX_CAMPAIGNS", 1)
        store = Store(tmp_path / "x.db")
        store.add(Campaign("one", "n", "a", 1, 1, 0, 1, made_s=NOON_S), listing())
        with pytest.raises(UserFacingError, match="1 campaigns already"):
            store.add(Campaign("two", "n", "a", 1, 1, 0, 1), listing())
        store.set_state("one", "canceled", NOON_S)
        store.forget(NOON_S + 91 * 86_400)
        assert store.campaigns(10) == []
        store.close()


class TestList:
    def test_columns_are_variables(self) -> None:
        data = '\ufeffname,to,sum\r\nAnna,+49 30 111100,12\r\n\r\n"B, C",004930222200,\r\n'
        rows, duplicates = read_list(data.encode())
        assert rows == [
            (2, "+4930111100", '{"name": "Anna", "sum": "12"}'),
            (4, "+4930222200", '{"name": "B, C", "sum": ""}'),
        ]
        assert duplicates == []

    def test_semicolons_and_duplicates(self) -> None:
        data = b"to;name\n+4930111100;Anna\n+49 (0)30 111100;Again\n+4930222200;Bert\n"
        rows, duplicates = read_list(data)
        assert [row[0] for row in rows] == [2, 4]
        assert duplicates == [3]

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (b"", "no column `to`"),
            (b"to\n", "no numbers"),
            (b"name,number\nA,1\n", "line 1: there is no column `to`"),
            (b"to,to\n", "two columns"),
            (b"to,first name\n", "`first name`"),
            (b"to\n+4930111100\n030 111\n12\n", r"line 3: .*\nline 4: "),
            (b"to\n+4930111100,x\n", "line 2: 2 fields"),
            (b'to,n\n+4930111100,"a\n', "not CSV"),
            (b"to\n\xff\n", "line 2: this is not UTF-8"),
            (b"to,n\n+4930111100," + b"x" * 1001, "line 2: `n` has more"),
            (",".join(["to", *(f"c{n}" for n in range(50))]).encode(), "at most 50"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, data: bytes, says: str) -> None:
        with pytest.raises(BadList, match=says):
            read_list(data)

    def test_errors_are_not_endless(self) -> None:
        with pytest.raises(BadList) as error:
            read_list(b"to\n" + b"x\n" * 5000)
        assert len(str(error.value).splitlines()) == 20

    def test_rows_have_a_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("antiphon.phone.campaign_csv.MAX_ROWS", 3)
        data = "to\n" + "\n".join(NUMBERS[:5])
        with pytest.raises(BadList, match="at most 3"):
            read_list(data.encode())

    @given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: f"to,a\n{t}".encode()))
    def test_anything_is_read_or_refused(self, data: bytes) -> None:
        try:
            rows, _ = read_list(data)
        except BadList:
            return
        assert rows
        assert len({row[1] for row in rows}) == len(rows)

    def test_results_are_csv(self) -> None:
        rows = [
            (2, NUMBERS[0], "done", "busy", 2, "", None, NOON_S, NOON_S + 1, None, "c", "a, b"),
            (3, NUMBERS[1], "claimed", "", 1, "human", 7, None, None, None, "", ""),
        ]
        read = list(csv.DictReader(io.StringIO(results_text(rows, head=True))))
        assert read[0]["to"] == NUMBERS[0]
        assert read[0]["detail"] == "a, b"
        assert read[0]["last_called_at"] == "2026-03-02T10:00:01Z"
        assert (read[1]["outcome"], read[1]["duration_s"]) == ("calling", "7")


def test_outcomes() -> None:
    record = Record("id", NUMBERS[0], "Cafe", {}, "failed", NOON_S)
    assert outcome_of(record, machines_count=False).outcome == "unknown"
    record.certain = True
    assert outcome_of(record, machines_count=False).outcome == "failed"
    record.state, record.answered_by = "completed", "machine"
    assert outcome_of(record, machines_count=False).outcome == "machine"
    assert outcome_of(record, machines_count=True).outcome == "completed"
    record.message_left = True
    assert outcome_of(record, machines_count=False).outcome == "message"
