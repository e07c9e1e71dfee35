"""OpenAI's two ways of transcribing: `WS /v1/realtime?intent=transcription` and
`POST /v1/audio/transcriptions`."""

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
from tests.fakes.whisper_cpp import form, wav_ms


class OpenAiTranscription(FakeVendor):
    """Each commit or file is the next of `transcripts`, the last one again and again."""

    def __init__(self, *transcripts: str) -> None:
        super().__init__()
        self.transcripts = list(transcripts or ["yes please"])
        self.heard_ms: list[int] = []
        self.live = False  # tells deltas before the commit
        self.swapped = False  # completes the first item after the second
        self.error: dict[str, Any] | None = None  # instead of a completion
        self.session: dict[str, Any] = {}

    def routes(self) -> list[BaseRoute]:
        return [
            WebSocketRoute("/v1/realtime", self._realtime),
            Route("/v1/audio/transcriptions", self._file, methods=["POST"]),
            Route("/v1/models", self._models),
        ]

    def next(self) -> str:
        return self.transcripts.pop(0) if len(self.transcripts) > 1 else self.transcripts[0]

    # ---- files -----------------------------------------------------------------------------

    async def _models(self, request: Request) -> Response:
        return self.refusal() or JSONResponse({"object": "list", "data": []})

    async def _file(self, request: Request) -> Response:
        noted = self.arrive(request, await request.body())
        if (refusal := self.refusal()) is not None:
            return refusal
        await asyncio.sleep(3600 if self.faults.silent else self.faults.first_ms / 1000)
        if self.faults.garbage:
            return Response("{ this is no JSON", media_type="application/json")
        fields = form(noted)
        self.heard_ms.append(wav_ms(fields["file"][0]))
        text = self.next()
        answer: dict[str, Any] = {"text": text}
        if fields["response_format"] == ["verbose_json"]:
            answer |= {"task": "transcribe", "language": "english", "duration": 2.0}
            answer["segments"] = [_segment(text)]
            if "word" in fields.get("timestamp_granularities[]", []):
                answer["words"] = [
                    {"word": word, "start": 0.3 * n, "end": 0.3 * n + 0.25}
                    for n, word in enumerate(text.split())
                ]
        elif "include[]" in fields:
            answer["logprobs"] = [{"token": text, "logprob": -0.1, "bytes": []}]
        else:
            answer["languages"] = [{"code": "en"}]
        return JSONResponse(answer)

    # ---- the realtime session --------------------------------------------------------------

    async def _realtime(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        if noted is None:
            return
        state = _Session()
        await self._event(socket, noted, "session.created", session={"type": "transcription"})
        while (data := await self.receive(socket, noted)) is not None:
            event = json.loads(data)
            kind = event["type"]
            if kind == "session.update":
                self.session = event["session"]
                assert self.session["type"] == "transcription"
                await self._event(socket, noted, "session.updated", session=self.session)
            elif kind == "input_audio_buffer.append":
                state.audio += base64.b64decode(event["audio"])
                if self.live and not state.delta:
                    state.delta = True
                    await self._delta(socket, noted, state.item, "so far")
            elif kind == "input_audio_buffer.commit":
                await self._commit(socket, noted, state)

    async def _commit(self, socket: WebSocket, noted: Connection, state: _Session) -> None:
        heard_ms = len(state.audio) // 48
        if heard_ms < 100:
            message = f"Expected at least 100ms of audio, but buffer only has {heard_ms}ms."
            error = {"code": "input_audio_buffer_commit_empty", "message": message}
            error["type"] = "invalid_request_error"
            await self._event(socket, noted, "error", error=error)
            return
        self.heard_ms.append(heard_ms)
        item, previous = state.item, state.previous
        state.next()
        await self._event(
            socket, noted, "input_audio_buffer.committed", item_id=item, previous_item_id=previous
        )
        if self.error is not None:
            await self._event(socket, noted, "error", error=self.error)
            return
        text = self.next()
        for word in text.split():
            await self._delta(socket, noted, item, f"{word} ")
        state.waiting.append((item, text))
        if self.swapped and len(state.waiting) < 2:
            return
        for item, text in reversed(state.waiting):
            await self._event(
                socket,
                noted,
                "conversation.item.input_audio_transcription.completed",
                item_id=item,
                content_index=0,
                transcript=text,
                usage={"type": "duration", "seconds": heard_ms / 1000},
                logprobs=[{"token": text, "logprob": -0.1, "bytes": []}],
                languages=[{"code": "en"}],
            )
        state.waiting.clear()

    async def _delta(self, socket: WebSocket, noted: Connection, item: str, delta: str) -> None:
        kind = "conversation.item.input_audio_transcription.delta"
        await self._event(socket, noted, kind, item_id=item, content_index=0, delta=delta)

    async def _event(self, socket: WebSocket, noted: Connection, kind: str, **more: Any) -> None:
        event_id = f"event_{len(noted.sent)}"
        await self.send(socket, noted, {"type": kind, "event_id": event_id, **more})


class _Session:
    def __init__(self) -> None:
        self.audio = b""
        self.number = 0
        self.previous: str | None = None
        self.delta = False
        self.waiting: list[tuple[str, str]] = []

    @property
    def item(self) -> str:
        return f"item_{self.number}"

    def next(self) -> None:
        self.previous = self.item
        self.audio, self.number, self.delta = b"", self.number + 1, False


def _segment(text: str) -> dict[str, Any]:
    return {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": 2.0,
        "text": text,
        "tokens": [1, 2],
        "temperature": 0.0,
        "avg_logprob": -0.3,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.01,
    }
