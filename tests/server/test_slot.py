"""What a worker is told, and what it says when it cannot run."""

from __future__ import annotations

import socket

import pytest

from antiphon.server.slot import Slot, say_failure


def test_why_it_cannot_run_is_a_line_for_the_front() -> None:
    ours, theirs = socket.socketpair()
    say_failure(Slot(0, 1, theirs.detach(), -1, "", 0), "no voice is installed")
    with ours:
        assert ours.recv(4096) == b'{"failed": "no voice is installed"}\n'


@pytest.mark.parametrize(
    ("calls", "shares"),
    [(10, [3, 3, 2, 2]), (8, [2, 2, 2, 2]), (4, [1, 1, 1, 1]), (7, [2, 2, 2, 1])],
)
def test_the_shares_of_all_workers_are_what_the_server_takes(calls: int, shares: list[int]) -> None:
    assert [Slot(number, 4, -1, -1, "", 0).share(calls) for number in range(4)] == shares
    assert sum(shares) == calls


def test_a_front_that_is_gone_is_told_nothing() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    say_failure(Slot(0, 1, theirs.detach(), -1, "", 0), "no voice is installed")
