"""Azure's Universal Speech Protocol on one socket. See `azure.py`.

Times are in units of 100 ns from the beginning of the turn's audio. The service drops
what it has not told of a turn when audio of another arrives, so the next turn waits for its end.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from antiphon.errors import ProviderError
from antiphon.net.ws import Socket
from antiphon.providers._azure import Received, audio_message, received, text_message
from antiphon.providers.stt.live import BYTES_PER_MS
from antiphon.providers.stt.wire import Flushed, Frame, Piece, Told
from antiphon.types import INPUT_RATE_HZ, Word

NAME = "azure"
MAX_AUDIO_BYTES = 8192
"""Of one message."""
_UNITS_PER_MS = 10_000
_NOTHING = frozenset({"NoMatch", "InitialSilenceTimeout", "BabbleTimeout", "EndOfDictation"})
_REFUSED = frozenset({"BadRequest", "Forbidden"})
_RIFF = (
    b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0"
    + INPUT_RATE_HZ.to_bytes(4, "little")
    + (INPUT_RATE_HZ * 2).to_bytes(4, "little")
    + b"\x02\0\x10\0data\0\0\0\0"
)
"""Of a stream whose length is not known."""


@dataclass(frozen=True, slots=True)
class TurnStart:
    """The first message of a turn."""

    message: str


class AzureLink:
    """A socket on which a turn begins only when the one before is over; what comes too early is
    kept. Acknowledges the end of each turn, as the service wants."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._busy = False
        self._early: deque[Frame] = deque()
        self._lock = asyncio.Lock()

    async def send(self, frame: Any, /) -> None:
        async with self._lock:
            if self._early or (self._busy and isinstance(frame, TurnStart)):
                self._early.append(frame)
            else:
                await self._out(frame)

    async def recv(self) -> Received:
        message = received(await self._socket.recv(), NAME)
        if message.path == "turn.end":
            ended = {"ReceivedMessages": [{"turn.end": datetime.now(UTC).isoformat()}]}
            async with self._lock:
                await self._socket.send(text_message("telemetry", ended, message.request_id))
                self._busy = False
                while self._early and not (self._busy and isinstance(self._early[0], TurnStart)):
                    await self._out(self._early.popleft())
        return message

    async def ping(self) -> Any:
        """See `wire.Pings`."""
        return await self._socket.ping()

    async def close(self) -> None:
        await self._socket.close()

    async def _out(self, frame: Any) -> None:
        if isinstance(frame, TurnStart):
            self._busy, frame = True, frame.message
        await self._socket.send(frame)


@dataclass(slots=True)
class _Turn:
    request_id: str
    begun_ms: int
    flushed: bool = False


class AzureWire:
    """The turns of one connection: each is what is said between two flushes.

    Args:
        context: the body of `speech.context`.
    """

    def __init__(self, context: dict[str, Any]) -> None:
        self._context = context
        self._sent_ms = 0
        self._turns: deque[_Turn] = deque()  # not over; the last one may take audio

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        frames: list[Frame] = []
        if not self._turns or self._turns[-1].flushed:
            turn = _Turn(secrets.token_hex(16), self._sent_ms)
            self._turns.append(turn)
            context = text_message("speech.context", self._context, turn.request_id)
            frames += [TurnStart(context), audio_message(turn.request_id, _RIFF, "audio/x-wav")]
        request_id = self._turns[-1].request_id
        self._sent_ms += len(pcm) // BYTES_PER_MS
        for at in range(0, len(pcm), MAX_AUDIO_BYTES):
            frames.append(audio_message(request_id, pcm[at : at + MAX_AUDIO_BYTES]))
        return frames

    def flush(self) -> Sequence[Frame] | None:
        if not self._turns or self._turns[-1].flushed:
            return None
        self._turns[-1].flushed = True
        return [audio_message(self._turns[-1].request_id, b"")]

    def keep_alive(self) -> Sequence[Frame]:
        return ()

    def close(self) -> Sequence[Frame]:
        return ()

    def read(self, frame: Frame) -> Sequence[Told]:
        if not isinstance(frame, Received):
            raise TypeError("frame")
        if not self._turns or frame.request_id != self._turns[0].request_id:
            return ()
        turn, body = self._turns[0], frame.body
        if frame.path == "speech.hypothesis":
            return [Piece(str(body["Text"]), False, _end_ms(body, turn))]
        if frame.path == "speech.phrase":
            return [_phrase(body, turn)]
        if frame.path != "turn.end":
            return ()
        if not turn.flushed:
            raise ProviderError("the turn was ended early", provider=NAME, retryable=True)
        self._turns.popleft()
        return [Flushed()]


def _phrase(body: dict[str, Any], turn: _Turn) -> Piece:
    status, end_ms = str(body["RecognitionStatus"]), _end_ms(body, turn)
    if status in _NOTHING:
        return Piece("", True, end_ms)
    if status != "Success":
        raise ProviderError(
            f"the service says {status[:60]}", provider=NAME, retryable=status not in _REFUSED
        )
    best = (body.get("NBest") or [{}])[0]
    words = tuple(
        Word(
            str(one["Word"]),
            _ms(one["Offset"]) + turn.begun_ms,
            _ms(one["Offset"] + one["Duration"]) + turn.begun_ms,
            float(one.get("Confidence", 1.0)),
        )
        for one in best.get("Words") or ()
    )
    return Piece(
        str(best.get("Display") or body.get("DisplayText") or ""),
        True,
        end_ms,
        words,
        float(best.get("Confidence", 1.0)),
        str((body.get("PrimaryLanguage") or {}).get("Language") or ""),
    )


def _end_ms(body: dict[str, Any], turn: _Turn) -> int:
    return _ms(body.get("Offset", 0) + body.get("Duration", 0)) + turn.begun_ms


def _ms(units: float) -> int:
    return int(units / _UNITS_PER_MS)
