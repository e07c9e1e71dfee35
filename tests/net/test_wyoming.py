from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wyoming.event import Event as PackageEvent
from wyoming.event import async_read_event, async_write_event

from antiphon.errors import ProviderError
from antiphon.net import wyoming


@asynccontextmanager
async def serving(*answers: bytes, then: str = "close") -> AsyncIterator[str]:
    """A server that sends these pieces to whoever connects, then closes or keeps still."""
    done = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in answers:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
        if then != "close":
            await done.wait()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        done.set()
        server.close()
        await asyncio.sleep(0.005)


@asynccontextmanager
async def opened(uri: str) -> AsyncIterator[wyoming.Connection]:
    connection = await wyoming.open(uri, "someone", within_ms=2000)
    try:
        yield connection
    finally:
        await connection.aclose()
        await connection.aclose()
        assert connection.closed


async def test_events_go_both_ways_with_a_peer_of_the_protocols_own_package(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (event := await async_read_event(reader)) is not None:
            await async_write_event(event, writer)
        writer.close()

    path = tmp_path / "socket"
    tcp = await asyncio.start_server(echo, "127.0.0.1", 0)
    unix = await asyncio.start_unix_server(echo, path)
    port = tcp.sockets[0].getsockname()[1]
    events = [
        wyoming.Event("describe"),
        wyoming.Event("synthesize", {"text": "Grüße — 東京", "voice": {"name": "a"}}),
        wyoming.Event("audio-chunk", {"rate": 16_000, "width": 2}, bytes(range(256)) * 4000),
        wyoming.Event("info", {"tts": ["x" * 300_000]}),
    ]
    for uri in (f"tcp://127.0.0.1:{port}", f"unix://{path}"):
        async with opened(uri) as connection:
            for event in events:
                await connection.send(event.type, event.data, event.payload, within_ms=2000)
                assert await connection.recv(within_ms=2000) == event
    for server in (tcp, unix):
        server.close()
        await server.wait_closed()


@given(
    st.text(min_size=1).filter(lambda kind: kind != "error"),
    st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()),
    st.binary(),
)
@settings(max_examples=50, deadline=None)
def test_what_is_encoded_is_read_by_the_package(
    kind: str, data: dict[str, object], payload: bytes
) -> None:
    async def read() -> PackageEvent | None:
        reader = asyncio.StreamReader()
        reader.feed_data(wyoming.encode(kind, data, payload))
        reader.feed_eof()
        event: PackageEvent | None = await async_read_event(reader)
        return event

    event = asyncio.run(read())
    assert event is not None
    assert (event.type, event.data, event.payload or b"") == (kind, data, payload)


async def test_data_in_the_line_is_merged_with_what_follows() -> None:
    line = {"type": "x", "data": {"a": 1, "b": 1}, "data_length": 8, "extra": []}
    async with serving(json.dumps(line).encode() + b"\n" + b'{"b": 2}') as uri, opened(uri) as one:
        assert await one.recv(within_ms=1000) == wyoming.Event("x", {"a": 1, "b": 2})
        with pytest.raises(ProviderError, match="someone: the server closed") as caught:
            await one.recv(within_ms=1000)
        assert caught.value.retryable


async def test_an_event_in_pieces_survives_cancellation_and_lateness() -> None:
    raw = wyoming.encode("audio-chunk", {"rate": 8000}, b"abcd" * 100)
    for cut in (5, raw.index(b"\n") + 1, raw.index(b"}", raw.index(b"\n")) + 1, len(raw) - 3):
        reader = asyncio.StreamReader()
        connection = wyoming.Connection(reader, _NoWriter(), "someone")  # type: ignore[arg-type]
        reader.feed_data(raw[:cut])
        with pytest.raises(ProviderError, match="no answer within"):
            await connection.recv(within_ms=2)
        waiting = asyncio.create_task(connection.recv(within_ms=1000))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        reader.feed_data(raw[cut:])
        event = await connection.recv(within_ms=1000)
        assert event == wyoming.Event("audio-chunk", {"rate": 8000}, b"abcd" * 100)


class _NoWriter:
    def is_closing(self) -> bool:
        return False


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"[]\n",
        b'{"type": 3}\n',
        b'{"type": "x", "data": [1]}\n',
        b'{"type": "x", "data_length": -1}\n',
        b'{"type": "x", "data_length": "9"}\n',
        b'{"type": "x", "payload_length": 99999999999}\n',
        b'{"type": "x", "data_length": 2}\n[]',
        b'{"type": "x", "data_length": 2}\n{{',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b"a" * (2 * wyoming.MAX_JSON_BYTES + 10),
    ],
)
async def test_what_is_no_wyoming_is_told_apart(garbage: bytes) -> None:
    async with serving(garbage, then="wait") as uri, opened(uri) as connection:
        with pytest.raises(ProviderError, match="does not speak Wyoming") as caught:
            await connection.recv(within_ms=5000)
        assert not caught.value.retryable


async def test_the_servers_own_errors_and_its_silence() -> None:
    error = wyoming.encode("error", {"text": "no such\nvoice", "code": "x"})
    async with serving(error, then="wait") as uri, opened(uri) as connection:
        with pytest.raises(ProviderError, match="someone: the server says: no such voice"):
            await connection.recv(within_ms=1000)
        with pytest.raises(ProviderError, match=r"no answer within 0\.01 s") as caught:
            await connection.recv(within_ms=10)
        assert caught.value.retryable
        # A peer that reads nothing holds the sender for its time and no longer.
        with pytest.raises(ProviderError, match="no answer within"):
            await connection.send("audio-chunk", None, bytes(50_000_000), within_ms=20)
    with pytest.raises(ProviderError, match="it was closed"):
        await connection.send("ping", within_ms=100)


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:1", "tcp://127.0.0.1", "tcp://:1", "unix://", "tcp://a:999999", "x"]
)
async def test_addresses_that_are_none(uri: str) -> None:
    with pytest.raises(ProviderError, match="is not an address") as caught:
        await wyoming.open(uri, "someone", within_ms=100)
    assert not caught.value.retryable


async def test_nobody_there(tmp_path: Path) -> None:
    for uri in ("tcp://127.0.0.1:9", f"unix://{tmp_path}/none"):
        with pytest.raises(ProviderError, match="cannot be reached") as caught:
            await wyoming.open(uri, "someone", within_ms=2000)
        assert caught.value.retryable
