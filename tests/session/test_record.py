"""The record of a call."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from antiphon.channels.base import CallFacts
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.session.record import MAX_ENTRIES, CallRecord, Subject, masked
from antiphon.session.recorder import Recorder

STARTED = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FACTS = CallFacts("outbound", "+493011111156", "+15005550078", "CA123", {"name": "Bo"})


@pytest.fixture
def writer() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


class Kept:
    """A record, and what is on disk of it."""

    def __init__(self, folder: Path, writer: ThreadPoolExecutor, **more: Any) -> None:
        self.now_ms, self.writer = 0, writer
        path = folder / "calls" / "call_1.call.json"
        self.recorder = Recorder(folder / "calls" / "call_1.wav", lambda: self.now_ms, writer)
        subject = Subject("call_1", "desk", "sip", STARTED, FACTS, **more)
        self.record = CallRecord(path, subject, writer, self.recorder)

    def at(self, at_ms: int, *what: c.Command) -> None:
        self.now_ms = at_ms
        self.record.event(e.DeadlineReached(at_ms))
        for one in what:
            self.record.command(one)

    @property
    def disk(self) -> dict[str, Any]:
        self.writer.submit(lambda: None).result()
        value: dict[str, Any] = json.loads(self.record.path.read_text(encoding="utf-8"))
        return value


@pytest.fixture
def kept(tmp_path: Path, writer: ThreadPoolExecutor) -> Kept:
    return Kept(tmp_path, writer)


def test_a_whole_call(kept: Kept) -> None:
    kept.at(3000, c.ReportDisclosure("I am an assistant.", True))
    turn = c.ReportTurn(1, "yes that is fine", "answered")
    kept.recorder.start()
    kept.at(5000, turn, c.ReportConsent(True, "voice"), c.StartRecording())
    kept.recorder.pause()
    kept.at(9000, c.DigitsCollected("t1", "account_number", "complete"))
    kept.recorder.resume()
    kept.at(12_000, c.TransferCall("t2", '{"target": "sales", "reason": "x"}', 60_000))
    kept.record.event(e.TransferEnded(20_000, "t2", "connected"))
    kept.now_ms = 21_000
    kept.record.event(e.CallEnded(21_000, "transferred"))
    asyncio.run(kept.record.aclose("again"))
    assert kept.disk == {
        "call_id": "call_1",
        "agent": "desk",
        "channel": "sip",
        "direction": "outbound",
        "caller": "••56",
        "called": "••78",
        "line_call_id": "CA123",
        "answered_by": None,
        "started": "2026-03-02T09:00:00.000+00:00",
        "ended": "2026-03-02T09:00:21.000+00:00",
        "duration_ms": 21_000,
        "ended_reason": "transferred",
        "disclosure": {"text": "I am an assistant.", "heard_at_ms": 3000, "complete": True},
        "consent": {"granted": True, "by": "voice", "at_ms": 5000, "words": "yes that is fine"},
        "recording": {"file": "call_1.wav", "from_ms": 3000, "paused_ms": 4000, "whole": True},
        "transfers": [
            {
                "at_ms": 12_000,
                "target": "sales",
                "call": "t2",
                "outcome": "connected",
                "ended_at_ms": 20_000,
            }
        ],
        "digits": [{"at_ms": 9000, "name": "account_number", "outcome": "complete"}],
        "line": None,
        "left_out": 0,
    }
    assert stat.S_IMODE(kept.record.path.stat().st_mode) == 0o600
    assert [path.name for path in kept.record.path.parent.glob("*.tmp")] == []


def test_what_was_attested_survives_a_crash(kept: Kept) -> None:
    assert kept.disk["disclosure"] != {}
    kept.at(3000, c.ReportDisclosure("I am an assistant.", False))
    assert kept.disk["disclosure"]["complete"] is False
    kept.at(4000, c.ReportTurn(1, "1", "answered", "keys"), c.ReportConsent(False, "key"))
    assert kept.disk["consent"] == {"granted": False, "by": "key", "at_ms": 4000}
    assert kept.disk["ended"] is None


def test_numbers_may_be_kept(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    disk = Kept(tmp_path, writer, keep_numbers=True).disk
    assert (disk["caller"], disk["called"]) == ("+493011111156", "+15005550078")


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("", ""),
        ("+4930123456", "••56"),
        ("0301234", "••34"),
        ("1234", "••"),
        ("sip:anna@example.com", "••"),
        ("anonymous", "••"),
    ],
)
def test_numbers_are_masked(number: str, shown: str) -> None:
    assert masked(number) == shown


def test_a_machine_and_an_end_without_an_event(kept: Kept) -> None:
    kept.record.event(e.MachineAnswered(800, ""))
    kept.record.close("internal error")
    kept.record.close("again")
    disk = kept.disk
    assert (disk["answered_by"], disk["ended_reason"]) == ("machine", "internal error")
    assert disk["duration_ms"] == 800
    assert disk["recording"] is None


@pytest.mark.parametrize("arguments", ["", "[]", "{}", "1", '{"target": null}', "[" * 100_000])
def test_a_transfer_to_nobody(kept: Kept, arguments: str) -> None:
    kept.at(10, c.TransferCall("t", arguments, 1000))
    kept.record.event(e.TransferEnded(20, "t", "refused", "there is no such person"))
    kept.record.event(e.TransferEnded(30, "t", "connected"))
    kept.record.event(e.TransferEnded(30, "other", "connected"))
    (transfer,) = kept.disk["transfers"]
    assert transfer["target"] in ("", "None")
    assert (transfer["outcome"], transfer["detail"]) == ("refused", "there is no such person")


def test_an_endless_call_has_a_bounded_record(kept: Kept) -> None:
    for number in range(MAX_ENTRIES + 7):
        kept.at(number, c.DigitsCollected(f"t{number}", "pin", "nothing"))
    assert (len(kept.disk["digits"]), kept.disk["left_out"]) == (MAX_ENTRIES, 7)


def test_a_slow_disk_is_given_the_newest_state_once(kept: Kept) -> None:
    gate, busy = threading.Event(), threading.Event()

    def wait() -> None:
        busy.set()
        gate.wait(10)

    kept.writer.submit(wait)
    assert busy.wait(10)
    for number in range(50):
        kept.at(number, c.DigitsCollected(f"t{number}", "pin", "nothing"))
    assert kept.writer._work_queue.qsize() <= 1
    gate.set()
    assert len(kept.disk["digits"]) == 50


def test_a_disk_that_is_gone(
    tmp_path: Path, writer: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "calls").write_text("a file where the folder should be")
    record = Kept(tmp_path, writer).record
    asyncio.run(record.aclose("done"))
    assert "a call's record cannot be written" in caplog.messages
