from __future__ import annotations

import ipaddress

import pytest

from antiphon.channels.webrtc import sockets
from antiphon.channels.webrtc.sockets import MOST_ADDRESSES, bind, local_addresses


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found = ["127.0.0.1", "10.0.0.5", "172.17.0.1", "::1", "fd00::5"]
    monkeypatch.setattr(sockets, "_all_addresses", lambda: iter(found))
    monkeypatch.setattr(sockets, "_addresses", sockets._Addresses())
    return found


def test_all_but_loopback(machine: list[str]) -> None:
    assert local_addresses((), 1.0) == ["10.0.0.5", "172.17.0.1", "fd00::5"]


def test_those_that_are_wanted(machine: list[str]) -> None:
    wanted = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1"))
    assert local_addresses(wanted, 1.0) == ["10.0.0.5", "::1"]


def test_another_network_is_noticed_in_a_while(machine: list[str]) -> None:
    local_addresses((), 1.0)
    machine[:] = ["192.0.2.9"]
    assert "10.0.0.5" in local_addresses((), 5.0)
    assert local_addresses((), 6.1) == ["192.0.2.9"]


def test_a_machine_of_many_containers(machine: list[str]) -> None:
    machine[:] = [f"172.18.{n}.1" for n in range(40)]
    assert len(local_addresses((), 1.0)) == MOST_ADDRESSES


def test_ports_of_a_range_and_no_others() -> None:
    with bind("127.0.0.1", None) or pytest.fail("no port at all") as probe:
        low = min(probe.getsockname()[1], 65_000)
    taken = []
    while (sock := bind("127.0.0.1", (low, low + 9))) is not None:
        taken.append(sock)
    ports = [sock.getsockname()[1] for sock in taken]
    for sock in taken:
        sock.close()
    assert len(set(ports)) == len(ports)
    assert 0 < len(ports) <= 10
    assert all(low <= port <= low + 9 for port in ports)
    again = bind("127.0.0.1", (low, low + 9))
    assert again is not None
    again.close()


def test_an_address_that_is_not_ours() -> None:
    assert bind("203.0.113.1", None) is None
