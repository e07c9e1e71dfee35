"""ElevenLabs' Scribe in real time: `WS /v1/speech-to-text/realtime`."""

from __future__ import annotations

import base64
import json
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.ear import ListeningVendor, texts
from tests.fakes.host import Connection

LEAST_MS = 300
OWN_COMMIT_MS = 35_800


class Scribe(ListeningVendor):
    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/v1/speech-to-text/realtime", self._serve)]

    async def _serve(self, socket: WebSocket) -> None:
        noted = await self.accept(socket)
        if noted is not None:
            await _Session(self, socket, noted).run()


class _Session:
    def __init__(self, vendor: Scribe, socket: WebSocket, noted: Connection) -> None:
        self.vendor, self.socket, self.noted = vendor, socket, noted
        self.query = dict(noted.query)
        self.ear = vendor.ear()
        self.done = self.committed_ms = 0

    async def run(self) -> None:
        key = self.vendor.key
        if key and self.socket.headers.get("xi-api-key") != key:
            # The handshake succeeds all the same.
            await self.fail("auth_error", "You must be authenticated to use this endpoint.")
            return
        if not self.vendor.faults.silent:
            config = {"sample_rate": 16000, "model_id": self.query["model_id"]}
            await self.say("session_started", session_id="session-1", config=config)
        while (data := await self.vendor.receive(self.socket, self.noted)) is not None:
            message = json.loads(data)
            if message["message_type"] != "input_audio_chunk" or message["sample_rate"] != 16000:
                await self.fail("input_error", "not a chunk")
                return
            pcm = base64.b64decode(message["audio_base_64"])
            if pcm and await self.vendor.failed(self.socket, self.noted):
                return
            await self.hear(pcm)
            if message["commit"] and not await self.commit():
                return

    async def hear(self, pcm: bytes) -> None:
        more = self.ear.hear(pcm if not self.vendor.mute else bytes(len(pcm)))
        if more:
            await self.say("partial_transcript", text=texts(self.ear.words[self.done :]))
        if self.ear.now_ms - self.committed_ms >= OWN_COMMIT_MS:
            await self.commit()

    async def commit(self) -> bool:
        waiting_ms = self.ear.now_ms - self.committed_ms
        if waiting_ms < LEAST_MS:
            text = (
                f"Commit request ignored: only {waiting_ms / 1000:.2f}s of uncommitted audio. "
                "You need at least 0.3s of uncommitted audio before committing."
            )
            await self.fail("commit_throttled", text)
            return False
        self.ear.complete()
        fresh = self.ear.words[self.done :]
        self.committed_ms, self.done = self.ear.now_ms, len(self.ear.words)
        text = texts(fresh)
        await self.say("committed_transcript", text=text)
        if text and self.query.get("include_timestamps") == "true":
            words: list[dict[str, Any]] = []
            for word in fresh:
                if words:
                    words.append({"text": " ", "type": "spacing"} | word.times())
                words.append({"text": word.text, "type": "word", "logprob": -0.1} | word.times())
            await self.say(
                "committed_transcript_with_timestamps", text=text, language_code="en", words=words
            )
        if text:
            await self.say("partial_transcript", text=text)  # an echo
        return True

    async def fail(self, kind: str, text: str) -> None:
        await self.say(kind, error=text)
        await self.vendor.bye(self.socket, self.noted, 1000, kind)

    async def say(self, kind: str, **message: Any) -> None:
        await self.vendor.send(self.socket, self.noted, {"message_type": kind, **message})
