"""AssemblyAI's streaming, version 3: `WS /v3/ws`."""

from __future__ import annotations

import json
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.ear import BYTES_PER_MS, ListeningVendor
from tests.fakes.host import Connection

END_MS = 800


class AssemblyAiStreaming(ListeningVendor):
    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/v3/ws", self._serve)]

    async def _serve(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        if noted is not None:
            await _Session(self, socket, noted).run()


class _Session:
    def __init__(self, vendor: AssemblyAiStreaming, socket: WebSocket, noted: Connection) -> None:
        self.vendor, self.socket, self.noted = vendor, socket, noted
        self.query = dict(noted.query)
        self.ear = vendor.ear()
        self.turn = self.done = 0

    async def run(self) -> None:
        key = self.vendor.key
        if key and self.socket.headers.get("authorization") != key:
            await self.fail(4001, "Not authorized")
            return
        if "speech_model" not in self.query:
            await self.fail(3006, "speech_model is required")
            return
        if not self.vendor.faults.silent:
            await self.say("Begin", id="session-1", expires_at=1893456000)
        while (data := await self.vendor.receive(self.socket, self.noted)) is not None:
            if isinstance(data, str):
                await self.control(json.loads(data)["type"])
            elif await self.vendor.failed(self.socket, self.noted):
                return
            elif not 50 <= len(data) // BYTES_PER_MS <= 1000:
                await self.fail(3007, "Input duration violation")
                return
            elif not self.vendor.mute:
                await self.hear(data)

    async def control(self, kind: str) -> None:
        if kind == "ForceEndpoint":
            self.ear.complete()
            await self.end()
        elif kind == "Terminate":
            seconds = self.ear.now_ms // 1000
            await self.say(
                "Termination", audio_duration_seconds=seconds, session_duration_seconds=seconds
            )
            await self.vendor.bye(self.socket, self.noted, 1000)

    async def hear(self, pcm: bytes) -> None:
        before = len(self.ear.words)
        if self.ear.hear(pcm):
            if before == self.done:
                await self.say("SpeechStarted", timestamp=self.ear.words[before].start_ms)
            await self.tell()
        elif self.ear.silent_ms >= int(self.query.get("max_turn_silence", END_MS)):
            await self.end()

    async def end(self) -> None:
        if len(self.ear.words) == self.done:
            return
        await self.tell(end=True)
        if self.query.get("format_turns", "").lower() == "true":
            await self.tell(end=True, formatted=True)
        self.turn, self.done = self.turn + 1, len(self.ear.words)

    async def tell(self, *, end: bool = False, formatted: bool = False) -> None:
        fresh = self.ear.words[self.done :]
        # The transcript has the words that will not change; the newest one may.
        sure = fresh if end else fresh[:-1]
        text = " ".join(word.text for word in sure)
        await self.say(
            "Turn",
            turn_order=self.turn,
            turn_is_formatted=formatted,
            end_of_turn=end,
            transcript=f"{text.capitalize()}." if formatted else text,
            end_of_turn_confidence=0.9 if end else 0.1,
            words=[
                {
                    "text": word.text,
                    "start": word.start_ms,
                    "end": word.end_ms,
                    "confidence": 0.9,
                    "word_is_final": word in sure,
                }
                for word in fresh
            ],
        )

    async def fail(self, code: int, reason: str) -> None:
        await self.say("Error", error_code=code, error=reason)
        await self.vendor.bye(self.socket, self.noted, code, "See Error message for details")

    async def say(self, kind: str, **message: Any) -> None:
        await self.vendor.send(self.socket, self.noted, {"type": kind, **message})
