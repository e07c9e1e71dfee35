"""A bad network between a caller and a server: what it does to packets, and a proxy that does it.

The proxy is spliced into a connection by its candidates: the caller's are taken out of the offer,
so that the server cannot go past it, and the addresses of the server's in the answer are replaced
by the proxy's. Nothing has to be allowed by the operating system for that. `Impairment` is pure;
only `Proxy` knows sockets and clocks.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from random import Random
from typing import Any, cast

MOST_WAITING = 20_000
"""Packets under way in one direction; more are lost, and counted as `overflow`."""
MOST_CALLERS = 64
"""Addresses from which a caller tries to get through; packets of others are lost."""
_RTCP_TYPES = range(192, 224)


def late_or_lost(rng: Random, loss: float, most_late_ms: float) -> float | None:
    """A delay up to so much, in ms; None for what is lost. Takes two draws in any case, so that one
    setting does not change what is drawn for the other."""
    lost, late = rng.random() < loss, rng.random()
    return None if lost else late * most_late_ms


@dataclass(frozen=True, slots=True)
class Network:
    """How bad one direction is.

    Attributes:
        loss: share of packets lost, each for itself.
        burst: share of packets lost in bursts of `burst_packets` on average (Gilbert's model: all
            packets of a burst are lost).
        delay_ms, jitter_ms: every packet takes the first and up to the second more, in order.
        reorder: share of packets that take `reorder_ms` more, and are overtaken.
        media_only: everything but RTP gets through untouched. A real network does not do that; it
            is for looking at the media alone.
    """

    loss: float = 0.0
    burst: float = 0.0
    burst_packets: float = 5.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    reorder: float = 0.0
    reorder_ms: float = 30.0
    media_only: bool = False


@dataclass(slots=True)
class Fates:
    """What became of packets."""

    passed: int = 0
    lost: int = 0
    lost_in_bursts: int = 0
    lost_in_outages: int = 0
    overtaken: int = 0
    overflow: int = 0
    strangers: int = 0

    def __add__(self, other: Fates) -> Fates:
        return Fates(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def is_media(datagram: bytes) -> bool:
    """Whether it is RTP (RFC 7983 section 7), and not RTCP (RFC 5761 section 4)."""
    return len(datagram) >= 12 and 128 <= datagram[0] <= 191 and datagram[1] not in _RTCP_TYPES


class Impairment:
    """One direction of one connection: when packets arrive.

    Args:
        network: how bad it is.
        seed: of all draws; the same seed and packets give the same fates.
    """

    def __init__(self, network: Network, seed: str | int = 0) -> None:
        self.network = network
        self.fates = Fates()
        self._rng = Random(f"network/{seed}")
        self._in_burst = False
        self._last_s = 0.0
        self._outages: list[tuple[float, float]] = []

    def outage(self, from_s: float, until_s: float = float("inf")) -> None:
        """Nothing gets through in that time."""
        self._outages.append((from_s, until_s))

    def end_outage(self, now_s: float) -> None:
        """It works again, whatever was said before."""
        self._outages = [one for one in self._outages if one[0] > now_s]

    def arrival(self, datagram: bytes, now_s: float) -> float | None:
        """When a packet that is sent now arrives; None for one that never does."""
        network, rng = self.network, self._rng
        burst = self._burst()
        late_ms = late_or_lost(rng, network.loss, network.jitter_ms)
        overtaken = rng.random() < network.reorder
        if any(begin <= now_s < end for begin, end in self._outages):
            self.fates.lost_in_outages += 1
            return None
        if network.media_only and not is_media(datagram):
            self.fates.passed += 1
            return now_s
        if burst or late_ms is None:
            self.fates.lost += 1
            self.fates.lost_in_bursts += burst
            return None
        self.fates.passed += 1
        at_s = max(now_s + (network.delay_ms + late_ms) / 1000, self._last_s)
        if overtaken:
            self.fates.overtaken += 1
            return at_s + network.reorder_ms / 1000
        self._last_s = at_s
        return at_s

    def _burst(self) -> bool:
        """Gilbert's two states: a packet draws whether the state changes."""
        share, draw = self.network.burst, self._rng.random()
        if not share:
            self._in_burst = False
        elif self._in_burst:
            self._in_burst = draw >= 1 / max(1.0, self.network.burst_packets)
        else:
            # So that the share of lost packets comes out as asked for.
            ends = 1 / max(1.0, self.network.burst_packets)
            self._in_burst = draw < ends * share / max(1e-9, 1 - share)
        return self._in_burst


# ---- candidates ----------------------------------------------------------------------------


def without_candidates(sdp: str) -> str:
    """An offer that does not say where the caller is: the server learns it from the caller's own
    checks (RFC 8445 section 7.3.1.3). Nor that there will be none, or ICE would give up at once."""
    lines = (
        one
        for one in sdp.splitlines()
        if not one.startswith(("a=candidate:", "a=end-of-candidates"))
    )
    return "\r\n".join(lines) + "\r\n"


def server_addresses(sdp: str) -> list[tuple[str, int]]:
    """Where an answer says that the server is: its UDP candidates by IPv4."""
    found: list[tuple[str, int]] = []
    for line in sdp.splitlines():
        address = _address(line)
        if address is not None and address not in found:
            found.append(address)
    return found


def moved(sdp: str, places: dict[tuple[str, int], tuple[str, int]]) -> str:
    """The answer with other addresses; candidates that are not among them are left out."""
    lines = []
    for line in sdp.splitlines():
        if line.startswith("a=candidate:"):
            place = places.get(_address(line) or ("", 0))
            if place is None:
                continue
            words = line.split()
            words[4:6] = place[0], str(place[1])
            line = " ".join(words)
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def _address(line: str) -> tuple[str, int] | None:
    """Of a candidate line (RFC 8839 section 5.1)."""
    words = line.split()
    if not line.startswith("a=candidate:") or len(words) < 8 or words[2].lower() != "udp":
        return None
    try:
        if ipaddress.ip_address(words[4]).version != 4:
            return None
        return words[4], int(words[5])
    except ValueError:
        return None


# ---- the proxy -----------------------------------------------------------------------------


class Proxy:
    """The way of one connection; a connection that replaces another needs a new one.

    Args:
        up: from the caller to the server.
        down: from the server to the caller; as `up` when absent.
        seed: of the draws, with the direction.
    """

    def __init__(self, up: Network, down: Network | None = None, seed: str | int = 0) -> None:
        self.up = Impairment(up, f"{seed}/up")
        self.down = Impairment(up if down is None else down, f"{seed}/down")
        self._loop = asyncio.get_running_loop()
        self._transports: list[asyncio.DatagramTransport] = []
        self._callers: dict[tuple[Any, ...], asyncio.DatagramTransport | None] = {}
        self._early: dict[tuple[Any, ...], deque[bytes]] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._closed = False

    @property
    def fates(self) -> Fates:
        return self.up.fates + self.down.fates

    @staticmethod
    def offer(sdp: str) -> str:
        """The caller's offer as the server should get it."""
        return without_candidates(sdp)

    async def answer(self, sdp: str) -> str:
        """The server's answer as the caller should get it."""
        places = {}
        for server in server_addresses(sdp):
            front = await self._listen(server)
            places[server] = cast("tuple[str, int]", front.get_extra_info("sockname")[:2])
        return moved(sdp, places)

    def outage(self, seconds: float) -> None:
        """Nothing gets through from now on, for so long, in both directions."""
        now_s = self._loop.time()
        for way in (self.up, self.down):
            way.outage(now_s, now_s + seconds)

    def end_outage(self) -> None:
        for way in (self.up, self.down):
            way.end_outage(self._loop.time())

    async def aclose(self) -> None:
        """Idempotent."""
        self._closed = True
        if self._opening:
            # They only open a socket.
            await asyncio.wait(set(self._opening), timeout=1.0)
        for transport in self._transports:
            transport.close()
        # A transport closes its socket in the next turn of the loop.
        await asyncio.sleep(0)

    # ---- packets -----------------------------------------------------------------------------

    async def _listen(self, server: tuple[str, int]) -> asyncio.DatagramTransport:
        end = _End()
        transport, _ = await self._loop.create_datagram_endpoint(
            lambda: end, local_addr=(server[0], 0)
        )
        end.take = lambda data, caller: self._from_caller(data, caller, server, transport)
        self._transports.append(transport)
        return transport

    def _from_caller(
        self,
        data: bytes,
        caller: tuple[Any, ...],
        server: tuple[str, int],
        front: asyncio.DatagramTransport,
    ) -> None:
        # A caller who tries from several addresses is told apart by the server as well.
        key = (*server, *caller)
        if key not in self._callers:
            if len(self._callers) >= MOST_CALLERS or self._closed:
                self.up.fates.strangers += 1
                return
            self._callers[key] = None
            self._early[key] = deque(maxlen=64)
            task = self._loop.create_task(self._open(key, server, caller, front))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        back = self._callers[key]
        if back is None:
            self._early[key].append(data)
        else:
            self._carry(self.up, data, back, server)

    async def _open(
        self,
        key: tuple[Any, ...],
        server: tuple[str, int],
        caller: tuple[Any, ...],
        front: asyncio.DatagramTransport,
    ) -> None:
        end = _End()
        end.take = lambda data, _: self._carry(self.down, data, front, caller)
        transport, _ = await self._loop.create_datagram_endpoint(
            lambda: end, local_addr=(server[0], 0)
        )
        self._transports.append(transport)
        self._callers[key] = transport
        for data in self._early.pop(key):
            self._carry(self.up, data, transport, server)

    def _carry(
        self,
        way: Impairment,
        data: bytes,
        by: asyncio.DatagramTransport,
        to: tuple[Any, ...],
    ) -> None:
        now_s = self._loop.time()
        at_s = way.arrival(data, now_s)
        if at_s is None:
            return
        if at_s <= now_s:
            self._send(data, by, to)
        elif self._waiting < MOST_WAITING:
            self._waiting += 1
            self._loop.call_at(at_s, self._send_late, data, by, to)
        else:
            way.fates.overflow += 1

    def _send_late(self, data: bytes, by: asyncio.DatagramTransport, to: tuple[Any, ...]) -> None:
        self._waiting -= 1
        self._send(data, by, to)

    def _send(self, data: bytes, by: asyncio.DatagramTransport, to: tuple[Any, ...]) -> None:
        if not by.is_closing():
            by.sendto(data, to)


class _End(asyncio.DatagramProtocol):
    """One socket."""

    def __init__(self) -> None:
        self.take: Callable[[bytes, tuple[Any, ...]], None] = lambda data, address: None

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.take(data, addr)

    def error_received(self, exc: Exception) -> None:
        """Whoever is gone does not get the packet; that is what networks are like."""
