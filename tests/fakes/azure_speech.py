"""Azure Speech: recognition over USP, voices by REST and over USP (which Microsoft's library uses).

Written from what Microsoft's library 1.53 sends and takes, and from the protocol's old pages.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any
from xml.etree import ElementTree

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.host import Connection, FakeVendor

LETTER = b"\x01\x00" * 1200
"""The sound of a letter: 50 ms."""


class AzureSpeech(FakeVendor):
    """Each turn is the next of `transcripts`, the last one again and again."""

    def __init__(self, *transcripts: str) -> None:
        super().__init__()
        self.transcripts = list(transcripts or ["yes please"])
        self.heard_ms: list[int] = []
        self.contexts: list[dict[str, Any]] = []
        self.crossed = 0
        """Turns that began before the end of the one before, whose text was lost by that."""
        self.status = "Success"
        self.end_early = 0  # turns that are ended before all is said
        self.documents: list[str] = []

    def routes(self) -> list[BaseRoute]:
        return [
            WebSocketRoute("/speech/recognition/{mode}/cognitiveservices/v1", self._recognize),
            WebSocketRoute("/cognitiveservices/websocket/v1", self._synthesize),
            Route("/cognitiveservices/v1", self._speak, methods=["POST"]),
            Route("/cognitiveservices/voices/list", self._voices),
        ]

    # ---- recognition -----------------------------------------------------------------------

    async def _recognize(self, socket: WebSocket) -> None:
        noted = await self.accept(socket, subprotocol="USP")
        if noted is None:
            return
        turn = _Turn(self, socket, noted)
        while (data := await self.receive(socket, noted)) is not None:
            if isinstance(data, str):
                head, _, body = data.partition("\r\n\r\n")
                fields = _fields(head)
                assert "x-timestamp" in fields
                if fields["path"] == "speech.context":
                    assert re.fullmatch("[0-9a-f]{32}", fields["x-requestid"])
                    self.contexts.append(json.loads(body))
                continue
            size = int.from_bytes(data[:2], "big")
            fields, pcm = _fields(data[2 : 2 + size].decode()), data[2 + size :]
            assert fields["path"] == "audio"
            assert len(pcm) <= 8192
            if fields["x-requestid"] != turn.request_id:
                self.crossed += turn.open
                assert pcm[:4] == b"RIFF"
                assert fields["content-type"] == "audio/x-wav"
                turn = _Turn(self, socket, noted, fields["x-requestid"])
                await turn.tell("turn.start", {"context": {"serviceTag": "tag"}})
                continue
            await turn.take(pcm)

    def next(self) -> str:
        return self.transcripts.pop(0) if len(self.transcripts) > 1 else self.transcripts[0]

    # ---- voices ----------------------------------------------------------------------------

    async def _voices(self, request: Request) -> Response:
        return self.refusal() or JSONResponse([])

    async def _speak(self, request: Request) -> Response:
        noted = self.arrive(request, await request.body())
        if (refusal := self.refusal()) is not None:
            return refusal
        assert noted.headers["x-microsoft-outputformat"] == "raw-24khz-16bit-mono-pcm"
        assert noted.headers["content-type"] == "application/ssml+xml"
        letters = self._spoken(noted.body.decode())
        if self.faults.garbage:
            return JSONResponse({"no": "sound"})

        async def sound() -> AsyncIterator[bytes]:
            await asyncio.sleep(3600 if self.faults.silent else self.faults.first_ms / 1000)
            for _ in range(letters):
                yield LETTER

        return StreamingResponse(sound(), media_type="audio/basic")

    async def _synthesize(self, socket: WebSocket) -> None:
        noted = await self.accept(socket, subprotocol="USP")
        while noted and (data := await self.receive(socket, noted)) is not None:
            assert isinstance(data, str)
            head, _, body = data.partition("\r\n\r\n")
            fields = _fields(head)
            if fields["path"] != "ssml":
                continue
            request_id = fields["x-requestid"]
            context = {"context": {"serviceTag": "tag"}}
            audio = context | {"audio": {"type": "inline", "streamId": "S1"}}
            await self.send(socket, noted, _text("turn.start", request_id, context))
            await self.send(socket, noted, _text("response", request_id, audio))
            head = f"X-RequestId:{request_id}\r\nX-StreamId:S1\r\nPath:audio\r\n"
            head += "Content-Type:audio/x-wav\r\n"
            letters = self._spoken(body)
            for metadata in self._boundaries(body):
                told = _text("audio.metadata", request_id, {"Metadata": [metadata]})
                await self.send(socket, noted, told)
            for pcm in [LETTER] * letters + [b""]:
                message = len(head).to_bytes(2, "big") + head.encode() + pcm
                await self.send(socket, noted, message)
            await self.send(socket, noted, _text("turn.end", request_id, {}))

    def _boundaries(self, document: str) -> Iterator[dict[str, Any]]:
        """Where the words and marks of a document are: 50 ms for each letter."""
        text = "".join(ElementTree.fromstring(document).itertext())
        for found in re.finditer(r"[\w']+|[.,?!]", text):
            kind = "WordBoundary" if found[0][0].isalnum() else "PunctuationBoundary"
            word = {"Text": found[0], "Length": len(found[0]), "BoundaryType": kind}
            at = {"Offset": found.start() * 500_000, "Duration": len(found[0]) * 500_000}
            yield {"Type": "WordBoundary", "Data": at | {"text": word}}
        yield {"Type": "SessionEnd", "Data": {"Offset": len(text) * 500_000}}

    def _spoken(self, document: str) -> int:
        """The letters of an SSML document of one voice."""
        self.documents.append(document)
        speak = ElementTree.fromstring(document)
        space = "{http://www.w3.org/2001/10/synthesis}"
        assert speak.tag == f"{space}speak"
        voices = speak.findall(f"{space}voice")
        assert len(voices) == 1
        assert voices[0].get("name")
        assert not voices[0].findall(f".//{space}voice")
        return len("".join(speak.itertext()))


class _Turn:
    def __init__(
        self, fake: AzureSpeech, socket: WebSocket, noted: Connection, request_id: str = ""
    ) -> None:
        self._fake, self._socket, self._noted = fake, socket, noted
        self.request_id = request_id
        self.open = bool(request_id)
        self._heard = self._told = 0
        self._words: list[str] | None = None

    async def tell(self, path: str, body: Any) -> None:
        await self._fake.send(self._socket, self._noted, _text(path, self.request_id, body))

    async def take(self, pcm: bytes) -> None:
        if self._words is None:
            self._words = self._fake.next().split()
            await self.tell("speech.startDetected", {"Offset": 0})
        self._heard += len(pcm)
        if not pcm or self._fake.end_early:
            self._fake.end_early = max(0, self._fake.end_early - 1)
            await self._end(self._words)
        # A word is heard every 300 ms.
        elif (count := min(len(self._words), self._heard // 9600)) > self._told:
            self._told = count
            text = " ".join(self._words[:count]).lower()
            length = count * 3_000_000
            hypothesis = {"Id": "h", "Text": text, "Offset": 0, "Duration": length}
            await self.tell("speech.hypothesis", hypothesis)

    async def _end(self, words: list[str]) -> None:
        fake, heard_ms = self._fake, self._heard // 32
        fake.heard_ms.append(heard_ms)
        status = fake.status if words else "NoMatch"
        phrase: dict[str, Any] = {
            "Id": "p",
            "RecognitionStatus": status,
            "Offset": 0,
            "Duration": heard_ms * 10_000,
        }
        if status == "Success":
            text = " ".join(words)
            timed = [
                {"Word": word.lower(), "Offset": n * 3_000_000, "Duration": 2_500_000}
                | {"Confidence": 0.75}
                for n, word in enumerate(words)
            ]
            best = {"Confidence": 0.875, "Lexical": text.lower(), "ITN": text, "MaskedITN": text}
            phrase |= {"DisplayText": text, "NBest": [best | {"Display": text, "Words": timed}]}
        await self.tell("speech.phrase", phrase)
        await self.tell("speech.endDetected", {"Offset": heard_ms * 10_000})
        await self.tell("turn.end", {})
        self.open = False


def _fields(head: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.split("\r\n") if line)
    return {name.lower(): value for name, _, value in pairs}


def _text(path: str, request_id: str, body: Any) -> str:
    kind = "application/json; charset=utf-8"
    head = f"X-RequestId:{request_id}\r\nContent-Type:{kind}\r\nPath:{path}\r\n"
    return f"{head}\r\n{json.dumps(body)}"
