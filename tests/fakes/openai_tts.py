"""OpenAI's POST /v1/audio/speech, its sound in chunks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from tests.fakes.voices import VoiceFake, sound

RATE_HZ = 24_000


class FakeOpenAiTts(VoiceFake):
    """`under_way` is the most requests at a time."""

    under_way = most_under_way = 0

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/audio/speech", self._speech, methods=["POST"]),
            Route("/v1/models/{model}", self._model),
        ]

    async def _model(self, request: Request) -> Response:
        self.arrive(request)
        return self.refusal() or JSONResponse({"id": request.path_params["model"]})

    async def _speech(self, request: Request) -> Response:
        self.arrive(request, await request.body())
        if (refusal := self.refusal()) is not None:
            return refusal
        asked = json.loads(self.last.body)
        assert asked["response_format"] == "pcm"
        if self.faults.garbage:
            return JSONResponse({"what": "is this"})
        return StreamingResponse(self._say(asked["input"]), media_type="audio/pcm")

    async def _say(self, text: str) -> AsyncIterator[bytes]:
        self.spoken.append(text)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.faults.silent:
                await asyncio.sleep(60)
            await asyncio.sleep(self.faults.first_ms / 1000)
            for number, piece in enumerate(self.pieces(sound(text, RATE_HZ), RATE_HZ)):
                if number == self.cut_after:
                    raise ConnectionResetError("cut")
                # An odd length, so that a sample lies on both sides of the cut.
                yield piece[:1001]
                yield piece[1001:]
                await asyncio.sleep(self.pace_s)
        except asyncio.CancelledError:
            self.cancelled.append(text)
            raise
        finally:
            self.under_way -= 1
