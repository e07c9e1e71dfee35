"""A local server that speaks OpenAI's chat completions, with scripted answers and failures.

OpenAI's own Python SDK accepts it, so it stands for a real server where there is none.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

Failure = Literal[
    "", "401", "404", "429", "500", "stall", "cut", "short", "garbage", "error_event", "json"
]


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A tool call of an answer. Its arguments are streamed in pieces of `piece` characters."""

    call_id: str
    name: str
    arguments: str
    piece: int = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, or one failure. `failure` happens after `text` where that makes sense."""

    text: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    failure: Failure = ""
    finish_reason: str = ""
    usage: tuple[int, int, int] = (20, 7, 4)


@dataclass(slots=True)
class OpenAiServer:
    """A running server. Answers are given in order; the last one again and again."""

    base_url: str
    answers: list[Answer]
    models: list[str]
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a client closed a stream that was not over."""

    def next_answer(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Server(uvicorn.Server):
    """Ends at once instead of at its next look at the clock."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up, self.stop = asyncio.Event(), asyncio.Event()

    async def main_loop(self) -> None:
        self.up.set()
        await self.stop.wait()


@asynccontextmanager
async def openai_server(
    *answers: Answer, models: tuple[str, ...] = ("test-model",)
) -> AsyncIterator[OpenAiServer]:
    """Run a server on a free port of the loopback for as long as the context lasts."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    state = OpenAiServer(url, list(answers or (Answer("Hello."),)), list(models))
    config = uvicorn.Config(_app(state), log_level="critical", lifespan="off", ws="none")
    config.timeout_graceful_shutdown = 1
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.up.wait()
        yield state
    finally:
        server.stop.set()
        await task


def _app(state: OpenAiServer) -> FastAPI:
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        data = [
            {"id": name, "object": "model", "created": 1, "owned_by": "test"}
            for name in state.models
        ]
        return {"object": "list", "data": data}

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        body = await request.json()
        state.requests.append(body)
        state.headers.append(dict(request.headers))
        answer = state.next_answer()
        if answer.failure in ("401", "404", "429", "500"):
            return _refusal(int(answer.failure))
        if answer.failure == "json":
            return JSONResponse({"choices": [], "object": "chat.completion"})
        return StreamingResponse(
            _stream(state, answer, body["model"]), media_type="text/event-stream"
        )

    return app


def _refusal(status: int) -> Response:
    text = {401: "Incorrect API key", 404: "No such model", 429: "Slow down", 500: "Oops"}[status]
    error = {"message": text, "type": "test", "param": None, "code": None}
    headers = {"retry-after": "2"} if status == 429 else {}
    return JSONResponse({"error": error}, status_code=status, headers=headers)


async def _stream(state: OpenAiServer, answer: Answer, model: str) -> AsyncIterator[str]:
    def event(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _event(model, [choice])

    yield ": the stream begins\n\n"
    yield event({"role": "assistant", "content": ""})
    for piece in _words(answer.text):
        yield event({"content": piece})
    match answer.failure:
        case "stall":
            try:
                await asyncio.Event().wait()
            finally:
                # Starlette cancels a stream whose client is gone.
                state.closed.set()
        case "cut":
            raise ConnectionResetError("cut by the script")
        case "short":
            return
        case "garbage":
            yield "data: {this is not JSON\n\n"
            return
        case "error_event":
            yield 'data: {"error": {"message": "the model fell over"}}\n\n'
            return
    for delta in _call_deltas(answer.calls):
        yield event({"tool_calls": [delta]})
    yield event({}, answer.finish_reason or ("tool_calls" if answer.calls else "stop"))
    prompt, completion, cached = answer.usage
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    yield _event(model, [], usage)
    yield "data: [DONE]\n\n"


def _event(model: str, choices: list[dict[str, Any]], usage: Any = None) -> str:
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": choices,
        "usage": usage,
    }
    return f"data: {json.dumps(chunk)}\n\n"


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:] if text else []


def _call_deltas(calls: tuple[ScriptedCall, ...]) -> list[dict[str, Any]]:
    """Parallel calls: all begin, then their arguments come in pieces, taking turns."""
    deltas: list[dict[str, Any]] = []
    pieces: list[list[str]] = []
    for index, call in enumerate(calls):
        function: dict[str, Any] = {"name": call.name, "arguments": ""}
        deltas.append(
            {"index": index, "id": call.call_id, "type": "function", "function": function}
        )
        text, size = call.arguments, call.piece
        pieces.append([text[at : at + size] for at in range(0, len(text), size)])
    for turn in range(max((len(one) for one in pieces), default=0)):
        for index, one in enumerate(pieces):
            if turn < len(one):
                deltas.append({"index": index, "function": {"arguments": one[turn]}})
    return deltas
