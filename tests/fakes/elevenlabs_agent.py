"""ElevenLabs Agents, from the facts of elevenlabs 2.78: the agent takes the turns, by the loudness
of what it hears, and answers by itself."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.host import Connection, FakeVendor
from tests.fakes.talking import Ear, Pace, Reply, voiced

_PATH = "/v1/convai/conversation"


class FakeElevenLabsAgent(FakeVendor):
    """`transcripts` of the caller's turns, `replies` of the agent; the last are repeated.
    `aligned`: the sound comes with its characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.transcripts: list[str] = ["hello there"]
        self.replies: list[Reply] = [Reply("Yes, of course.")]
        self.pace = Pace()
        self.quiet_ms = 200
        self.aligned = True
        self.formats = ("pcm_16000", "pcm_24000")
        self.sessions: list[ElevenLabsSession] = []

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"{_PATH}/get-signed-url", self._sign),
            Route(f"{_PATH}/get_signed_url", self._sign),
            WebSocketRoute(_PATH, self._serve),
        ]

    async def _sign(self, request: Request) -> Response:
        self.arrive(request)
        if (refusal := self.refusal()) is not None:
            return refusal
        if not request.headers.get("xi-api-key"):
            return JSONResponse({"detail": "no key"}, 401)
        agent = request.query_params["agent_id"]
        return JSONResponse({"signed_url": f"{self.ws_url}{_PATH}?agent_id={agent}&token=t"})

    async def _serve(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        if noted is None:
            return
        session = ElevenLabsSession(self, socket, noted)
        self.sessions.append(session)
        await session.run()

    @property
    def session(self) -> ElevenLabsSession:
        return self.sessions[-1]


class ElevenLabsSession:
    """One connection; `story` is what the agent knows of the conversation."""

    def __init__(self, fake: FakeElevenLabsAgent, socket: WebSocket, noted: Connection) -> None:
        self.fake, self.socket, self.noted = fake, socket, noted
        self.settings: dict[str, Any] = {}
        self.story: list[tuple[str, str]] = []
        self.pongs: list[int] = []
        self._rate_hz = int(fake.formats[1].partition("_")[2])
        self._ear = Ear(fake.quiet_ms)
        self._events = self._calls = 0
        self._said = ""
        self._speaking: asyncio.Task[None] | None = None

    async def emit(self, kind: str, **fields: Any) -> None:
        await self.fake.send(self.socket, self.noted, {"type": kind, **fields})

    async def run(self) -> None:
        try:
            while (data := await self.fake.receive(self.socket, self.noted)) is not None:
                await self.take(json.loads(data))
        finally:
            await self.stop()

    async def stop(self) -> bool:
        task, self._speaking = self._speaking, None
        if task is None or task.done():
            return False
        task.cancel()
        await asyncio.wait([task])
        return True

    async def take(self, message: dict[str, Any]) -> None:
        if "user_audio_chunk" in message:
            await self.hear(base64.b64decode(message["user_audio_chunk"]))
            return
        match message["type"]:
            case "conversation_initiation_client_data":
                await self.begin(message)
            case "pong":
                self.pongs.append(message["event_id"])
            case "client_tool_result":
                self.story.append(("output", message["result"]))
                await self.respond()
            case "contextual_update":
                self.story.append(("context", message["text"]))
            case "user_message":
                self.story.append(("user", message["text"]))
                await self.respond()
            case "user_activity":
                pass
            case kind:
                await self.socket.close(1008, f"unknown message {kind}")

    async def begin(self, message: dict[str, Any]) -> None:
        self.settings = message
        heard, said = self.fake.formats
        event = {
            "conversation_id": "c1",
            "agent_output_audio_format": said,
            "user_input_audio_format": heard,
        }
        await self.emit(
            "conversation_initiation_metadata", conversation_initiation_metadata_event=event
        )
        await self.emit("ping", ping_event={"event_id": 1, "ping_ms": 20})
        first = (message["conversation_config_override"].get("agent") or {}).get("first_message")
        if first:
            self.say(Reply(first))

    async def hear(self, pcm: bytes) -> None:
        for edge in self._ear.feed(pcm):
            if edge == "started":
                if await self.stop():
                    event = {"event_id": self._events}
                    await self.emit("interruption", interruption_event=event)
            else:
                texts = self.fake.transcripts
                text = texts.pop(0) if len(texts) > 1 else texts[0]
                self.story.append(("user", text))
                said = {"user_transcript": text}
                await self.emit("user_transcript", user_transcription_event=said)
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
            self.story.append(("agent", reply.text))
            event: dict[str, Any] = {"agent_response": reply.text}
            await self.emit("agent_response", agent_response_event=event)
            words = reply.text.split(" ")
            for number, word in enumerate(words):
                piece = word + (" " if number < len(words) - 1 else "")
                self._events += 1
                pcm = base64.b64encode(voiced(piece, self._rate_hz)).decode()
                event = {"event_id": self._events, "audio_base_64": pcm}
                if self.fake.aligned:
                    zeros = [0] * len(piece)
                    event["alignment"] = {
                        "chars": list(piece),
                        "char_start_times_ms": zeros,
                        "char_durations_ms": zeros,
                    }
                await self.emit("audio", audio_event=event)
                await self.fake.pace.wait()
        for name, parameters in reply.tools:
            self._calls += 1
            call = {
                "tool_name": name,
                "tool_call_id": f"tool_{self._calls}",
                "parameters": parameters,
                "event_id": self._events,
            }
            await self.emit("client_tool_call", client_tool_call=call)
