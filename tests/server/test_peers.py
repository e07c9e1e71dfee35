"""Requests from worker to worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from antiphon.server import peers as module
from antiphon.server.peers import Absent, Peers


class Other:
    """A worker that keeps what it is asked, and answers one thing."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.read(65536))
        writer.write(self.answer)
        writer.close()


@pytest.fixture
async def other(peers: Peers) -> AsyncIterator[Other]:
    other = Other()
    async with await asyncio.start_unix_server(other.serve, str(peers.path(1))):
        yield other


@pytest.fixture
async def peers(tmp_path: Path) -> AsyncIterator[Peers]:
    peers = Peers(tmp_path, 0, 3)
    yield peers
    await peers.aclose()


async def test_what_was_asked_arrives_as_it_was(peers: Peers, other: Other) -> None:
    target = b"/w1/twilio/status?a=%2f%7E&b='|\"&c=a+b%20c"
    headers = [
        (b"Host", b"voice.example.com"),
        (b"X-Twilio-Signature", b"abc="),
        (b"cookie", b"a"),
        (b"cookie", b"b"),
        (b"Connection", b"keep-alive"),
        (b"transfer-encoding", b"chunked"),
        (b"content-length", b"99"),
    ]
    async with peers.ask(1, "POST", target, headers, b"CallSid=CA1") as answer:
        assert (answer.status_code, await answer.aread()) == (200, b"yes")
    head, _, body = other.asked[0].partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert first == b"POST " + target + b" HTTP/1.1"
    assert body == b"CallSid=CA1"
    assert sorted(lines) == sorted(
        [
            b"Host: voice.example.com",
            b"X-Twilio-Signature: abc=",
            b"cookie: a",
            b"cookie: b",
            b"Content-Length: 11",
        ]
    )


async def test_a_worker_that_is_not_there(peers: Peers) -> None:
    with pytest.raises(Absent):
        async with peers.ask(2, "GET", b"/", []):
            pass
    assert await peers.text(2, "/metrics", 1.0) is None
    assert peers.others == (1, 2)


async def test_a_worker_that_does_not_answer(
    peers: Peers, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.answer = b""
    with pytest.raises(httpx.HTTPError):
        async with peers.ask(1, "GET", b"/", []):
            pass
    assert await peers.text(1, "/metrics", 1.0) is None
    other.answer = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    assert await peers.text(1, "/metrics", 1.0) is None
    monkeypatch.setattr(module, "ASK_S", 0.01)
    other.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nyes"
    assert await peers.text(1, "/metrics", 1.0) is None


async def test_a_text(peers: Peers, other: Other) -> None:
    assert await peers.text(1, "/metrics", 5.0) == "yes"
    assert other.asked[0].startswith(b"GET /metrics HTTP/1.1\r\n")
