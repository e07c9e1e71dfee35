"""The Gemini Live API, from the facts of google-genai 3.4; answers are binary frames of JSON, and
names are taken in snake case, too, as the vendor does."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.host import Connection, FakeVendor
from tests.fakes.talking import Ear, Pace, Reply, pieces, voiced

RATE_HZ = 24_000
_SERVICE = "GenerativeService.BidiGenerateContent"


def camel(value: Any) -> Any:
    """Keys in camel case."""
    if isinstance(value, list):
        return [camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for key, one in value.items():
        first, *rest = key.split("_")
        out[first + "".join(part.title() for part in rest)] = camel(one)
    return out


class FakeGeminiLive(FakeVendor):
    """`transcripts` of the caller's activities, `replies` of the model; the last are repeated."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.transcripts: list[str] = ["hello there"]
        self.replies: list[Reply] = [Reply("Yes, of course.")]
        self.pace = Pace()
        self.sessions: list[GeminiSession] = []

    def routes(self) -> list[BaseRoute]:
        return [
            WebSocketRoute("/ws/{service}", self._serve),
            WebSocketRoute("//ws/{service}", self._serve),
        ]

    async def _serve(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        if noted is None:
            return
        if not noted.path.endswith(_SERVICE):
            await socket.close(1008, "no such method")
            return
        session = GeminiSession(self, socket, noted)
        self.sessions.append(session)
        await session.run()

    @property
    def session(self) -> GeminiSession:
        return self.sessions[-1]


class GeminiSession:
    """One connection; `story` is what the model knows of the conversation."""

    def __init__(self, fake: FakeGeminiLive, socket: WebSocket, noted: Connection) -> None:
        self.fake, self.socket, self.noted = fake, socket, noted
        self.setup: dict[str, Any] = {}
        self.story: list[tuple[str, str]] = []
        self.active, self.heard_ms = False, 0
        self._ear = Ear(100)
        self._transcribed = False
        self._calls = 0
        self._queue: asyncio.Queue[Reply] = asyncio.Queue()

    async def emit(self, message: dict[str, Any]) -> None:
        await self.fake.send(self.socket, self.noted, json.dumps(message).encode())

    async def content(self, **fields: Any) -> None:
        await self.emit({"serverContent": fields})

    async def run(self) -> None:
        # One answer after the other: activity does not interrupt.
        speaking = asyncio.create_task(self.speak())
        try:
            while (data := await self.fake.receive(self.socket, self.noted)) is not None:
                await self.take(camel(json.loads(data)))
        finally:
            speaking.cancel()
            await asyncio.wait([speaking])

    async def take(self, message: dict[str, Any]) -> None:
        if "setup" in message:
            self.setup = message["setup"]
            await self.emit({"setupComplete": {"sessionId": "s1"}})
        elif "clientContent" in message:
            for turn in message["clientContent"].get("turns", []):
                text = " ".join(part.get("text", "") for part in turn["parts"])
                self.story.append((turn["role"], text))
            if message["clientContent"].get("turnComplete"):
                self.answer()
        elif "toolResponse" in message:
            for one in message["toolResponse"]["functionResponses"]:
                self.story.append(("output", json.dumps(one["response"])))
            self.answer()
        elif "realtimeInput" in message:
            await self.hear(message["realtimeInput"])

    async def hear(self, given: dict[str, Any]) -> None:
        if "activityStart" in given:
            self.active, self._transcribed = True, False
        if "audio" in given:
            assert given["audio"]["mimeType"].startswith("audio/pcm")
            # The vendor's library writes the alphabet that is safe in addresses.
            text = given["audio"]["data"].replace("-", "+").replace("_", "/")
            pcm = base64.b64decode(text, validate=True)
            self.heard_ms += len(pcm) // 32
            told = self._ear.feed(pcm)
            if self.active and "stopped" in told:
                await self.transcribe()
        if "text" in given:
            text = given["text"]
            self.story.append(("user", text))
            if text.startswith("Say exactly"):
                self._queue.put_nowait(Reply(text.partition("\n")[2]))
            elif not self.active:
                self.answer()
        if "activityEnd" in given:
            assert self.active, "activityEnd without activityStart"
            self.active = False
            await self.transcribe()
            self.answer()

    async def transcribe(self) -> None:
        if not self._transcribed:
            self._transcribed = True
            texts = self.fake.transcripts
            text = texts.pop(0) if len(texts) > 1 else texts[0]
            self.story.append(("user", text))
            for piece in pieces(text, 2):
                await self.content(inputTranscription={"text": piece})

    def answer(self) -> None:
        replies = self.fake.replies
        self._queue.put_nowait(replies.pop(0) if len(replies) > 1 else replies[0])

    async def speak(self) -> None:
        while True:
            reply = await self._queue.get()
            await asyncio.sleep(self.fake.faults.first_ms / 1000)
            if reply.text:
                self.story.append(("model", reply.text))
            for piece in pieces(reply.text) if reply.text else []:
                await self.content(outputTranscription={"text": piece})
                pcm = voiced(piece, RATE_HZ)
                for at in range(0, len(pcm), 9600):
                    data = base64.b64encode(pcm[at : at + 9600]).decode()
                    blob = {"mimeType": "audio/pcm;rate=24000", "data": data}
                    await self.content(modelTurn={"role": "model", "parts": [{"inlineData": blob}]})
                await self.fake.pace.wait()
            if reply.tools:
                calls = []
                for name, args in reply.tools:
                    self._calls += 1
                    calls.append({"id": f"fc_{self._calls}", "name": name, "args": args})
                await self.emit({"toolCall": {"functionCalls": calls}})
                continue
            await self.content(generationComplete=True)
            usage = {"promptTokenCount": 100, "responseTokenCount": 50, "totalTokenCount": 150}
            await self.emit({"serverContent": {"turnComplete": True}, "usageMetadata": usage})
