"""`antiphon call`: talk to an agent with recordings, without a browser."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from antiphon.agent.default import default_agent
from antiphon.agent.load import load_agent
from antiphon.audio.wav import StereoWavWriter, read_pcm
from antiphon.channels.wav import Plan, WavCall, WavDriver
from antiphon.cli.cost import money
from antiphon.session.clock import RealClock, StreamClock
from antiphon.session.supervisor import Supervisor
from antiphon.types import INPUT_RATE_HZ


class Pace(StrEnum):
    """How fast the recording is played."""

    REAL = "real"
    FAST = "fast"


class Transcript:
    """Prints the conversation as it happens and keeps the figures."""

    def __init__(self, console: Console, events: IO[str] | None) -> None:
        self._console, self._events = console, events
        self.latencies: list[dict[str, Any]] = []
        self.answered = False
        self.now_ms: Callable[[], int] = lambda: 0

    def notice(self, event: dict[str, Any]) -> None:
        """Take one event of the session (docs/events.md)."""
        if self._events is not None:
            line = {"at_ms": self.now_ms(), **event}
            self._events.write(json.dumps(line, ensure_ascii=False) + "\n")
        kind = event["type"]
        if kind == "conversation.item.input_audio_transcription.completed":
            self._user(event)
        elif kind == "response.output_audio_transcript.done" and event["transcript"]:
            self._say("agent", event["transcript"], "cyan")
            self.answered = self.answered or bool(self.latencies)
        elif kind == "response.done" and event["response"]["status"] != "completed":
            details = event["response"]["status_details"]["reason"]
            self._say("", f"({event['response']['status']}: {details})", "dim")
        elif kind == "response.function_call_arguments.done":
            self._say("tool", f"{event['name']}({event['arguments']})", "magenta")
        elif kind == "antiphon.tool.completed":
            self._say("", event["output"], "magenta")
        elif kind == "antiphon.latency":
            self.latencies.append(event)
        elif kind == "error":
            self._say("error", event["error"]["message"], "red")
        elif kind in ("antiphon.cost", "antiphon.budget") and (text := money(event)):
            self._say("", f"({text})", "dim")
        elif kind == "antiphon.session.ended":
            self._say("", f"({event['reason']})", "dim")

    def _user(self, event: dict[str, Any]) -> None:
        if event["outcome"] == "answered":
            self._say("caller", event["transcript"], "green")
        else:
            text = event["transcript"] or "..."
            self._say("caller", f"{text}  ({event['outcome']}, not answered)", "dim green")

    def _say(self, who: str, text: str, style: str) -> None:
        self._console.print(f"{self.now_ms() / 1000:8.2f} s  {who:>6}  ", end="")
        self._console.print(text, style=style, markup=False, highlight=False)

    def table(self) -> Table:
        """Latency of every answer, in its parts."""
        table = Table(title="End of the caller's speech to the first sound of the answer, ms")
        table.add_column("turn")
        names = list(self.latencies[0]["contributions"]) if self.latencies else []
        for name in (*names, "total"):
            table.add_column(name, justify="right")
        for one in self.latencies:
            parts = [str(one["contributions"][name]) for name in names]
            table.add_row(one["item_id"], *parts, str(one["total_ms"]))
        return table


def call(
    wav: Annotated[
        list[Path],
        typer.Option(help="A recording of the caller; each further one is played in reply."),
    ],
    agent: Annotated[
        Path | None, typer.Option(help="The agent's file; the cafe if absent.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write both sides: caller left, agent right.")
    ] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", help="Write the session's events, a line each.")
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(help="Keep the call's trace (for `antiphon replay`) here.")
    ] = None,
    pace: Annotated[
        Pace, typer.Option(help="In real time, or as fast as the machine computes.")
    ] = Pace.REAL,
    barge_in_ms: Annotated[
        int | None,
        typer.Option(min=0, help="Play the next recording so long after the agent's first sound."),
    ] = None,
) -> None:
    """Play recordings to an agent and show what happens. Exit code 0 when the agent answered."""
    plan = Plan([read_pcm(path, INPUT_RATE_HZ) for path in wav], barge_in_ms=barge_in_ms)
    with contextlib.ExitStack() as stack:
        events = stack.enter_context(json_.open("w", encoding="utf-8")) if json_ else None
        writer = stack.enter_context(StereoWavWriter(record, INPUT_RATE_HZ)) if record else None
        transcript = Transcript(Console(), events)
        asyncio.run(_run(agent or default_agent(), plan, transcript, writer, pace, trace))
    if transcript.latencies:
        Console().print(transcript.table())
    raise typer.Exit(0 if transcript.answered else 1)


async def _run(
    agent: Path,
    plan: Plan,
    transcript: Transcript,
    writer: StereoWavWriter | None,
    pace: Pace,
    trace: Path | None,
) -> None:
    supervisor = Supervisor([load_agent(agent)], traces=trace)
    await supervisor.start()
    try:
        wav_call = WavCall(transcript.notice)
        stream = StreamClock() if pace is Pace.FAST else None
        clock = stream or RealClock(asyncio.get_running_loop())
        transcript.now_ms = clock.now_ms
        session = await supervisor.start_call(wav_call, clock=clock)
        driver = WavDriver(plan, wav_call, writer)
        await driver.run(session, stream.advance if stream else None)
    finally:
        await supervisor.drain(0)
