"""Cartesia's /tts/websocket: contexts, flushes, word times, cancelling."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.host import Connection
from tests.fakes.voices import VoiceFake, sound, words, written


@dataclass
class _Context:
    first: dict[str, Any]
    inputs: asyncio.Queue[tuple[str, bool, bool]] = field(default_factory=asyncio.Queue)
    task: asyncio.Task[None] | None = None


class FakeCartesia(VoiceFake):
    """`anew`: word times begin anew with each flush. `fails`: what a context is answered."""

    anew = False
    fails: dict[str, Any] | None = None

    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/tts/websocket", self._serve)]

    async def _serve(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        if noted is None:
            return
        contexts: dict[str, _Context] = {}
        async with asyncio.TaskGroup() as jobs:
            while (data := await self.receive(socket, noted)) is not None:
                message = json.loads(data)
                name = message["context_id"]
                if message.get("cancel"):
                    context = contexts.pop(name, None)
                    if context is not None and context.task is not None:
                        context.task.cancel()
                        self.cancelled.append(name)
                    continue
                if self.fails is not None:
                    error = {"type": "error", "context_id": name, "done": True, **self.fails}
                    await self.send(socket, noted, error)
                    continue
                if name not in contexts:
                    context = contexts[name] = _Context(message)
                    context.task = jobs.create_task(self._context(socket, noted, context))
                same = ("model_id", "voice", "language", "output_format", "add_timestamps")
                first = contexts[name].first
                assert all(message.get(key) == first.get(key) for key in same), "they must stay"
                said = message["transcript"], bool(message.get("flush")), message.get("continue")
                contexts[name].inputs.put_nowait((said[0], said[1], bool(said[2])))
            for context in contexts.values():
                if context.task is not None:
                    context.task.cancel()

    async def _context(self, socket: WebSocket, noted: Connection, context: _Context) -> None:
        first = context.first
        base = {"context_id": first["context_id"], "status_code": 206, "done": False}
        text, number, before_ms = "", 1, 0
        while True:
            transcript, flush, goes_on = await context.inputs.get()
            text += transcript
            if (flush or not goes_on) and text.strip():
                also = {**base, "flush_id": number}
                off = 0 if self.anew else before_ms
                if not await self._say(socket, noted, text, also, first, off):
                    return
                before_ms += words(text)[-1][2]
                text = ""
            if flush:
                done = {**base, "type": "flush_done", "flush_done": True, "flush_id": number}
                await self.send(socket, noted, done)
                number += 1
            if not goes_on:
                done = {**base, "type": "done", "done": True, "status_code": 200}
                await self.send(socket, noted, done)
                return

    async def _say(
        self,
        socket: WebSocket,
        noted: Connection,
        text: str,
        also: dict[str, Any],
        first: dict[str, Any],
        off_ms: int,
    ) -> bool:
        self.spoken.append(text.strip())
        rate_hz = first["output_format"]["sample_rate"]
        if first.get("add_timestamps"):
            times = words(text)
            told = {
                "words": [word for word, _, _ in times],
                "start": [(start + off_ms) / 1000 for _, start, _ in times],
                "end": [(end + off_ms) / 1000 for _, _, end in times],
            }
            message = {**also, "type": "timestamps", "word_timestamps": told}
            if not await self.emit(socket, noted, message):
                return False
        for piece in self.pieces(sound(text, rate_hz), rate_hz):
            message = {**also, "type": "chunk", "data": written(piece), "step_time": 1.0}
            if not await self.emit(socket, noted, message):
                return False
        return True
