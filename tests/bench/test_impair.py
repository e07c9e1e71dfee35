"""What a bad network does to packets, by the numbers, and the proxy that does it to real ones."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast

import pytest

from antiphon.bench.impair import (
    MOST_CALLERS,
    Fates,
    Impairment,
    Network,
    Proxy,
    is_media,
    moved,
    server_addresses,
    without_candidates,
)

RTP = bytes((0x80, 111)) + bytes(40)
RTCP = bytes((0x80, 200)) + bytes(40)
STUN = bytes((0x00, 0x01)) + bytes(40)
DTLS = bytes((22, 254)) + bytes(40)

SDP = """v=0\r
m=audio 5004 UDP/TLS/RTP/SAVPF 111\r
a=candidate:1 1 udp 2130706431 192.0.2.7 5004 typ host\r
a=candidate:2 1 udp 2130706431 fd00::2 5004 typ host\r
a=candidate:3 1 tcp 2130706431 192.0.2.7 5005 typ host tcptype passive\r
a=candidate:4 1 udp nonsense\r
a=end-of-candidates\r
"""


def arrivals(network: Network, count: int = 1000, seed: int = 0) -> list[float | None]:
    way = Impairment(network, seed)
    return [way.arrival(RTP, n * 0.02) for n in range(count)]


def lost(times: list[float | None]) -> int:
    return times.count(None)


def test_a_good_network_delivers_at_once() -> None:
    assert arrivals(Network()) == [n * 0.02 for n in range(1000)]


def test_the_same_seed_is_the_same_network() -> None:
    bad = Network(loss=0.1, burst=0.1, jitter_ms=30, reorder=0.1)
    assert arrivals(bad) == arrivals(bad)
    assert arrivals(bad) != arrivals(bad, seed=1)


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_the_share_that_is_lost(share: float) -> None:
    assert lost(arrivals(Network(loss=share), 20_000)) == pytest.approx(20_000 * share, rel=0.1)


def test_bursts_lose_as_much_in_a_row() -> None:
    times = arrivals(Network(burst=0.1, burst_packets=8), 50_000)
    assert lost(times) == pytest.approx(5_000, rel=0.2)
    bursts = sum(now is None and before is not None for before, now in pairwise(times))
    assert lost(times) / bursts == pytest.approx(8, rel=0.2)
    single = arrivals(Network(loss=0.1), 50_000)
    bursts = sum(now is None and before is not None for before, now in pairwise(single))
    assert lost(single) / bursts < 1.3


def test_jitter_keeps_the_order() -> None:
    times = [at for at in arrivals(Network(delay_ms=50, jitter_ms=60)) if at is not None]
    assert len(times) == 1000
    assert times == sorted(times)
    delays = [at - n * 0.02 for n, at in enumerate(times)]
    assert min(delays) >= 0.05
    assert 0.09 < max(delays) <= 0.11 + 1e-9


def test_reordering_lets_packets_be_overtaken() -> None:
    way = Impairment(Network(reorder=0.1, reorder_ms=50))
    times = [way.arrival(RTP, n * 0.02) for n in range(1000)]
    assert None not in times
    order = sorted(range(1000), key=lambda n: times[n] or 0.0)
    assert order != list(range(1000))
    assert 50 < way.fates.overtaken < 150
    assert max(abs(at - n) for at, n in enumerate(order)) <= 3


def test_an_outage_takes_everything() -> None:
    way = Impairment(Network(media_only=True))
    way.outage(1.0, 4.0)
    times = [way.arrival(packet, n * 0.02) for n in range(500) for packet in (RTP, STUN)]
    assert way.fates.lost_in_outages == lost(times) == 300
    assert times[98] == 0.98
    assert times[99] == 0.98
    assert times[100:400] == [None] * 300
    way.outage(20.0)
    assert way.arrival(RTP, 21.0) is None
    way.end_outage(21.5)
    assert way.arrival(RTP, 22.0) == 22.0


def test_only_media_where_that_is_wanted() -> None:
    assert [is_media(one) for one in (RTP, RTCP, STUN, DTLS, b"", b"\x80")] == [True] + [False] * 5
    way = Impairment(Network(loss=1.0, media_only=True))
    assert [way.arrival(one, 1.0) for one in (RTP, RTCP, STUN, DTLS)] == [None, 1.0, 1.0, 1.0]
    everything = Impairment(Network(loss=1.0))
    assert {everything.arrival(one, 1.0) for one in (RTP, RTCP, STUN, DTLS)} == {None}
    assert everything.fates == Fates(lost=4)


def test_more_loss_does_not_change_the_jitter() -> None:
    pairs = zip(
        arrivals(Network(jitter_ms=15)), arrivals(Network(jitter_ms=15, loss=0.5)), strict=True
    )
    assert all(a == b for a, b in pairs if b is not None)


def test_candidates() -> None:
    assert server_addresses(SDP) == [("192.0.2.7", 5004)]
    offer = without_candidates(SDP)
    assert "candidate" not in offer
    assert "m=audio" in offer
    answer = moved(SDP, {("192.0.2.7", 5004): ("127.0.0.1", 9)})
    assert [line for line in answer.splitlines() if "candidate:" in line] == [
        "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"
    ]


# ---- real packets --------------------------------------------------------------------------


class Socket(asyncio.DatagramProtocol):
    """Keeps what arrives; an echo answers it."""

    def __init__(self, echo: bool = False) -> None:
        self.got: asyncio.Queue[tuple[bytes, tuple[Any, ...]]] = asyncio.Queue()
        self.echo = echo

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.got.put_nowait((data, addr))
        if self.echo:
            self.transport.sendto(b"echo " + data, addr)


async def opened(echo: bool = False) -> Socket:
    loop = asyncio.get_running_loop()
    _, made = await loop.create_datagram_endpoint(lambda: Socket(echo), ("127.0.0.1", 0))
    return made


async def closed(*sockets: Socket) -> None:
    for one in sockets:
        one.transport.close()
    await asyncio.sleep(0)


async def through(proxy: Proxy, server: Socket) -> tuple[str, int]:
    host, port = server.transport.get_extra_info("sockname")
    answer = await proxy.answer(f"a=candidate:1 1 udp 1 {host} {port} typ host\r\n")
    return server_addresses(answer)[0]


async def received(socket: Socket) -> bytes:
    async with asyncio.timeout(20):
        return (await socket.got.get())[0]


async def test_packets_go_both_ways() -> None:
    server, one, two = await opened(echo=True), await opened(), await opened()
    proxy = Proxy(Network(delay_ms=1))
    place = await through(proxy, server)
    for caller, word in ((one, b"one"), (two, b"two")):
        caller.transport.sendto(word, place)
        assert await received(caller) == b"echo " + word
    assert server.got.get_nowait()[1] != server.got.get_nowait()[1], "callers are told apart"
    assert proxy.fates == Fates(passed=4)
    await proxy.aclose()
    await proxy.aclose()
    await closed(server, one, two)


async def test_an_outage_now() -> None:
    server, caller = await opened(), await opened()
    proxy = Proxy(Network())
    place = await through(proxy, server)
    caller.transport.sendto(b"before", place)
    assert await received(server) == b"before"
    proxy.outage(60)
    caller.transport.sendto(b"lost", place)
    async with asyncio.timeout(20):
        while not proxy.up.fates.lost_in_outages:  # noqa: ASYNC110 - packets have no event
            await asyncio.sleep(0.005)
    proxy.end_outage()
    caller.transport.sendto(b"after", place)
    assert await received(server) == b"after"
    await proxy.aclose()
    await closed(server, caller)


async def test_a_crowd_at_the_proxy_is_bounded() -> None:
    server = await opened()
    proxy = Proxy(Network())
    place = await through(proxy, server)
    crowd = [await opened() for _ in range(MOST_CALLERS + 3)]
    for caller in crowd:
        caller.transport.sendto(b"me", place)
    for _ in range(MOST_CALLERS):
        assert await received(server) == b"me"
    assert proxy.fates.strangers == 3
    await proxy.aclose()
    await closed(server, *crowd)
