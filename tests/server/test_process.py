"""Opening a port, and being asked to stop. Signals are in test_run.py."""

from __future__ import annotations

import asyncio
import socket

import pytest

from antiphon.errors import UserFacingError
from antiphon.server.process import Stop, listen
from antiphon.server.settings import ServerSettings


async def test_the_second_signal_is_in_a_hurry() -> None:
    stop = Stop()
    stop.ask()
    assert (stop.asked.is_set(), stop.at_once.is_set()) == (True, False)
    stop.ask()
    assert stop.at_once.is_set()


async def test_an_order_and_the_signal_beside_it_are_one() -> None:
    """systemd sends SIGTERM to the front and to its workers, and the front tells them as well."""
    stop = Stop()
    stop.order(1)
    stop.ask()
    stop.order(1)
    assert not stop.at_once.is_set()
    stop.order(2)
    assert stop.at_once.is_set()


@pytest.mark.parametrize(
    ("host", "port", "why"),
    [
        ("no.such.host.invalid", 0, "There is no address"),
        ("203.0.113.7", 0, "not an address of this machine"),
    ],
)
def test_why_a_port_cannot_be_opened(host: str, port: int, why: str) -> None:
    with pytest.raises(UserFacingError, match=why):
        listen(ServerSettings(host=host, port=port))


async def test_a_port_is_open_before_anybody_listens() -> None:
    with listen(ServerSettings(port=0)) as listener:
        client = socket.create_connection(listener.getsockname())
        accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
        accepted.close()
        client.close()
