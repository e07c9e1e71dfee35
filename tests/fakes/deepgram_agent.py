"""Deepgram's Voice Agent, from the facts of deepgram-sdk 7.17: it takes the turns, by the loudness
of what it hears, and answers by itself."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.host import Connection, FakeVendor
from tests.fakes.talking import Ear, Pace, Reply, voiced


class FakeDeepgramAgent(FakeVendor):
    """`transcripts` of the caller's turns, `replies` of the agent; the last are repeated."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.transcripts: list[str] = ["hello there"]
        self.replies: list[Reply] = [Reply("Yes, of course.")]
        self.pace = Pace()
        self.quiet_ms = 200
        self.refuse_injections = False
        self.sessions: list[DeepgramSession] = []

    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/v1/agent/converse", self._serve)]

    async def _serve(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        if noted is None:
            return
        session = DeepgramSession(self, socket, noted)
        self.sessions.append(session)
        await session.run()

    @property
    def session(self) -> DeepgramSession:
        return self.sessions[-1]


class DeepgramSession:
    """One connection; `story` is what the agent knows of the conversation."""

    def __init__(self, fake: FakeDeepgramAgent, socket: WebSocket, noted: Connection) -> None:
        self.fake, self.socket, self.noted = fake, socket, noted
        self.settings: dict[str, Any] = {}
        self.story: list[tuple[str, str]] = []
        self._rate_hz = 24_000
        self._ear = Ear(fake.quiet_ms)
        self._calls = 0
        self._pending: set[str] = set()
        self._speaking: asyncio.Task[None] | None = None

    async def emit(self, kind: str, **fields: Any) -> None:
        await self.fake.send(self.socket, self.noted, {"type": kind, **fields})

    async def run(self) -> None:
        await self.emit("Welcome", request_id="r1")
        try:
            while (data := await self.fake.receive(self.socket, self.noted)) is not None:
                if isinstance(data, bytes):
                    await self.hear(data)
                else:
                    await self.take(json.loads(data))
        finally:
            await self.stop()

    async def stop(self) -> None:
        task, self._speaking = self._speaking, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    @property
    def busy(self) -> bool:
        return self._speaking is not None and not self._speaking.done()

    async def take(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "Settings":
                self.settings = message
                self._rate_hz = message["audio"]["output"]["sample_rate"]
                context = message["agent"].get("context") or {}
                for one in context.get("messages", []):
                    self.story.append((one["role"], one["content"]))
                await self.emit("SettingsApplied")
                if message["agent"].get("greeting"):
                    self.say(Reply(message["agent"]["greeting"]))
            case "InjectAgentMessage":
                if self.busy or self._ear.speaking or self.fake.refuse_injections:
                    await self.emit("InjectionRefused", message="somebody is speaking")
                else:
                    self.say(Reply(message["message"]))
            case "InjectUserMessage":
                await self.user(message["content"])
            case "FunctionCallResponse":
                if message["id"] not in self._pending:
                    await self.emit("Error", description="no such call", code="INVALID_FUNCTION")
                    return
                self._pending.discard(message["id"])
                self.story.append(("output", message["content"]))
                if not self._pending:
                    await self.respond()
            case "KeepAlive":
                pass
            case kind:
                description = f"unknown message {kind}"
                await self.emit("Error", description=description, code="UNPARSABLE_CLIENT_MESSAGE")

    async def hear(self, pcm: bytes) -> None:
        for edge in self._ear.feed(pcm):
            if edge == "started":
                await self.emit("UserStartedSpeaking")
                await self.stop()
            else:
                texts = self.fake.transcripts
                await self.user(texts.pop(0) if len(texts) > 1 else texts[0])

    async def user(self, text: str) -> None:
        self.story.append(("user", text))
        await self.emit("ConversationText", role="user", content=text)
        await self.respond()

    async def respond(self) -> None:
        replies = self.fake.replies
        if self._speaking is not None:
            await asyncio.wait([self._speaking])
        self.say(replies.pop(0) if len(replies) > 1 else replies[0])

    def say(self, reply: Reply) -> None:
        self._speaking = asyncio.create_task(self.speak(reply))

    async def speak(self, reply: Reply) -> None:
        await asyncio.sleep(self.fake.faults.first_ms / 1000)
        if reply.text:
            self.story.append(("assistant", reply.text))
            await self.emit(
                "AgentStartedSpeaking", total_latency=0.2, tts_latency=0.1, ttt_latency=0.1
            )
            for sentence in reply.text.replace(". ", ".|").split("|"):
                await self.emit("ConversationText", role="assistant", content=sentence)
                pcm = voiced(sentence, self._rate_hz)
                for at in range(0, len(pcm), 9600):
                    await self.fake.send(self.socket, self.noted, pcm[at : at + 9600])
                await self.fake.pace.wait()
        if reply.tools:
            wanted = []
            for name, arguments in reply.tools:
                self._calls += 1
                call = f"call_{self._calls}"
                self._pending.add(call)
                text = json.dumps(arguments)
                wanted.append({"id": call, "name": name, "arguments": text, "client_side": True})
            await self.emit("FunctionCallRequest", functions=wanted)
        if reply.text:
            await self.emit("AgentAudioDone")
