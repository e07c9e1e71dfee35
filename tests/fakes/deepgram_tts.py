"""Deepgram's /v1/speak over a socket: Speak, Flush, Clear, Close."""

from __future__ import annotations

import asyncio
import json

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.host import Connection
from tests.fakes.voices import VoiceFake, sound


class FakeDeepgramTts(VoiceFake):
    """Twenty flushes a socket and minute; a further one is answered with a warning alone."""

    flushes = 20
    error: dict[str, str] | None = None

    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/v1/speak", self._serve)]

    async def _serve(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        if noted is None:
            return
        metadata = {"type": "Metadata", "request_id": "r", "model_name": "aura-2-thalia-en"}
        more = {"model_version": "2026-01-01", "model_uuid": "u", "additional_model_uuids": []}
        await self.send(socket, noted, {**metadata, **more})
        noted.sent.clear()
        text, number, flushes = "", 0, 0
        speaking: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as jobs:
            while (data := await self.receive(socket, noted)) is not None:
                message = json.loads(data)
                kind = message["type"]
                if kind == "Speak":
                    text += message["text"]
                elif kind == "Flush" and self.error is not None:
                    await self.send(socket, noted, {"type": "Error", **self.error})
                elif kind == "Flush" and flushes >= self.flushes:
                    warning = {"description": "too many flushes", "code": "EXCESSIVE_FLUSH"}
                    await self.send(socket, noted, {"type": "Warning", **warning})
                elif kind == "Flush":
                    said = self._say(socket, noted, text, number, speaking)
                    speaking = jobs.create_task(said)
                    text, number, flushes = "", number + 1, flushes + 1
                elif kind == "Clear":
                    if speaking is not None and not speaking.done():
                        self.cancelled.append(text)
                        speaking.cancel()
                    speaking, text = None, ""
                    await self.send(socket, noted, {"type": "Cleared", "sequence_id": number})
                elif kind == "Close":
                    await socket.close(1000)
                    break
            if speaking is not None:
                speaking.cancel()

    async def _say(
        self,
        socket: WebSocket,
        noted: Connection,
        text: str,
        number: int,
        before: asyncio.Task[None] | None,
    ) -> None:
        if before is not None:
            # Cancelling the last cancels those before it.
            await before
        self.spoken.append(text)
        rate_hz = int(dict(noted.query).get("sample_rate", "24000"))
        for piece in self.pieces(sound(text, rate_hz), rate_hz):
            if not await self.emit(socket, noted, piece):
                return
        await self.send(socket, noted, {"type": "Flushed", "sequence_id": number})
