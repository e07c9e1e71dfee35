"""A wire whose other end is the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from antiphon.channels.phone.wire import NORMAL_CLOSURE, Message


class ScriptedWire:
    """Keeps what is sent; `answers`: pings are answered at once."""

    def __init__(self, *, pings: bool = True, answers: bool = True, closes: bool = True) -> None:
        self.closed_with: int | None = None
        self.ponged: Callable[[bytes], None] | None = None
        self.heard: Callable[[Message], None] | None = None
        self.sent: list[Message] = []
        self.firsts: asyncio.Queue[Message | None] = asyncio.Queue()
        self.closing: tuple[int, str] | None = None
        self.over = asyncio.Event()
        self.pings, self.answers, self.closes = pings, answers, closes

    def ping(self, payload: bytes) -> bool:
        if self.pings and self.answers and self.ponged is not None:
            self.ponged(payload)
        return self.pings

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def close(self, code: int = NORMAL_CLOSURE, reason: str = "") -> None:
        self.closing = self.closing or (code, reason)
        if self.closes:
            self.over.set()

    async def first(self) -> Message | None:
        return await self.firsts.get()

    async def run(self, heard: Callable[[Message], None]) -> None:
        self.heard = heard
        await self.over.wait()

    def say(self, message: Message) -> None:
        assert self.heard is not None
        self.heard(message)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(one) for one in self.sent if isinstance(one, str)]

    @property
    def sound(self) -> list[bytes]:
        return [one for one in self.sent if isinstance(one, bytes)]
