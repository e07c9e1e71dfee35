"""Which worker a process is: what the front tells it on its command line."""

from __future__ import annotations

import contextlib
import json
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slot:
    """One of the workers of a server."""

    number: int
    """Counted from 0."""
    count: int
    control_fd: int
    """A socket over which it and the front tell each other how they are."""
    door_fd: int
    """A socket over which it gets its connections."""
    folder: str
    """Where the sockets between workers are."""
    port: int
    """The server's."""

    def share(self, calls: int) -> int:
        """Of so many calls that the server takes, this worker's; all shares together are that many.
        Worker 0, which takes all SIP calls, is among those that get one more."""
        whole, rest = divmod(calls, self.count)
        return whole + (self.number < rest)


def say_failure(slot: Slot, message: str) -> None:
    """Tell the front why this worker cannot run; blocks for a moment."""
    with contextlib.suppress(OSError), socket.socket(fileno=slot.control_fd) as control:
        control.setblocking(True)
        control.settimeout(1.0)
        control.sendall(json.dumps({"failed": message[:4000]}).encode() + b"\n")
