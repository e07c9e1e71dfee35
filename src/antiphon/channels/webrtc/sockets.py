"""The UDP sockets of calls: on which of this machine's addresses, and on which ports."""

from __future__ import annotations

import ipaddress
import random
import socket
from collections.abc import Iterable, Iterator

import ifaddr

from antiphon.channels.webrtc.config import Network

MOST_ADDRESSES = 8
"""A machine with many containers has an address for each of their bridges."""
MOST_TRIES = 256
"""Ports of a range that are tried, from a random one on."""
ADDRESSES_KEPT_S = 5.0


def bind(address: str, ports: tuple[int, int] | None) -> socket.socket | None:
    """A UDP socket on a free port, of a range or any; None when there is none."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM)
    except OSError:
        return None
    sock.setblocking(False)
    for port in _ports(ports):
        try:
            sock.bind((address, port))
        except OSError:
            continue
        return sock
    sock.close()
    return None


def _ports(ports: tuple[int, int] | None) -> Iterable[int]:
    if ports is None:
        return (0,)
    low, count = ports[0], ports[1] - ports[0] + 1
    start = random.randrange(count)
    return (low + (start + n) % count for n in range(min(count, MOST_TRIES)))


class _Addresses:
    """The addresses of this machine, looked up every few seconds at most."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._until_s = 0.0

    def get(self, now_s: float) -> list[str]:
        if now_s >= self._until_s:
            self._until_s = now_s + ADDRESSES_KEPT_S
            self._found = list(_all_addresses())
        return self._found


_addresses = _Addresses()


def local_addresses(networks: tuple[Network, ...], now_s: float) -> list[str]:
    """The addresses that calls may use; at most `MOST_ADDRESSES`, loopback only if a network names
    it. `now_s` is any clock that goes on."""
    found = []
    for text in _addresses.get(now_s):
        address = ipaddress.ip_address(text)
        if networks:
            wanted = any(address in network for network in networks)
        else:
            wanted = not address.is_loopback
        if wanted:
            found.append(text)
    return found[:MOST_ADDRESSES]


def _all_addresses() -> Iterator[str]:
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            if isinstance(ip.ip, str):
                yield ip.ip
            elif ip.ip[2] == 0:
                # Others are of one link only, and cannot be used without its name.
                yield ip.ip[0]
