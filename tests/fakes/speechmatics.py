"""Speechmatics in real time: `WS /v2`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.ear import Heard, ListeningVendor, texts
from tests.fakes.host import Connection


class SpeechmaticsRealtime(ListeningVendor):
    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/v2", self._serve)]

    async def _serve(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        if noted is not None:
            await _Session(self, socket, noted).run()


class _Session:
    def __init__(self, vendor: SpeechmaticsRealtime, socket: WebSocket, noted: Connection) -> None:
        self.vendor, self.socket, self.noted = vendor, socket, noted
        self.ear = vendor.ear()
        self.config: dict[str, Any] = {}
        self.chunks = self.done = 0
        self.said = False

    async def run(self) -> None:
        key = self.vendor.key
        if key and self.socket.headers.get("authorization") != f"Bearer {key}":
            await self.fail(4001, "not_authorised", "Not Authorised")
            return
        while (data := await self.vendor.receive(self.socket, self.noted)) is not None:
            if isinstance(data, str):
                await self.control(json.loads(data))
            elif await self.vendor.failed(self.socket, self.noted):
                return
            else:
                await self.hear(data)

    async def control(self, message: dict[str, Any]) -> None:
        kind = message["message"]
        if kind == "StartRecognition":
            if message["audio_format"].get("encoding") != "pcm_s16le":
                await self.fail(1003, "invalid_audio_type", "unknown encoding")
                return
            self.config = message["transcription_config"]
            await self.say("RecognitionStarted", id="session-1", orchestrator_version="2026.1")
            await self.say("Info", type="recognition_quality", reason="Running recognition.")
        elif kind == "ForceEndOfUtterance":
            self.ear.complete()
            await self.finish(self.ear.words)
            await self.end(forced=True)
        elif kind == "EndOfStream":
            self.ear.complete()
            await self.finish(self.ear.words)
            await self.say("EndOfTranscript")

    async def hear(self, pcm: bytes) -> None:
        self.chunks += 1
        await self.say("AudioAdded", seq_no=self.chunks)
        if self.vendor.mute:
            return
        more = self.ear.hear(pcm)
        latest_ms = self.ear.now_ms - 1000 * float(self.config.get("max_delay", 4))
        await self.finish([word for word in self.ear.words if word.end_ms <= latest_ms])
        if more and self.config.get("enable_partials"):
            await self.transcript("AddPartialTranscript", self.ear.words[self.done :])
        silence_s = (self.config.get("conversation_config") or {}).get(
            "end_of_utterance_silence_trigger"
        )
        if silence_s and self.said_or_waiting and self.ear.silent_ms >= 1000 * silence_s:
            await self.finish(self.ear.words)
            await self.end(forced=False)

    @property
    def said_or_waiting(self) -> bool:
        return self.said or len(self.ear.words) > self.done

    async def finish(self, words: Sequence[Heard]) -> None:
        """Make the words up to here final."""
        if len(words) > self.done:
            await self.transcript("AddTranscript", words[self.done :])
            self.done, self.said = len(words), True

    async def end(self, *, forced: bool) -> None:
        self.said = False
        at_s = self.ear.now_ms / 1000
        more = {"forced": True} if forced else {}
        await self.say("EndOfUtterance", metadata={"start_time": at_s, "end_time": at_s}, **more)

    async def transcript(self, kind: str, words: Sequence[Heard]) -> None:
        results = [
            {
                "type": "word",
                "start_time": word.start_ms / 1000,
                "end_time": word.end_ms / 1000,
                "alternatives": [{"content": word.text, "confidence": 0.9, "language": "en"}],
            }
            for word in words
        ]
        await self.say(
            kind,
            format="2.9",
            metadata={
                "start_time": words[0].start_ms / 1000,
                "end_time": words[-1].end_ms / 1000,
                "transcript": texts(words) + " ",
            },
            results=results,
        )

    async def fail(self, code: int, kind: str, reason: str) -> None:
        await self.say("Error", type=kind, reason=reason)
        await self.vendor.bye(self.socket, self.noted, code, kind)

    async def say(self, kind: str, **message: Any) -> None:
        await self.vendor.send(self.socket, self.noted, {"message": kind, **message})
