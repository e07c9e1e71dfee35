"""OpenAI's Realtime API, from the facts of openai 3.54's types; one session per socket."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.host import Connection, FakeVendor
from tests.fakes.talking import Pace, Reply, pieces, voiced

RATE_HZ = 24_000


class FakeOpenAiRealtime(FakeVendor):
    """`transcripts` are what is understood of each committed piece of sound, `replies` what the
    model answers, one after the other; the last ones are repeated."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.transcripts: list[str] = ["hello there"]
        self.replies: list[Reply] = [Reply("Yes, of course.")]
        self.transcript_ms = 0
        self.pace = Pace()
        """Between two pieces of an answer."""
        self.refuse_answers = ""
        """The code of an error with which every response fails."""
        self.sessions: list[Session] = []

    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/v1/realtime", self._serve)]

    async def _serve(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        if noted is None:
            return
        session = Session(self, socket, noted)
        self.sessions.append(session)
        await session.run()

    @property
    def session(self) -> Session:
        return self.sessions[-1]


class Session:
    """One connection: its items, in order, and what was asked of it."""

    def __init__(self, fake: FakeOpenAiRealtime, socket: WebSocket, noted: Connection) -> None:
        self.fake, self.socket, self.noted = fake, socket, noted
        self.settings: dict[str, Any] = {
            "type": "realtime",
            "id": "sess_1",
            "object": "realtime.session",
        }
        self.items: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.buffer = b""
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[str, asyncio.Task[None]] = {}

    # ---- what a test looks at --------------------------------------------------------------

    def events(self, kind: str) -> list[dict[str, Any]]:
        received = [json.loads(one) for one in self.noted.received]
        return [one for one in received if one["type"] == kind]

    @property
    def story(self) -> list[tuple[str, str]]:
        """The conversation as the model knows it."""
        told = []
        for item in self.items:
            if item["type"] == "function_call":
                told.append(("call", item["name"]))
            elif item["type"] == "function_call_output":
                told.append(("output", item["output"]))
            else:
                parts = item["content"]
                words = [p.get("transcript") or p.get("text") or "" for p in parts]
                told.append((item["role"], " ".join(words)))
        return told

    # ---- the protocol ----------------------------------------------------------------------

    async def run(self) -> None:
        await self.emit("session.created", session=self.settings)
        try:
            while (data := await self.fake.receive(self.socket, self.noted)) is not None:
                await self.take(json.loads(data))
        finally:
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def emit(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "event_id": self.name("event"), **fields}
        await self.fake.send(self.socket, self.noted, event)

    def name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count}"

    async def error(self, code: str, event: dict[str, Any]) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": f"refused: {code}"}
        if "event_id" in event:
            error["event_id"] = event["event_id"]
        await self.emit("error", error=error)

    async def take(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "session.update":
                self.settings |= event["session"]
                await self.emit("session.updated", session=self.settings)
            case "input_audio_buffer.append":
                self.buffer += base64.b64decode(event["audio"], validate=True)
            case "input_audio_buffer.clear":
                self.buffer = b""
                await self.emit("input_audio_buffer.cleared")
            case "input_audio_buffer.commit":
                await self.commit(event)
            case "conversation.item.create":
                await self.create(event)
            case "conversation.item.delete":
                await self.delete(event)
            case "conversation.item.truncate":
                await self.truncate(event)
            case "response.create":
                self.spawn(self.respond(event))
            case "response.cancel":
                await self.cancel(event)
            case kind:
                await self.error(f"unknown_event {kind}", event)

    def spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ---- items -----------------------------------------------------------------------------

    async def commit(self, event: dict[str, Any]) -> None:
        if len(self.buffer) < RATE_HZ * 2 // 10:
            await self.error("input_audio_buffer_commit_empty", event)
            return
        before = self.items[-1]["id"] if self.items else None
        part: dict[str, Any] = {"type": "input_audio"}
        item = {"id": self.name("item"), "type": "message", "role": "user", "content": [part]}
        item["object"], item["status"] = "realtime.item", "completed"
        ms, self.buffer = len(self.buffer) * 500 // RATE_HZ, b""
        self.items.append(item)
        await self.emit("input_audio_buffer.committed", item_id=item["id"], previous_item_id=before)
        await self.added(item, before)
        texts = self.fake.transcripts
        text = texts.pop(0) if len(texts) > 1 else texts[0]
        self.spawn(self.transcribe(item, part, text, ms))

    async def added(self, item: dict[str, Any], before: str | None) -> None:
        for kind in ("added", "done"):
            await self.emit(f"conversation.item.{kind}", item=item, previous_item_id=before)

    async def transcribe(
        self, item: dict[str, Any], part: dict[str, Any], text: str, ms: int
    ) -> None:
        await asyncio.sleep(self.fake.transcript_ms / 1000)
        kind = "conversation.item.input_audio_transcription"
        where = {"item_id": item["id"], "content_index": 0}
        for piece in pieces(text, 2):
            await self.emit(f"{kind}.delta", **where, delta=piece)
        part["transcript"] = text
        usage = {"type": "duration", "seconds": ms / 1000}
        await self.emit(f"{kind}.completed", **where, transcript=text, usage=usage)

    async def create(self, event: dict[str, Any]) -> None:
        item, after = event["item"], event.get("previous_item_id")
        item.setdefault("id", self.name("item"))
        item |= {"object": "realtime.item", "status": "completed"}
        names = [one["id"] for one in self.items]
        if after not in (None, "root", *names) or item["id"] in names or len(item["id"]) > 32:
            await self.error("invalid_item", event)
            return
        if item["type"] == "function_call_output" and not any(
            one.get("call_id") == item["call_id"] for one in self.items
        ):
            await self.error("invalid_tool_call_id", event)
            return
        place = len(names) if after is None else 0 if after == "root" else names.index(after) + 1
        self.items.insert(place, item)
        await self.added(item, after if after != "root" else None)

    async def delete(self, event: dict[str, Any]) -> None:
        kept = [one for one in self.items if one["id"] != event["item_id"]]
        if len(kept) == len(self.items):
            await self.error("item_delete_invalid_item_id", event)
            return
        self.items = kept
        await self.emit("conversation.item.deleted", item_id=event["item_id"])

    async def truncate(self, event: dict[str, Any]) -> None:
        item = next((one for one in self.items if one["id"] == event["item_id"]), None)
        ms = event["audio_end_ms"]
        if item is None or item["role"] != "assistant" or ms > item["audio_ms"]:
            await self.error("invalid_truncate", event)
            return
        part = item["content"][event["content_index"]]
        share = ms / max(1, item["audio_ms"])
        part["transcript"] = part["transcript"][: int(len(part["transcript"]) * share)]
        await self.emit(
            "conversation.item.truncated", item_id=item["id"], content_index=0, audio_end_ms=ms
        )

    # ---- responses -------------------------------------------------------------------------

    async def cancel(self, event: dict[str, Any]) -> None:
        name = event.get("response_id") or next(iter(self._running), "")
        if name not in self._running:
            await self.error("response_cancel_not_active", event)
            return
        self.cancelled.append(name)
        self._running[name].cancel()

    async def respond(self, event: dict[str, Any]) -> None:
        asked = event.get("response") or {}
        beside = asked.get("conversation") == "none"
        if not beside and any(not name.startswith("beside") for name in self._running):
            await self.error("conversation_already_has_active_response", event)
            return
        name = self.name("beside" if beside else "resp")
        task = asyncio.current_task()
        assert task is not None
        self._running[name] = task
        response: dict[str, Any] = {
            "id": name,
            "object": "realtime.response",
            "status": "in_progress",
            "output": [],
            "metadata": asked.get("metadata"),
        }
        await asyncio.sleep(self.fake.faults.first_ms / 1000)
        await self.emit("response.created", response=response)
        if self.fake.refuse_answers:
            error = {"type": "server_error", "code": self.fake.refuse_answers}
            await self.finish(response, "failed", {"type": "failed", "error": error})
            return
        if beside:
            reply = Reply(asked["instructions"].partition("\n")[2])
        else:
            replies = self.fake.replies
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
        try:
            if reply.text:
                await self.speak(response, reply.text, beside=beside)
            for tool, arguments in reply.tools:
                await self.call(response, tool, arguments)
        except asyncio.CancelledError:
            details = {"type": "cancelled", "reason": "client_cancelled"}
            await self.finish(response, "cancelled", details)
            raise
        await self.finish(response, "completed", None)

    async def finish(self, response: dict[str, Any], status: str, details: Any) -> None:
        self._running.pop(response["id"], None)
        usage = {
            "total_tokens": 150,
            "input_tokens": 100,
            "output_tokens": 50,
            "input_token_details": {"cached_tokens": 40, "text_tokens": 60, "audio_tokens": 40},
            "output_token_details": {"text_tokens": 10, "audio_tokens": 40},
        }
        response |= {"status": status, "status_details": details, "usage": usage}
        await self.emit("response.done", response=response)

    async def speak(self, response: dict[str, Any], text: str, *, beside: bool) -> None:
        part: dict[str, Any] = {"type": "output_audio", "transcript": ""}
        item: dict[str, Any] = {
            "id": self.name("item"),
            "object": "realtime.item",
            "type": "message",
            "role": "assistant",
            "status": "in_progress",
            "content": [part],
            "audio_ms": 0,
        }
        if not beside:
            self.items.append(item)
        response["output"].append(item)
        where = {"response_id": response["id"], "output_index": 0}
        await self.emit("response.output_item.added", **where, item={**item, "content": []})
        where |= {"item_id": item["id"], "content_index": 0}
        audio = {"type": "audio", "transcript": ""}
        await self.emit("response.content_part.added", **where, part=audio)
        for piece in pieces(text):
            part["transcript"] += piece
            await self.emit("response.output_audio_transcript.delta", **where, delta=piece)
            pcm = voiced(piece, RATE_HZ)
            item["audio_ms"] += len(pcm) * 500 // RATE_HZ
            for at in range(0, len(pcm), 9600):
                delta = base64.b64encode(pcm[at : at + 9600]).decode()
                await self.emit("response.output_audio.delta", **where, delta=delta)
            await self.fake.pace.wait()
        await self.emit("response.output_audio.done", **where)
        await self.emit("response.output_audio_transcript.done", **where, transcript=text)
        item["status"] = "completed"
        where = {"response_id": response["id"], "output_index": 0}
        await self.emit("response.output_item.done", **where, item=item)

    async def call(self, response: dict[str, Any], tool: str, arguments: dict[str, Any]) -> None:
        item: dict[str, Any] = {
            "id": self.name("item"),
            "object": "realtime.item",
            "type": "function_call",
            "status": "in_progress",
            "call_id": self.name("call"),
            "name": tool,
            "arguments": "",
        }
        where = {"response_id": response["id"], "output_index": len(response["output"])}
        self.items.append(item)
        response["output"].append(item)
        await self.emit("response.output_item.added", **where, item=dict(item))
        item |= {"arguments": json.dumps(arguments), "status": "completed"}
        await self.emit("response.output_item.done", **where, item=item)
