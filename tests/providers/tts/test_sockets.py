from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from tests.fakes.deepgram_tts import FakeDeepgramTts
from tests.providers.tts.speaking import until
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from antiphon.errors import ProviderError
from antiphon.providers.tts import sockets
from antiphon.providers.tts.sockets import Message, Sockets, Wire


class Plain(Wire):
    """Messages are for the lane that they name."""

    provider, lanes, confirms = "someone", 2, True

    def address(self, message: Message) -> str | None:
        return None if isinstance(message, bytes) else message.get("for")

    def ends(self, message: Message) -> bool:
        return not isinstance(message, bytes) and bool(message.get("end"))

    def cancel(self, lane: str) -> list[dict[str, Any]]:
        return [{"stop": lane}]


class Host:
    """A server that only listens, and says what it is told to say."""

    def __init__(self) -> None:
        self.peers: list[ServerConnection] = []
        self.heard: list[str] = []
        self.url = ""

    async def talk(self, peer: ServerConnection) -> None:
        self.peers.append(peer)
        with suppress(ConnectionClosed):
            async for message in peer:
                self.heard.append(str(message))


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    made = Host()
    async with serve(made.talk, "127.0.0.1", 0) as server:
        made.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        yield made


@pytest.fixture
async def pool(host: Host) -> AsyncIterator[Sockets]:
    made = Sockets(Plain(host.url, 1000))
    await made.start()
    yield made
    await made.aclose()


async def test_messages_find_their_lane(host: Host, pool: Sockets) -> None:
    one, two = await pool.lane(), await pool.lane()
    for name in (two.name, "nobody", one.name):
        await host.peers[0].send(f'{{"for": "{name}"}}')
    await host.peers[0].send('{"all": 1}')
    await host.peers[0].send('["not for anybody"]')
    for lane in (one, two):
        assert await lane.receive(None) == {"for": lane.name}
        assert await lane.receive(None) == {"all": 1}
    assert await one.receive(asyncio.get_running_loop().time() + 0.01) is None


async def test_a_cancelled_lane_keeps_its_place_until_it_is_over(host: Host, pool: Sockets) -> None:
    one, two = await pool.lane(), await pool.lane()
    await pool.leave(one, over=False)
    await until(lambda: host.heard == [f'{{"stop": "{one.name}"}}'])
    await until(lambda: len(host.peers) == 2)  # the other one is kept warm
    assert len(pool._links[0].lanes) == 2
    await host.peers[0].send(f'{{"for": "{one.name}", "end": true}}')
    await until(lambda: len(pool._links[0].lanes) == 1)
    await pool.leave(two, over=True)
    await pool.leave(two, over=True)
    assert not pool._links[0].lanes


async def test_a_socket_that_never_confirms_is_given_up(
    host: Host, pool: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "END_S", 0.02)
    first = pool._links[0]
    await pool.leave(await pool.lane(), over=False)
    await until(lambda: first not in pool._links)
    await until(lambda: len(pool._links) == 1)


async def test_a_dead_socket_is_found_out_when_it_is_used(
    host: Host, pool: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half open: nothing is refused, nothing is answered, not even a ping."""
    monkeypatch.setattr(sockets, "PROBE_AFTER_S", 0.0)
    monkeypatch.setattr(sockets, "PROBE_S", 0.05)
    host.peers[0].transport.pause_reading()
    lane = await pool.lane()
    with pytest.raises(ProviderError, match="the connection is dead") as caught:
        await lane.receive(asyncio.get_running_loop().time() + 20)
    assert caught.value.retryable
    assert lane.lost
    await until(lambda: len(host.peers) == 2)
    host.peers[0].transport.abort()


async def test_a_living_socket_passes_the_probe(
    host: Host, pool: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "PROBE_AFTER_S", 0.0)
    monkeypatch.setattr(sockets, "PROBE_S", 5.0)
    lane = await pool.lane()
    assert await lane.receive(asyncio.get_running_loop().time() + 0.1) is None
    assert not lane.lost


async def test_what_nobody_takes_is_bounded(
    host: Host, pool: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "MAX_INBOX_BYTES", 100)
    lane = await pool.lane()
    for _ in range(9):
        await host.peers[0].send(f'{{"for": "{lane.name}"}}')
    await asyncio.sleep(0.05)
    assert lane.size <= 100
    for _ in range(3):
        assert await lane.receive(None)
    with pytest.raises(ProviderError, match="more sound than anybody takes"):
        await lane.receive(None)


async def test_what_is_not_json_ends_the_socket(host: Host, pool: Sockets) -> None:
    lane = await pool.lane()
    await host.peers[0].send("{ this is none")
    with pytest.raises(ProviderError, match="what arrives is not JSON"):
        await lane.receive(None)
    await until(lambda: len(host.peers) == 2)


async def test_a_vendor_who_is_down_is_not_stormed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sockets, "_BACKOFF_S", (0.02, 30.0))
    async with FakeDeepgramTts() as fake:
        fake.faults.status = 503
        pool = Sockets(Plain(fake.ws_url + "/v1/speak", 1000))
        await pool.start()
        began_s = asyncio.get_running_loop().time()
        await until(lambda: len(fake.connections) >= 3)
        # Each wait is at least as long as the first.
        waited_s = asyncio.get_running_loop().time() - began_s
        assert len(fake.connections) <= 2 + waited_s / 0.02
        await pool.aclose()
        # A wrong key stays wrong.
        fake.connections.clear()
        fake.faults.status = 401
        with caplog.at_level(logging.WARNING):
            await pool.start()
            await asyncio.sleep(0.2)
        assert len(fake.connections) <= 2
        await pool.aclose()
    with pytest.raises(ProviderError, match="not started"):
        await pool.lane()


async def test_closing_leaves_no_task(host: Host) -> None:
    before = asyncio.all_tasks()
    for _ in range(3):
        pool = Sockets(Plain(host.url, 1000), warm=3)
        await pool.start()
        lane = await pool.lane()
        await pool.aclose()
        with pytest.raises(ProviderError):
            await lane.receive(None)
    await until(lambda: asyncio.all_tasks() <= before)
