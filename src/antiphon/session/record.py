"""The record of a call, `<call_id>.call.json`: who was told what, who agreed to what, what was done
with the line. It holds no words of the conversation but those of the caller's consent, and no
digits; numbers as their last two digits, unless they are to be kept.

It is written when the call begins, whenever something is attested, and at the end, each time whole:
after a crash the last state is there, without `ended`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from antiphon.channels.base import CallFacts
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.session.recorder import Recorder

log = logging.getLogger(__name__)

MAX_ENTRIES = 100
"""Of transfers and of numbers typed, each; further ones are only counted."""
MAX_WORDS_CHARS = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """Which call it is. `started`: with its time zone."""

    call_id: str
    agent: str
    channel: str
    started: datetime
    facts: CallFacts = field(default_factory=CallFacts)
    line: Callable[[], dict[str, Any]] | None = None
    """Tells what was lost on the way; None where nobody knows."""
    keep_numbers: bool = False


class CallRecord:
    """Fed with everything that happens, as the tally is. See the module.

    Args:
        path: where it is kept, readable by its owner only.
        subject: the call.
        writer: runs what waits for the disk.
        recorder: the call's, if it may be recorded.
    """

    def __init__(
        self,
        path: Path,
        subject: Subject,
        writer: ThreadPoolExecutor,
        recorder: Recorder | None = None,
    ) -> None:
        self.path = path
        self._subject, self._writer, self._recorder = subject, writer, recorder
        self._now_ms = 0
        self._said, self._source = "", ""  # the caller's last turn
        self._value: dict[str, Any] = _opening(subject)
        self._text, self._queued, self._done = "", False, Future[None]()
        self._done.set_result(None)
        self._save()

    def event(self, event: e.Event) -> None:
        """The engine has been told of it."""
        self._now_ms = event.at_ms
        match event:
            case e.TransferEnded(tool_call_id=call_id, outcome=outcome, detail=detail):
                self._transfer_ended(call_id, outcome, detail)
            case e.MachineAnswered():
                self._value["answered_by"] = "machine"
                self._save()
            case e.CallEnded(reason=reason):
                self._end(reason)

    def command(self, command: c.Command) -> None:
        """It has been carried out, or is under way."""
        match command:
            case c.ReportTurn(text=text, source=source):
                self._said, self._source = text, source
                return
            case c.ReportDisclosure(text=text, complete=complete):
                told = {"text": text, "heard_at_ms": self._now_ms, "complete": complete}
                self._value["disclosure"] = told
            case c.ReportConsent(granted=granted, by=by):
                self._value["consent"] = self._consent(granted, by)
            case c.StartRecording():
                self._value["recording"] = self._recording()
            case c.TransferCall(tool_call_id=call_id, arguments=arguments):
                begun = {"at_ms": self._now_ms, "target": _target(arguments), "call": call_id}
                self._append("transfers", begun | {"outcome": None, "ended_at_ms": None})
            case c.DigitsCollected(name=name, outcome=outcome):
                typed = {"at_ms": self._now_ms, "name": name, "outcome": outcome}
                self._append("digits", typed)
            case _:
                return
        self._save()

    def close(self, reason: str) -> None:
        """The call is over, if no CallEnded has said so. Idempotent."""
        if self._value["ended"] is None:
            self._end(reason)

    async def aclose(self, reason: str) -> None:
        """Close, and wait until it is on the disk, or cannot be."""
        self.close(reason)
        await asyncio.wait([asyncio.wrap_future(self._done)])

    # ---- entries ---------------------------------------------------------------------------

    def _consent(self, granted: bool, by: str) -> dict[str, Any]:
        told: dict[str, Any] = {"granted": granted, "by": by, "at_ms": self._now_ms}
        if self._source != "keys":
            told["words"] = self._said[:MAX_WORDS_CHARS]
        return told

    def _recording(self) -> dict[str, Any] | None:
        recorder = self._recorder
        if recorder is None or recorder.started_ms is None:
            return None
        return {
            "file": recorder.path.name,
            "from_ms": recorder.started_ms,
            "paused_ms": recorder.paused_ms,
            "whole": not recorder.failed,
        }

    def _append(self, key: str, entry: dict[str, Any]) -> None:
        entries = self._value[key]
        if len(entries) < MAX_ENTRIES:
            entries.append(entry)
        else:
            self._value["left_out"] += 1

    def _transfer_ended(self, call_id: str, outcome: str, detail: str) -> None:
        for one in reversed(self._value["transfers"]):
            if one["call"] == call_id and one["outcome"] is None:
                one.update(outcome=outcome, ended_at_ms=self._now_ms)
                if detail:
                    one["detail"] = detail[:MAX_WORDS_CHARS]
                self._save()
                return

    def _end(self, reason: str) -> None:
        ended = self._subject.started + timedelta(milliseconds=self._now_ms)
        self._value |= {
            "ended": ended.isoformat(timespec="milliseconds"),
            "duration_ms": self._now_ms,
            "ended_reason": reason,
            "recording": self._recording(),
        }
        if self._subject.line is not None:
            self._value["line"] = self._subject.line()
        self._save()

    # ---- to the disk -----------------------------------------------------------------------

    def _save(self) -> None:
        self._text = json.dumps(self._value, ensure_ascii=False, indent=1) + "\n"
        if not self._queued:
            self._queued = True
            self._done = self._writer.submit(self._write)

    def _write(self) -> None:
        """In the writer's thread."""
        self._queued = False
        beside = self.path.with_suffix(".tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
                file.write(self._text)
            beside.replace(self.path)
        except OSError:
            log.exception("a call's record cannot be written")


def _opening(subject: Subject) -> dict[str, Any]:
    facts = subject.facts
    shown = (lambda number: number) if subject.keep_numbers else masked
    return {
        "call_id": subject.call_id,
        "agent": subject.agent,
        "channel": subject.channel,
        "direction": facts.direction,
        "caller": shown(facts.caller),
        "called": shown(facts.called),
        "line_call_id": facts.line_call_id,
        "answered_by": None,
        "started": subject.started.isoformat(timespec="milliseconds"),
        "ended": None,
        "duration_ms": None,
        "ended_reason": None,
        "disclosure": None,
        "consent": None,
        "recording": None,
        "transfers": [],
        "digits": [],
        "left_out": 0,
        "line": None,
    }


def masked(number: str) -> str:
    """`+4930123456` as `••56`. An address, which is no number, is hidden whole."""
    if not number:
        return ""
    digits = number.removeprefix("+")
    return f"••{digits[-2:]}" if digits.isdecimal() and len(digits) > 4 else "••"


def _target(arguments: str) -> str:
    try:
        return str(json.loads(arguments)["target"])[:64]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
