"""Azure's voices over its WebSocket protocol: one segment at a time on a socket, with word times.

As Microsoft's library 1.53 speaks it. Times are in units of 100 ns. A turn cannot be stopped but by
closing its socket.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import deque
from collections.abc import Callable
from html import unescape
from typing import Any, cast

from antiphon.net.ws import Socket, closed_errors
from antiphon.net.ws import connect as ws_connect
from antiphon.providers import _azure
from antiphon.providers.base import TtsAudio, TtsEvent, TtsSegment, TtsSegmentDone, TtsWords
from antiphon.providers.tts.socket_voice import Dialect
from antiphon.providers.tts.sockets import Message
from antiphon.providers.tts.sockets import Wire as PoolWire
from antiphon.providers.tts.timing import Told, onto_written

NAME = "azure"
PATH = "cognitiveservices/websocket/v1"
FORMAT = "raw-24khz-16bit-mono-pcm"
BYTES_PER_MS = 48
_UNITS_PER_MS = 10_000
_TAG = re.compile(r"<[^>]*>")


class AzureWire(PoolWire):
    """How the sockets are opened.

    Args:
        address: of the server, and the query; asked for each socket.
    """

    provider = NAME
    lanes = 1

    def __init__(self, address: Callable[[], tuple[str, dict[str, str]]], within_ms: int) -> None:
        self._address, self._within_ms = address, within_ms

    async def open(self) -> Socket:
        url, headers = self._address()
        socket = await ws_connect(
            url,
            NAME,
            headers={**headers, "X-ConnectionId": secrets.token_hex(16)},
            subprotocols=("USP",),
            within_ms=self._within_ms,
        )
        try:
            with closed_errors(NAME):
                config = {"context": _azure.client()}
                await socket.send(_azure.text_message("speech.config", config))
        except BaseException:
            socket.transport.abort()
            raise
        return cast("Socket", UspSocket(socket))


class UspSocket:
    """A socket for the pool, which knows JSON: what it sends are documents to speak, and what it
    reads are messages with their path, or sound."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    async def send(self, message: str) -> None:
        asked = json.loads(message)
        boundaries = {"wordBoundaryEnabled": True, "punctuationBoundaryEnabled": False}
        audio = {"outputFormat": FORMAT, "metadataOptions": boundaries}
        context = {"synthesis": {"audio": audio, "language": {"autoDetection": False}}}
        for path, body in (("synthesis.context", context), ("ssml", asked["document"])):
            await self._socket.send(_azure.text_message(path, body, asked["request_id"]))

    async def recv(self) -> str | bytes:
        message = _azure.received(await self._socket.recv(), NAME)
        if message.path == "audio":
            return message.sound
        return json.dumps(
            {"path": message.path, "request_id": message.request_id, "body": message.body}
        )


class AzureDialect(Dialect):
    """A lane's segments.

    Args:
        document: makes the SSML document of a segment.
    """

    def __init__(self, document: Callable[[str], str]) -> None:
        self._document = document
        self._turns: deque[tuple[str, TtsSegment]] = deque()
        self._told: list[Told] = []
        self._size = 0
        self._rest = b""

    @property
    def ready(self) -> bool:  # type: ignore[override]
        """The service drops what is left of a turn when another begins."""
        return not self._turns

    def write(self, segment: TtsSegment) -> list[dict[str, Any]]:
        request_id = secrets.token_hex(16)
        self._turns.append((request_id, segment))
        return [{"request_id": request_id, "document": self._document(segment.text)}]

    def take(self, message: Message) -> list[TtsEvent]:
        if not self._turns:
            return []
        request_id, segment = self._turns[0]
        if isinstance(message, bytes):
            pcm = self._rest + message
            whole = len(pcm) - len(pcm) % 2
            self._rest, pcm = pcm[whole:], pcm[:whole]
            self._size += len(pcm)
            return [TtsAudio(segment.segment_id, pcm)] if pcm else []
        if message["request_id"] != request_id:
            return []
        if message["path"] == "audio.metadata":
            self._told += [
                _told(one["Data"]) for one in message["body"]["Metadata"] if _is_word(one)
            ]
        if message["path"] != "turn.end":
            return []
        words = onto_written(_plain(segment.text), self._told, self._size // BYTES_PER_MS)
        self._turns.popleft()
        self._told, self._size, self._rest = [], 0, b""
        told: list[TtsEvent] = [TtsWords(segment.segment_id, words)] if words else []
        return [*told, TtsSegmentDone(segment.segment_id)]


def _is_word(metadata: dict[str, Any]) -> bool:
    if metadata.get("Type") != "WordBoundary":
        return False
    return bool(metadata["Data"]["text"].get("BoundaryType", "WordBoundary") == "WordBoundary")


def _told(data: dict[str, Any]) -> Told:
    start = data["Offset"] / _UNITS_PER_MS
    return str(data["text"]["Text"]), start, start + data.get("Duration", 0) / _UNITS_PER_MS


def _plain(segment: str) -> str:
    """The text of a segment, which may be a document."""
    if not segment.startswith("<speak"):
        return segment
    return unescape(_TAG.sub(lambda tag: " " if tag[0].startswith("<break") else "", segment))
