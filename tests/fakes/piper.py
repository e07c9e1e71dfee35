"""Piper's HTTP server (`piper.http_server` of the package piper-tts 1.8.0)."""

from __future__ import annotations

import asyncio
import io
import json
import wave

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from tests.fakes.host import FakeVendor

MS_PER_LETTER = 60


class FakePiper(FakeVendor):
    """Answers a text with a tone of 60 ms a letter, times `length_scale`."""

    rate_hz = 22_050

    def routes(self) -> list[BaseRoute]:
        return [Route("/info", self._info), Route("/synthesize", self._speak, methods=["POST"])]

    async def _info(self, request: Request) -> Response:
        self.arrive(request)
        voice = {"name": "en_US-lessac-medium", "language": "en-us", "num_speakers": 1}
        return JSONResponse({"voice": voice, "last": None})

    async def _speak(self, request: Request) -> Response:
        noted = self.arrive(request, await request.body())
        if (refusal := self.refusal()) is not None:
            return refusal
        await asyncio.sleep(3600 if self.faults.silent else self.faults.first_ms / 1000)
        if self.faults.garbage:
            return Response(b"no sound at all", media_type="text/html; charset=utf-8")
        asked = json.loads(noted.body)
        if not asked["text"].strip():
            return Response("No text provided", 500)
        seconds = len(asked["text"]) * MS_PER_LETTER / 1000 * asked.get("length_scale", 1.0)
        # Flask calls a body of bytes text/html.
        sound = wav_file(tone(seconds, self.rate_hz), self.rate_hz)
        return Response(sound, media_type="text/html; charset=utf-8")


def tone(seconds: float, rate_hz: int) -> bytes:
    """A tone of 200 Hz: mono s16 PCM."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    return bytes((8000 * np.sin(2 * np.pi * 200 * time)).astype("<i2").tobytes())


def wav_file(pcm: bytes, rate_hz: int) -> bytes:
    """Mono s16 PCM as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(pcm)
    return file.getvalue()
