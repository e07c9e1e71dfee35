"""The callers of a load by telephone, in a process of their own."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from antiphon.bench.child import run_child
from antiphon.bench.phone_caller import SimCall
from antiphon.bench.phone_figures import share, summarize
from antiphon.bench.phone_line import Caller, NotConnected, ask_voice, incoming_form
from antiphon.bench.phone_speech import Plan, Speech, Turn
from antiphon.bench.phone_wire import Line, sign

SPREAD_S = 0.0371
"""Calls begin so long after each other: at other moments of the 20 ms, too."""


@dataclass(frozen=True, slots=True)
class Job:
    """Calls of `seconds` each, spread over the servers by turns."""

    voice_urls: tuple[str, ...]
    auth_tokens: tuple[str, ...]
    audio: tuple[str, ...]
    calls: int
    seconds: float
    seed: int = 0
    interrupt: bool = True


def plan_of(speeches: Sequence[Speech], job: Job, number: int) -> Plan:
    """What one caller does: speaks when the agent has finished, and by turns over it."""
    rng = Random(f"{job.seed}/{number}")
    turns = []
    for at in range(8):
        over = job.interrupt and at % 2
        turns.append(Turn(rng.choice(list(speeches)), rng.randint(800, 3000) if over else None))
    return Plan(turns, longest_ms=int(job.seconds * 1000), repeat=True)


class Callers:
    """All calls of a job."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._speeches = [Speech.read(Path(path)).trimmed() for path in job.audio]
        self._late_ms: list[float] = []
        self._calls: dict[int, SimCall] = {}
        self._errors: list[str] = []

    async def run(self) -> dict[str, Any]:
        """Make them; the figures."""
        cpu_s = time.process_time()
        async with asyncio.TaskGroup() as group:
            for number in range(self._job.calls):
                group.create_task(self._one(number))
        calls = [self._calls[number] for number in sorted(self._calls)]
        late = sorted(self._late_ms)
        return {
            **summarize(calls),
            "not_connected": self._errors[:20],
            "client_cpu_s": round(time.process_time() - cpu_s, 3),
            "client_late_p99_ms": share(late, 0.99),
            "client_late_max_ms": share(late, 1.0),
            "each": [_heard(call) for call in calls],
        }

    async def _one(self, number: int) -> None:
        await asyncio.sleep(number * SPREAD_S)
        job, sid = self._job, secrets.token_hex(16)
        server = number % len(job.voice_urls)
        url, token = job.voice_urls[server], job.auth_tokens[server]
        form = incoming_form("CA" + sid, "AC" + "0" * 32, "+15550100100", "+15550100199")
        try:
            place = await ask_voice(url, form, token)
            line = Line(sid, place.parameters)
            call = SimCall(line, plan_of(self._speeches, job, number))
            signed = {"X-Twilio-Signature": sign(token, place.url)}
            await Caller(call, place.url, signed, late=self._late_ms.append).run()
        except NotConnected as error:
            self._errors.append(str(error))
        else:
            self._calls[number] = call


def _heard(call: SimCall) -> dict[str, Any]:
    """What is compared with the server's records."""
    return {
        "cleared": [round(at_ms) for at_ms, _ in call.measured.cleared],
        "answers": [
            (round(a.first_ms), round(a.sound_ms), a.cleared_ms is not None)
            for a in call.playout.answers
        ],
    }


async def run_job(job: Job) -> dict[str, Any]:
    """Run it in a process of its own.

    Raises:
        RuntimeError: that process broke down.
    """
    return await run_child(__name__, asdict(job))


def main() -> None:
    """The process."""
    import uvloop

    fields = json.loads(sys.stdin.read())
    lists = {name: tuple(fields[name]) for name in ("voice_urls", "auth_tokens", "audio")}
    print(json.dumps(uvloop.run(Callers(Job(**{**fields, **lists})).run())))
