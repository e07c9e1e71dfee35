"""Whose packets are believed."""

from __future__ import annotations

from antiphon.channels.rtp.packet import RtpPacket
from antiphon.channels.rtp.source import LEAST_PACKETS, MOST_CHANGES, SILENT_S, Address, Source

NAMED = ("192.0.2.1", 4000)
NAT = ("198.51.100.7", 61_000)
OTHER = ("203.0.113.9", 5000)


def packet(number: int, ssrc: int = 7, kind: int = 0) -> RtpPacket:
    return RtpPacket(kind, number, number * 160, ssrc, b"x")


class Line:
    def __init__(self) -> None:
        self.source = Source(NAMED)
        self.now_s = 0.0

    def come(self, source: Address, *packets: RtpPacket) -> int:
        """How many are believed."""
        count = 0
        for one in packets:
            self.now_s += 0.02
            count += len(self.source.admit(one, source, {0, 101}, self.now_s))
        return count


def run(first: int, count: int, ssrc: int = 7) -> list[RtpPacket]:
    return [packet(number, ssrc) for number in range(first, first + count)]


def test_the_named_address_is_believed_at_once() -> None:
    line = Line()
    assert line.source.address == NAMED
    assert line.come(NAMED, packet(1)) == 1
    assert line.source.address == NAMED


def test_an_address_behind_a_nat_is_learned_and_nothing_is_lost() -> None:
    line = Line()
    assert [line.come(NAT, one) for one in run(1, LEAST_PACKETS)] == [0, 0, 0, LEAST_PACKETS]
    assert line.source.address == NAT
    assert line.source.is_peer(NAT[0])
    assert line.source.is_peer(NAMED[0])
    assert not line.source.is_peer(OTHER[0])


def test_strangers_are_dropped_while_the_peer_sends() -> None:
    line = Line()
    for number in range(50):
        assert line.come(NAMED, packet(number)) == 1
        assert line.come(OTHER, packet(number, ssrc=9)) == 0
    assert line.source.address == NAMED


def test_the_named_address_comes_before_a_stranger_who_was_first() -> None:
    line = Line()
    assert line.come(OTHER, *run(1, 10, ssrc=9)) == 10
    assert line.come(NAMED, packet(1)) == 1
    assert line.come(OTHER, *run(11, 10, ssrc=9)) == 0


def test_noise_is_no_stream() -> None:
    line = Line()
    assert line.come(OTHER, *(packet(n * 7) for n in range(50))) == 0
    assert line.come(OTHER, *(packet(n, ssrc=n) for n in range(50))) == 0
    assert line.come(OTHER, *(packet(n, kind=77) for n in range(50))) == 0


def test_the_same_stream_from_another_port() -> None:
    line = Line()
    line.come(NAMED, *run(1, 5))
    moved = (NAMED[0], 4242)
    assert line.come(moved, *run(6, 5)) == 5
    assert line.source.address == moved


def test_somebody_else_goes_on_after_a_silence() -> None:
    line = Line()
    line.come(NAMED, *run(1, 5))
    line.now_s += SILENT_S
    assert line.come(OTHER, *run(1, 10, ssrc=9)) == 10
    assert line.source.address == OTHER


def test_addresses_change_only_so_often() -> None:
    line = Line()
    line.come(NAMED, *run(1, 5))
    believed = [line.come((NAT[0], 1000 + n), packet(6 + n)) for n in range(20)]
    assert sum(believed) == MOST_CHANGES - 1
    line.source.change(OTHER)
    assert line.source.address == OTHER
    assert line.come(OTHER, packet(1)) == 1


def test_the_same_address_named_again_changes_nothing() -> None:
    line = Line()
    line.come(NAT, *run(1, 5))
    line.source.change(NAMED)
    assert line.source.address == NAT
