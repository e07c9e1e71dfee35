"""A Wyoming voice server that can fail; the one that works is made with the package `wyoming`
(tests/vendors/test_wyoming_package.py)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from tests.fakes.host import FakeVendor
from tests.fakes.voices import sound


def line(kind: str, data: dict[str, Any] | None = None, payload: bytes = b"") -> bytes:
    """An event as the package writes it."""
    body = json.dumps(data).encode() if data else b""
    head: dict[str, Any] = {"type": kind, "version": "1.10.2"}
    head |= {"data_length": len(body)} if body else {}
    head |= {"payload_length": len(payload)} if payload else {}
    return json.dumps(head).encode() + b"\n" + body + payload


class FakeWyoming(FakeVendor):
    """Answers each event with the lines of `script` for its type. After them it closes the
    connection where `closes` is set, else it waits. `events` are those received, `open` the
    connections that the client has not closed."""

    def __init__(self, script: dict[str, list[bytes]], closes: bool = False) -> None:
        super().__init__()
        self.script, self.closes = script, closes
        self.events: list[dict[str, Any]] = []
        self.open = 0
        self._tcp: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._tcp = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._tcp.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._tcp is not None
        self._tcp.close()
        await self._tcp.wait_closed()
        await self.until(lambda: not self.open)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something to become true, for a second at most."""
        for _ in range(1000):
            if holds():
                return
            await asyncio.sleep(0.001)
        raise AssertionError("nothing happened")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while head := await reader.readline():
                event = json.loads(head)
                size = event.pop("data_length", 0)
                event["data"] = json.loads(await reader.readexactly(size)) if size else {}
                event["payload"] = await reader.readexactly(event.pop("payload_length", 0))
                self.events.append(event)
                for piece in self.script.get(event["type"], ()):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if self.closes:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


def one_second_voice() -> FakeWyoming:
    """Says every text within a second."""
    form = {"rate": 16_000, "width": 2, "channels": 1}
    chunks = [line("audio-chunk", form, sound("word", 16_000)[:6400])] * 5
    voices = [{"name": "a", "languages": ["en"]}]
    said = [line("audio-start", form), *chunks, line("audio-stop")]
    return FakeWyoming(
        {"describe": [line("info", {"tts": [{"voices": voices}]})], "synthesize": said}
    )
