"""What the fakes of language models share: scripted answers, and streams that go wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from tests.fakes.host import Connection, FakeVendor


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. An empty id: the vendor gives none, where it may."""

    call_id: str
    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `fails` happens after the text. `usage`: read in all, written, of those read
    from the cache. `stop` is the vendor's reason for the end, instead of the usual one."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    thoughts: str = ""
    usage: tuple[int, int, int] = (20, 7, 4)
    stop: str = ""
    fails: Literal["", "stall", "cut", "short", "error"] = ""
    error: Any = None


class FakeLlm(FakeVendor):
    """Base of the fakes. Answers are given in order; the last one again and again.

    `stuck` is set when an answer goes no further, `left` when a client closed such a stream.
    """

    def __init__(self, *answers: Answer, **options: Any) -> None:
        super().__init__(**options)
        self.answers = list(answers or (Answer("Yes, of course."),))
        self.bodies: list[Any] = []
        self.ports: list[int] = []
        """Where each request came from: the same port is the same connection."""
        self.stuck, self.left = asyncio.Event(), asyncio.Event()

    def frames(self, answer: Answer, body: Any) -> Iterator[str]:
        """The answer as events; an empty one stands where it fails."""
        raise NotImplementedError

    def complaint(self, request: Request, body: Any) -> str:
        """What the vendor would refuse about a request, empty for nothing."""
        raise NotImplementedError

    def refused(self, message: str, status: int) -> Response:
        return JSONResponse({"error": {"message": message}}, status)

    async def answer(self, request: Request) -> Response:
        noted = self.arrive(request, await request.body())
        self.ports.append(request.client.port if request.client else 0)
        if (refusal := self.refusal()) is not None:
            return refusal
        body = json.loads(noted.body)
        self.bodies.append(body)
        if complaint := self.complaint(request, body):
            return self.refused(complaint, 400)
        script = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        stream = self._stream(noted, script, body)
        return StreamingResponse(stream, media_type="text/event-stream")

    async def models(self, request: Request) -> Response:
        """What adapters ask for to warm a connection up."""
        self.arrive(request)
        if self.faults.silent:
            while (await request.receive())["type"] != "http.disconnect":
                continue
        return self.refusal() or JSONResponse({"object": "list", "data": []})

    async def _stream(self, noted: Connection, script: Answer, body: Any) -> AsyncIterator[str]:
        if self.faults.first_ms:
            await asyncio.sleep(self.faults.first_ms / 1000)
        if self.faults.silent:
            await self._for_ever()
        if self.faults.garbage:
            yield "data: {this is no JSON\n\n"
            return
        for frame in self.frames(script, body):
            if frame:
                noted.sent.append(frame)
                yield frame
                # Each event in a packet of its own.
                await asyncio.sleep(0)
                continue
            if script.fails == "short":
                return
            if script.fails == "cut":
                raise ConnectionResetError("cut by the script")
            await self._for_ever()

    async def _for_ever(self) -> None:
        self.stuck.set()
        try:
            await asyncio.Event().wait()
        finally:
            # Starlette cancels a stream whose client is gone.
            self.left.set()


def event(value: Any, name: str = "") -> str:
    """A server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(value)}\n\n"


def words(text: str) -> list[str]:
    """Text in the pieces that it is streamed in."""
    pieces = text.split(" ")
    return [piece + " " for piece in pieces[:-1]] + pieces[-1:] if text else []


def cut(text: str, size: int = 5) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]
