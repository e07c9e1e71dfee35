"""ElevenLabs' text to speech: multi-stream-input, and stream-input for the vendor's library."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.host import Connection
from tests.fakes.voices import VoiceFake, letters, sound, written


class FakeElevenLabsTts(VoiceFake):
    """Five contexts a socket; a sixth closes it. What is flushed is spoken before one ends."""

    aligned = True
    most_contexts = 0
    lag_s = 0.0  # between closing a context and telling so

    def routes(self) -> list[BaseRoute]:
        at = "/v1/text-to-speech/{voice}"
        return [
            WebSocketRoute(f"{at}/multi-stream-input", self._multi),
            WebSocketRoute(f"{at}/stream-input", self._single),
        ]

    async def _multi(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        if noted is None:
            return
        contexts: dict[str, asyncio.Queue[str | None]] = {}
        async with asyncio.TaskGroup() as jobs:
            tasks = []
            while (data := await self.receive(socket, noted)) is not None:
                message = json.loads(data)
                name = message["context_id"]
                if name not in contexts:
                    assert message["text"] == " ", "a context begins with a space"
                    if len(contexts) == 5:
                        error = {"error": "max_active_conversations", "code": 1008}
                        await self.send(socket, noted, error)
                        await socket.close(1008, "max_active_conversations")
                        noted.closed = True
                        break
                    contexts[name] = asyncio.Queue()
                    job = self._context(socket, noted, name, contexts)
                    tasks.append(jobs.create_task(job))
                    self.most_contexts = max(self.most_contexts, len(contexts))
                elif message.get("close_context"):
                    contexts[name].put_nowait(None)
                elif message.get("flush") and message["text"].strip():
                    assert message["text"].endswith(" ")
                    contexts[name].put_nowait(message["text"])
            for task in tasks:
                task.cancel()

    async def _context(
        self,
        socket: WebSocket,
        noted: Connection,
        name: str,
        contexts: dict[str, asyncio.Queue[str | None]],
    ) -> None:
        while (text := await contexts[name].get()) is not None:
            await self._say(socket, noted, text, {"contextId": name})
        await asyncio.sleep(self.lag_s)
        del contexts[name]
        if not noted.closed:
            await self.send(socket, noted, {"isFinal": True, "contextId": name})

    async def _single(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        text = ""
        while noted and (data := await self.receive(socket, noted)) is not None:
            piece = json.loads(data)["text"]
            text += piece
            if piece == "":
                await self._say(socket, noted, text, {})
                await self.send(socket, noted, {"isFinal": True})
                await socket.close(1000)
                return

    async def _say(
        self, socket: WebSocket, noted: Connection, text: str, also: dict[str, Any]
    ) -> None:
        self.spoken.append(text.strip())
        rate_hz = int(dict(noted.query)["output_format"].removeprefix("pcm_"))
        told, at_ms = list(letters(text)), 0
        for piece in self.pieces(sound(text, rate_hz), rate_hz):
            end_ms = at_ms + len(piece) * 1000 // 2 // rate_hz
            inside = [one for one in told if at_ms <= one[1] < end_ms]
            alignment = {
                "chars": [char for char, _, _ in inside],
                "charStartTimesMs": [start - at_ms for _, start, _ in inside],
                "charDurationsMs": [lasts for _, _, lasts in inside],
            }
            at_ms = end_ms
            told_of = alignment if self.aligned and inside else None
            message = {"audio": written(piece), "isFinal": None, "alignment": told_of}
            message["normalizedAlignment"] = told_of
            if not await self.emit(socket, noted, message | also):
                return
