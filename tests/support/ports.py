"""Ports for programs that have to be told theirs: free now, and none that the system gives away to
whoever asks for any port meanwhile (on Linux those from 32768 on)."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

LOW, HIGH = 20_000, 32_000


def free_ports(*hosts: str, count: int = 1) -> int:
    """The first of so many in a row, free on all these addresses, for UDP and TCP."""
    for _ in range(200):
        low = random.randrange(LOW, HIGH - count)
        if all(_free(host, port) for host in hosts for port in range(low, low + count)):
            return low
    raise AssertionError(f"no {count} free ports in a row")


def _free(host: str, port: int) -> bool:
    with ExitStack() as stack:
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                stack.enter_context(socket.socket(socket.AF_INET, kind)).bind((host, port))
        except OSError:
            return False
    return True
