"""Server-sent events and errors, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import ProviderError
from antiphon.net import http


class Chunks(httpx.AsyncByteStream):
    """A body in given chunks; `None` is silence for ever."""

    def __init__(self, chunks: Sequence[bytes | None]) -> None:
        self.chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            if chunk is None:
                await asyncio.Event().wait()
            else:
                yield chunk


def response(*chunks: bytes | None, status: int = 200, **headers: str) -> httpx.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return httpx.Response(status, stream=Chunks(chunks), headers=named)


async def data_of(*chunks: bytes | None) -> list[str]:
    stream = http.sse_data(response(*chunks), "x", first_ms=50, idle_ms=50)
    return [one async for one in stream]


BODY = ": hello\r\ndata: one\r\n\r\ndata:two\ndata: \U0001f600 \n\nevent: x\n\ndata: last".encode()
DATA = ["one", "two\n\U0001f600 ", "last"]


async def test_events() -> None:
    assert await data_of(BODY) == DATA


@given(st.lists(st.integers(0, len(BODY)), max_size=8))
def test_events_cut_anywhere(cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(BODY)]
    chunks = [BODY[a:b] for a, b in pairwise(at)]
    assert asyncio.run(data_of(*chunks)) == DATA


async def test_comments_are_no_sign_of_life() -> None:
    with pytest.raises(ProviderError, match="no answer within") as caught:
        await data_of(b": still here\n\n", b": still here\n\n", None)
    assert caught.value.retryable


async def test_silence_between_events() -> None:
    with pytest.raises(ProviderError, match="no answer"):
        await data_of(b"data: one\n\n", None)


async def test_an_event_without_end() -> None:
    with pytest.raises(ProviderError, match="without end"):
        await data_of(*[b"x" * 65536] * 17)


@pytest.mark.parametrize(
    ("status", "body", "says", "retryable"),
    [
        (401, b'{"error": {"message": "bad key"}}', "HTTP 401: bad key", False),
        (429, b'{"error": "slow down"}', "HTTP 429: slow down (retry-after: 7)", True),
        (503, b"<h1>Sorry</h1>", "HTTP 503: <h1>Sorry</h1> (retry-after: 7)", True),
        (500, b"", "HTTP 500: Internal Server Error (retry-after: 7)", True),
        (422, b'{"detail": [{"loc": 1}]}', 'HTTP 422: [{"loc": 1}]', False),
        (404, b'{"message": "no\\n model"}', "HTTP 404: no model", False),
    ],
)
async def test_statuses(status: int, body: bytes, says: str, retryable: bool) -> None:
    error = await http.status_error(
        "x", response(body, status=status, retry_after="7"), within_ms=50
    )
    assert (str(error), error.retryable, error.status) == (f"x: {says}", retryable, status)


async def test_a_status_whose_explanation_never_comes() -> None:
    error = await http.status_error("x", response(None, status=500), within_ms=10)
    assert "Internal Server Error" in str(error)


async def test_a_body_is_bounded_in_size_and_time() -> None:
    assert await http.read_body(response(b"a", b"b"), "x", within_ms=50) == b"ab"
    with pytest.raises(ProviderError, match="more than 1 MB"):
        await http.read_body(response(*[b"x" * 65536] * 17), "x", within_ms=1000)
    with pytest.raises(ProviderError, match="no answer"):
        await http.read_body(response(None), "x", within_ms=10)


@pytest.mark.parametrize(
    ("error", "says", "retryable"),
    [
        (httpx.ConnectTimeout("t"), "does not answer", True),
        (httpx.ConnectError("refused"), "cannot be reached: refused", True),
        (httpx.ReadError(""), "broke: ReadError", True),
        (httpx.UnsupportedProtocol("ftp"), "is not an address", False),
        (httpx.StreamClosed(), "broke", True),
    ],
)
def test_transport_errors(error: Exception, says: str, retryable: bool) -> None:
    with pytest.raises(ProviderError, match=says) as caught, http.transport_errors("x", "it"):
        raise error
    assert caught.value.retryable == retryable


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8080/v1", True),
        ("http://127.0.0.2/v1", True),
        ("http://[::1]:1/v1", True),
        ("https://api.openai.com/v1", False),
        ("http://10.0.0.1", False),
        ("nonsense", False),
    ],
)
def test_loopback(url: str, expected: bool) -> None:
    assert http.is_loopback(url) is expected
