"""What a worker is told, and what it says when it cannot run."""

from __future__ import annotations

import socket

from antiphon.server.slot import Slot, say_failure


def test_why_it_cannot_run_is_a_line_for_the_front() -> None:
    ours, theirs = socket.socketpair()
    say_failure(Slot(0, 1, theirs.detach(), -1, "", 0), "no voice is installed")
    with ours:
        assert ours.recv(4096) == b'{"failed": "no voice is installed"}\n'


def test_a_front_that_is_gone_is_told_nothing() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    say_failure(Slot(0, 1, theirs.detach(), -1, "", 0), "no voice is installed")
