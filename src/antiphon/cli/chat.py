"""`antiphon chat`: talk to an agent by typing, here in the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from antiphon.agent.default import default_agent
from antiphon.agent.load import load_agent
from antiphon.cli.cost import money
from antiphon.session.supervisor import Supervisor
from antiphon.types import INPUT_RATE_HZ

ANSWER_DEADLINE_S = 60.0


class ChatCall:
    """A call by text on the terminal."""

    channel = "terminal"
    output_rate_hz = INPUT_RATE_HZ
    has_audio = False

    def __init__(self, console: Console) -> None:
        self._console = console
        self.idle = asyncio.Event()
        self.ended = asyncio.Event()
        self.lines: asyncio.Queue[str] = asyncio.Queue()
        """What was typed; an empty line is the end."""

    def notify(self, event: dict[str, Any]) -> None:
        """Print what the agent says and does."""
        kind = event["type"]
        if kind == "response.output_audio_transcript.done" and event["transcript"]:
            self._console.print(event["transcript"], style="cyan", markup=False, highlight=False)
        elif kind == "response.function_call_arguments.done":
            text = f"[{event['name']} {event['arguments']}]"
            self._console.print(text, style="dim", markup=False, highlight=False)
        elif kind == "error":
            self._console.print(event["error"]["message"], style="red", markup=False)
        elif kind in ("antiphon.cost", "antiphon.budget") and (text := money(event)):
            self._console.print(f"({text})", style="dim", markup=False, highlight=False)
        elif kind == "antiphon.state":
            if event["agent"] == "listening":
                self.idle.set()
            else:
                self.idle.clear()

    async def close(self, reason: str) -> None:
        self._console.print(f"({reason})", style="dim", markup=False)
        self.ended.set()
        self.idle.set()
        self.lines.put_nowait("")


def chat(
    agent: Annotated[
        Path | None, typer.Option(help="The agent's file; the cafe if absent.")
    ] = None,
) -> None:
    """Talk to an agent by typing. An empty line or the end of input hangs up."""
    asyncio.run(_run(agent or default_agent()))


async def _run(agent: Path) -> None:
    supervisor = Supervisor([load_agent(agent)])
    await supervisor.start()
    try:
        call = ChatCall(Console())
        session = await supervisor.start_call(call)
        reader = (call, asyncio.get_running_loop())
        threading.Thread(target=_read_lines, args=reader, daemon=True).start()
        while not call.ended.is_set():
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                await call.idle.wait()
            if not (line := await call.lines.get()):
                break
            call.idle.clear()
            session.on_text(line)
        session.hang_up("you hung up")
        await session.wait_closed()
    finally:
        await supervisor.drain(0)


def _read_lines(call: ChatCall, loop: asyncio.AbstractEventLoop) -> None:
    """Standard input, line by line. In a daemon thread of its own, because nothing can interrupt a
    read of a terminal, and the process must be able to end when the agent hangs up."""
    # A closed loop: the agent has hung up while somebody typed.
    with contextlib.suppress(RuntimeError):
        for line in sys.stdin:
            loop.call_soon_threadsafe(call.lines.put_nowait, line.strip())
        loop.call_soon_threadsafe(call.lines.put_nowait, "")
