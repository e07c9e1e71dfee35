"""whisper.cpp's server: `POST /inference`, multipart; tokens for words; errors with status 200."""

from __future__ import annotations

import asyncio
import email.parser
import email.policy
import io
import wave
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route
from tests.fakes.host import Connection, FakeVendor


def form(noted: Connection) -> dict[str, list[Any]]:
    """The fields of a multipart request; a file is its bytes."""
    head = f"Content-Type: {noted.headers['content-type']}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + noted.body)
    fields: dict[str, list[Any]] = {}
    for part in message.iter_parts():
        data: Any = part.get_payload(decode=True)
        name = str(part.get_param("name", header="content-disposition"))
        fields.setdefault(name, []).append(data if part.get_filename() else data.decode())
    return fields


def wav_ms(data: bytes) -> int:
    """The length of a 16 kHz mono WAV."""
    with wave.open(io.BytesIO(data)) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (16_000, 1, 2)
        return int(wav.getnframes()) // 16


class WhisperCpp(FakeVendor):
    """Answers each request with the next of `transcripts`, the last one again and again."""

    def __init__(self, *transcripts: str) -> None:
        super().__init__()
        self.transcripts = list(transcripts or ["yes please"])
        self.heard_ms: list[int] = []
        self.error: str | None = None

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/inference", self._inference, methods=["POST"]),
            Route("/", self._page),
        ]

    async def _page(self, request: Request) -> Response:
        return HTMLResponse("<html>Whisper.cpp Server</html>")

    async def _inference(self, request: Request) -> Response:
        noted = self.arrive(request, await request.body())
        if (refusal := self.refusal()) is not None:
            return refusal
        await asyncio.sleep(3600 if self.faults.silent else self.faults.first_ms / 1000)
        if self.faults.garbage:
            return Response("{ this is no JSON", media_type="application/json")
        if self.error is not None:
            return JSONResponse({"error": self.error})
        self.heard_ms.append(wav_ms(form(noted)["file"][0]))
        text = self.transcripts.pop(0) if len(self.transcripts) > 1 else self.transcripts[0]
        return JSONResponse(verbose(text))


def verbose(text: str) -> dict[str, Any]:
    """`verbose_json`, where words are tokens: here the last letter of each is one of its own."""
    words: list[dict[str, Any]] = []
    for number, word in enumerate(text.split()):
        for part, at in ((" " + word[:-1], 0.0), (word[-1], 0.2)):
            start = number * 0.3 + at
            sure = 0.9 if at else 0.8
            words.append({"word": part, "start": start, "end": start + 0.1, "probability": sure})
    segment = {
        "id": 0,
        "text": f" {text}",
        "start": 0.0,
        "end": 10.0,
        "avg_logprob": -0.2,
        "temperature": 0.0,
        "words": words,
    }
    return {
        "task": "transcribe",
        "language": "english",
        "duration": 10.0,
        "text": f" {text}\n",
        "segments": [segment] if text else [],
    }
