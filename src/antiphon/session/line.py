"""What a session does with its line besides hearing and speaking: numbers that are typed, passing
the caller on, keys that the agent presses, recording.

The engine decides; here it is carried out. On a call that is no telephone most of it never happens.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from antiphon.agent.load import LoadedAgent
from antiphon.agent.telephone import keys_of, line_tools, resolve_transfer
from antiphon.agent.tool import Tool, run_tool
from antiphon.channels.base import (
    Call,
    DistantCall,
    MeasuredCall,
    Telephone,
    TransferResult,
    TransferTarget,
)
from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.observe.metrics import Metrics
from antiphon.session.vault import Vault
from antiphon.types import DIGITS_TOOL, KEYS_TOOL

Post = Callable[[e.Event], None]
Spawn = Callable[..., asyncio.Task[None]]
MARGIN_S, LEAST_RING_S = 10, 5
"""What a transfer may take besides ringing; and the least that it rings."""
NO_TELEPHONE = "only telephone calls can do that"


class Tape(Protocol):
    """Where a call is recorded."""

    def start(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class SessionLine:
    """See the module.

    Args:
        agent: as it is for this call.
        call: the channel's side.
        now_ms: the call's time.
        post: takes what came of it.
        spawn: starts a task of the call.
        metrics: transfers are counted here.
        tape: what the call is recorded on; None: calls are not recorded here.
    """

    def __init__(
        self,
        agent: LoadedAgent,
        call: Call,
        now_ms: Callable[[], int],
        post: Post,
        spawn: Spawn,
        metrics: Metrics,
        tape: Tape | None = None,
    ) -> None:
        self._agent, self._now_ms, self._post, self._spawn = agent, now_ms, post, spawn
        self._phone = call if isinstance(call, Telephone) else None
        self.tells_heard = isinstance(call, DistantCall) and call.tells_heard
        """Whether the far end buffers what it is sent, and what was heard of it is told."""
        self._call, self._metrics = call, metrics
        self._vault = Vault()
        self._collecting = False
        self.tools = line_tools(agent.config, self._phone is not None)
        """What the LLM may do with the line."""
        self.performs: dict[type[c.Command], Callable[[Any], None]] = {
            c.CollectDigits: self._collect,
            c.DigitsCollected: self._collected,
            c.TransferCall: self._transfer,
        }
        if tape is not None:
            self.performs |= {
                c.StartRecording: lambda k: tape.start(),
                c.PauseRecording: lambda k: tape.pause(),
                c.ResumeRecording: lambda k: tape.resume(),
            }

    @property
    def clear(self) -> Callable[[], bool] | None:
        """Drops what the far end of the line buffers, if it can; None where it buffers nothing."""
        call = self._call
        return call.clear if isinstance(call, DistantCall) and call.tells_heard else None

    # ---- keys ------------------------------------------------------------------------------

    def key(self, key: str) -> str:
        """The caller pressed a key: what the engine, and with it the trace, may know of it."""
        return self._vault.key(key) if self._collecting else key

    def typed(self, text: str) -> str:
        """The keys that a typed text stands for while a number is awaited; empty: it is a text."""
        digits = "".join(text.split())
        plain = digits.removesuffix("#")
        return f"{plain}#" if self._collecting and plain.isascii() and plain.isdigit() else ""

    def _collect(self, command: c.CollectDigits) -> None:
        self._collecting = True
        self._vault.begin(command.name, command.secret)

    def _collected(self, command: c.DigitsCollected) -> None:
        self._collecting = False
        output = self._vault.finish(command.outcome)
        self._post(e.ToolCompleted(self._now_ms(), command.tool_call_id, output))

    # ---- tools -----------------------------------------------------------------------------

    async def run_tool(self, tool: Tool | None, command: c.CallTool) -> str:
        """Run a tool of the agent's or of the line; returns JSON for the LLM. Secret digits are put
        into a tool's arguments, and taken out of its result."""
        if command.name == KEYS_TOOL:
            return self._press(command.arguments)
        if tool is None:
            return _error(self._no_such(command.name))
        if name := self._vault.lacks(command.arguments):
            return _error(f"{name} was not typed yet; collect it first")
        output = await run_tool(tool, self._vault.reveal(command.arguments))
        return self._vault.hide(output)

    def _no_such(self, name: str) -> str:
        if name == DIGITS_TOOL:
            known = ", ".join(self._agent.config.digits) or "none"
            return f"there is no such number; there are: {known}"
        return f"there is no tool called {name[:64]!r}"

    def _press(self, arguments: str) -> str:
        keys, problem = keys_of(arguments)
        if self._phone is None:
            problem = NO_TELEPHONE
        if problem or self._phone is None:
            return _error(problem)
        self._phone.press(keys)
        return '{"ok": true}'

    # ---- somebody else ---------------------------------------------------------------------

    def _transfer(self, command: c.TransferCall) -> None:
        self._spawn(self._reach(command), "transfer")

    async def _reach(self, command: c.TransferCall) -> None:
        result = await self._result(command)
        self._metrics.transferred(result.outcome)
        ended = (command.tool_call_id, result.outcome, result.detail)
        self._post(e.TransferEnded(self._now_ms(), *ended))

    async def _result(self, command: c.TransferCall) -> TransferResult:
        found = resolve_transfer(self._agent.config, command.arguments, datetime.now(UTC))
        if isinstance(found, str):
            return TransferResult("refused", found)
        if self._phone is None:
            return TransferResult("refused", NO_TELEPHONE)
        ring_s = min(found.ring_s, max(LEAST_RING_S, command.deadline_ms // 1000 - MARGIN_S))
        target = TransferTarget(found.name, found.to, ring_s, found.message)
        try:
            async with asyncio.timeout(command.deadline_ms / 1000):
                return await self._phone.transfer(target)
        except TimeoutError:
            return TransferResult("no_answer", "nobody answered in time")

    def close(self) -> None:
        """The call is over."""
        self._vault.forget()
        if isinstance(self._call, MeasuredCall):
            facts = self._call.line_facts()
            caller = facts["caller"]
            made = caller["recovered_ms"], caller["concealed_ms"]
            self._metrics.line_closed(*made, facts["outages"])


def _error(message: str) -> str:
    return json.dumps({"error": message}, ensure_ascii=False)
