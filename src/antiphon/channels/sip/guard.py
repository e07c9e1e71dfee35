"""Who may call and sign in, and how often (brute force and floods cost little). Pure."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterable

MOST_WRONG = 10
WRONG_WINDOW_S = 60.0
MOST_HOSTS = 1_024


class Bucket:
    """So many a second; what was not used in one is left for the next.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, per_second: float, clock: Callable[[], float]) -> None:
        self._rate, self._clock = per_second, clock
        self._left, self._at = per_second, clock()

    def take(self) -> bool:
        """Whether one more is allowed; then it counts."""
        now_s = self._clock()
        self._left = min(self._rate, self._left + (now_s - self._at) * self._rate)
        self._at = now_s
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Peers:
    """Addresses and networks.

    Raises:
        ValueError: one of them is neither.
    """

    def __init__(self, named: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(one, strict=False) for one in named]

    def __contains__(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


class Failures:
    """Hosts that send wrong passwords. After `MOST_WRONG` in a minute a host is not listened to for
    the rest of it. The last `MOST_HOSTS` are remembered."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._hosts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def add(self, host: str) -> None:
        """One more."""
        since_s, count = self._hosts.pop(host, (self._clock(), 0))
        if self._clock() - since_s > WRONG_WINDOW_S:
            since_s, count = self._clock(), 0
        self._hosts[host] = (since_s, count + 1)
        while len(self._hosts) > MOST_HOSTS:
            self._hosts.popitem(last=False)

    def barred(self, host: str) -> bool:
        """Whether it has to wait."""
        since_s, count = self._hosts.get(host, (0.0, 0))
        return count >= MOST_WRONG and self._clock() - since_s <= WRONG_WINDOW_S
