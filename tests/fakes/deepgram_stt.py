"""Deepgram's two ways of listening: `WS /v1/listen` (Nova) and `WS /v2/listen` (Flux)."""

from __future__ import annotations

import json
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket
from tests.fakes.ear import Heard, ListeningVendor, texts
from tests.fakes.host import Connection

UPDATE_MS = 250
EAGER_MS = 300
END_MS = 600
REQUEST = "00000000-0000-4000-8000-000000000001"


class DeepgramListen(ListeningVendor):
    """`gated`: ForceEndTurn is not enabled. `quiet`: Finalize is not answered when nothing was
    said, as the vendor's page says may be."""

    gated = False
    quiet = True

    def routes(self) -> list[BaseRoute]:
        return [WebSocketRoute("/v1/listen", self._nova), WebSocketRoute("/v2/listen", self._flux)]

    async def _open(self, socket: WebSocket) -> Connection | None:
        wanted = f"token {self.key}".lower()
        if self.key and socket.headers.get("authorization", "").lower() != wanted:
            self.faults.status = 401
        return await self.accept(socket)

    async def _nova(self, socket: WebSocket) -> None:
        noted = await self._open(socket)
        if noted is not None:
            await _Nova(self, socket, noted).run()

    async def _flux(self, socket: WebSocket) -> None:
        noted = await self._open(socket)
        if noted is not None:
            await _Flux(self, socket, noted).run()


class _Listening:
    def __init__(self, vendor: DeepgramListen, socket: WebSocket, noted: Connection) -> None:
        self.vendor, self.socket, self.noted = vendor, socket, noted
        self.query = dict(noted.query)
        self.ear = vendor.ear()
        self.done = 0  # words that are final

    async def run(self) -> None:
        await self.begin()
        while (data := await self.vendor.receive(self.socket, self.noted)) is not None:
            if isinstance(data, str):
                await self.control(json.loads(data)["type"])
            elif await self.vendor.failed(self.socket, self.noted):
                return
            elif not self.vendor.mute:
                more = self.ear.hear(data)
                await self.heard(more)

    async def begin(self) -> None: ...
    async def control(self, kind: str) -> None: ...
    async def heard(self, more: bool) -> None: ...

    async def say(self, **message: Any) -> None:
        await self.vendor.send(self.socket, self.noted, message)

    def fresh(self) -> list[Heard]:
        return self.ear.words[self.done :]


class _Nova(_Listening):
    _from_ms = _told_ms = 0

    async def heard(self, more: bool) -> None:
        endpointing = self.query.get("endpointing", "10")
        if endpointing != "false" and self.fresh() and self.ear.silent_ms >= int(endpointing):
            await self._results(final=True, speech_final=True)
        elif more or self.ear.now_ms - self._told_ms >= 1000:
            await self._results()

    async def control(self, kind: str) -> None:
        if kind == "Finalize":
            self.ear.complete()
            if self.fresh() or not self.vendor.quiet:
                await self._results(final=True, from_finalize=True)
        elif kind == "CloseStream":
            await self.say(
                type="Metadata", transaction_key="deprecated", request_id=REQUEST, sha256="",
                created="2026-01-01T00:00:00Z", duration=self.ear.now_ms / 1000, channels=1,
            )  # fmt: skip
            await self.vendor.bye(self.socket, self.noted, 1000)

    async def _results(
        self, *, final: bool = False, speech_final: bool = False, from_finalize: bool = False
    ) -> None:
        fresh, now_ms = self.fresh(), self.ear.now_ms
        self._told_ms = now_ms
        words = [
            {"word": one.text.lower(), "confidence": 0.98, "punctuated_word": one.text}
            | one.times()
            for one in fresh
        ]
        best = {"transcript": texts(fresh), "confidence": 0.97 if fresh else 0.0, "words": words}
        await self.say(
            type="Results",
            channel_index=[0, 1],
            start=self._from_ms / 1000,
            duration=(now_ms - self._from_ms) / 1000,
            is_final=final,
            speech_final=speech_final,
            from_finalize=from_finalize,
            channel={"alternatives": [best]},
            metadata={
                "request_id": REQUEST,
                "model_info": {"name": "general-nova-3", "version": "2026-01-01", "arch": "nova-3"},
                "model_uuid": REQUEST,
            },
        )
        if final:
            self._from_ms, self.done = now_ms, len(self.ear.words)


class _Flux(_Listening):
    _turn = _told_ms = _sequence = 0
    _state = "none"  # ongoing, eager

    async def begin(self) -> None:
        await self.say(type="Connected", request_id=REQUEST, sequence_id=0)

    async def control(self, kind: str) -> None:
        if kind == "ForceEndTurn" and not self.vendor.gated and self._state != "none":
            self.ear.complete()
            await self._end("manual")
        elif kind == "CloseStream":
            await self.vendor.bye(self.socket, self.noted, 1000)

    async def heard(self, more: bool) -> None:
        eager = self.query.get("eager_eot_threshold")
        manual = self.query.get("eot_threshold") == "1.0"
        if more and self._state == "none":
            self._state = "ongoing"
            await self._info("StartOfTurn")
        elif more and self._state == "eager":
            self._state = "ongoing"
            await self._info("TurnResumed")
        elif self._state == "ongoing" and eager and self.ear.silent_ms >= EAGER_MS:
            self._state = "eager"
            await self._info("EagerEndOfTurn", confidence=0.6)
        elif self._state != "none" and self.ear.silent_ms >= END_MS and not manual:
            await self._end("model")
        elif self.ear.now_ms - self._told_ms >= UPDATE_MS:
            await self._info("Update")

    async def _end(self, trigger: str) -> None:
        await self._info("EndOfTurn", confidence=0.9, trigger=trigger)
        self._state, self.done = "none", len(self.ear.words)
        self._turn += 1

    async def _info(self, event: str, confidence: float = 0.1, **more: Any) -> None:
        self._sequence += 1
        self._told_ms = self.ear.now_ms
        fresh = self.fresh()
        await self.say(
            type="TurnInfo",
            request_id=REQUEST,
            sequence_id=self._sequence,
            event=event,
            turn_index=self._turn,
            audio_window_start=(fresh[0].start_ms if fresh else self.ear.now_ms) / 1000,
            audio_window_end=self.ear.now_ms / 1000,
            transcript=texts(fresh),
            words=[{"word": one.text, "confidence": 0.95} | one.times() for one in fresh],
            end_of_turn_confidence=confidence,
            **more,
        )
