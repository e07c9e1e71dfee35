"""Coqui's XTTS streaming server, version 0.0.1 (its requests are checked as its models do)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from tests.fakes.voices import VoiceFake, sound

RATE_HZ = 24_000


class StreamingInputs(BaseModel):
    """The server's own."""

    model_config = ConfigDict(extra="ignore")

    speaker_embedding: list[float]
    gpt_cond_latent: list[list[float]]
    text: str
    language: str
    add_wav_header: bool = True
    stream_chunk_size: str = "20"


def speaker(number: int) -> dict[str, list[float] | list[list[float]]]:
    return {"speaker_embedding": [number / 8] * 4, "gpt_cond_latent": [[number / 4] * 3] * 2}


class FakeXtts(VoiceFake):
    """Speaks 300 ms for each word. `asked` are the requests that it understood, `uploads` the
    forms with recordings."""

    speakers = ("Claribel Dervla", "Ana Florence")

    def routes(self) -> list[BaseRoute]:
        self.asked: list[StreamingInputs] = []
        self.uploads: list[bytes] = []
        return [
            Route("/studio_speakers", self._studio),
            Route("/clone_speaker", self._clone, methods=["POST"]),
            Route("/tts_stream", self._speak, methods=["POST"]),
        ]

    async def _studio(self, request: Request) -> Response:
        self.arrive(request)
        if (refusal := self.refusal()) is not None:
            return refusal
        if self.faults.garbage:
            return JSONResponse([1])
        return JSONResponse({name: speaker(n) for n, name in enumerate(self.speakers)})

    async def _clone(self, request: Request) -> Response:
        self.uploads.append(await request.body())
        self.arrive(request, self.uploads[-1])
        return self.refusal() or JSONResponse(speaker(7))

    async def _speak(self, request: Request) -> Response:
        noted = self.arrive(request, await request.body())
        if (refusal := self.refusal()) is not None:
            return refusal
        await asyncio.sleep(3600 if self.faults.silent else self.faults.first_ms / 1000)
        try:
            asked = StreamingInputs.model_validate_json(noted.body)
        except ValidationError as error:
            return JSONResponse({"detail": error.errors(include_url=False)}, 422)
        self.asked.append(asked)

        async def made() -> AsyncIterator[bytes]:
            for piece in self.pieces(sound(asked.text, RATE_HZ), RATE_HZ):
                if self.pace_s:
                    await asyncio.sleep(self.pace_s)
                yield piece
            self.spoken.append(asked.text)

        return StreamingResponse(made(), media_type="audio/wav")
