"""Rime's socket /ws3 with segment=never, and its streaming HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.host import Connection
from tests.fakes.voices import VoiceFake, sound, words, written


class FakeRime(VoiceFake):
    """What is flushed while it speaks is joined, and has one `done`; nothing under way can be
    called back."""

    error: str | None = None

    def routes(self) -> list[BaseRoute]:
        return [
            WebSocketRoute("/ws3", self._serve),
            Route("/v1/rime-tts", self._http, methods=["POST"]),
        ]

    async def _serve(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        if noted is None:
            return
        assert dict(noted.query)["segment"] == "never"
        flushed = asyncio.Event()
        state: dict[str, Any] = {"text": "", "ready": "", "name": None}
        async with asyncio.TaskGroup() as jobs:
            speaker = jobs.create_task(self._speak(socket, noted, state, flushed))
            while (data := await self.receive(socket, noted)) is not None:
                message = json.loads(data)
                if "text" in message:
                    state["text"] += message["text"]
                    state["name"] = message.get("contextId")
                elif message["operation"] == "clear":
                    state["text"] = ""
                elif message["operation"] == "flush" and state["text"].strip():
                    state["ready"] += state["text"]
                    state["text"] = ""
                    flushed.set()
            speaker.cancel()

    async def _speak(
        self, socket: WebSocket, noted: Connection, state: dict[str, Any], flushed: asyncio.Event
    ) -> None:
        rate_hz = int(dict(noted.query)["samplingRate"])
        while True:
            await flushed.wait()
            flushed.clear()
            text, state["ready"] = state["ready"], ""
            self.spoken.append(text.strip())
            context = {"contextId": state["name"]}
            if self.error is not None:
                await self.send(socket, noted, {"type": "error", "message": self.error})
                continue
            for piece in self.pieces(sound(text, rate_hz), rate_hz):
                # Cut within a sample, as the vendor does.
                for part in (piece[:333], piece[333:]):
                    message = {"type": "chunk", "data": written(part), **context}
                    if not await self.emit(socket, noted, message):
                        return
            times = words(text)
            told = {
                "words": [word for word, _, _ in times],
                "start": [start / 1000 for _, start, _ in times],
                "end": [end / 1000 for _, _, end in times],
            }
            await self.send(
                socket, noted, {"type": "timestamps", "word_timestamps": told, **context}
            )
            await self.send(socket, noted, {"type": "done", **context})

    async def _http(self, request: Request) -> Response:
        self.arrive(request, await request.body())
        if (refusal := self.refusal()) is not None:
            return refusal
        asked = json.loads(self.last.body)
        body = self._body(asked["text"], asked["samplingRate"])
        return StreamingResponse(body, media_type="audio/pcm")

    async def _body(self, text: str, rate_hz: int) -> AsyncIterator[bytes]:
        self.spoken.append(text)
        for piece in self.pieces(sound(text, rate_hz), rate_hz):
            yield piece
