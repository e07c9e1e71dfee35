"""Telephone events: the examples of RFC 4733, and what lines and peers do to them."""

from __future__ import annotations

import itertools
import random

import pytest

from antiphon.channels.rtp.keys import KEYS, MOST_WAITING, KeyReceiver, KeySender
from antiphon.channels.rtp.packet import RtpPacket


def event(
    key: str, timestamp: int, duration: int, *, end: bool = False, marker: bool = False
) -> RtpPacket:
    payload = bytes([KEYS.index(key), 10 | (0x80 if end else 0)]) + duration.to_bytes(2, "big")
    return RtpPacket(101, 0, timestamp, 7, payload, marker)


def press(key: str, timestamp: int) -> list[RtpPacket]:
    """As a sender makes it: 100 ms, the end three times."""
    updates = [event(key, timestamp, 160 * n, marker=n == 1) for n in range(1, 5)]
    return updates + [event(key, timestamp, 800, end=True)] * 3


def received(packets: list[RtpPacket]) -> str:
    keys = KeyReceiver()
    return "".join(keys.push(packet) or "" for packet in packets)


def test_a_key_is_told_at_its_first_packet_and_once() -> None:
    keys = KeyReceiver()
    assert [keys.push(packet) for packet in press("5", 1000)] == ["5"] + [None] * 6


def test_every_key() -> None:
    packets = [press(key, 1280 * n) for n, key in enumerate(KEYS)]
    assert received(list(itertools.chain(*packets))) == KEYS


def test_any_one_packet_is_enough() -> None:
    packets = press("1", 1000) + press("1", 2280)
    for first in range(7):
        for second in range(7):
            assert received([packets[first], packets[7 + second]]) == "11"


def test_late_packets_of_the_key_before() -> None:
    first, second = press("1", 1000), press("2", 2280)
    assert received([*first[:3], *second[:2], *first[3:], *second[2:]]) == "12"


def test_a_key_held_longer_than_a_duration_has_room() -> None:
    first = [event("9", 0, n, marker=n == 160) for n in range(160, 0xFFFF, 160)]
    first.append(event("9", 0, 0xFFFF))
    second = [event("9", 0xFFFF, n) for n in range(160, 800, 160)]
    assert received([*first, *second, event("9", 0xFFFF, 800, end=True)]) == "9"


def test_a_sender_that_moves_its_timestamps() -> None:
    packets = [event("3", 160 * n, 160 * (n + 1), marker=n == 0) for n in range(6)]
    assert received(packets) == "3"


def test_timestamps_that_begin_anew() -> None:
    assert received(press("1", 0xFFFFFF00) + press("1", 1024)) == "11"


def test_another_stream_with_older_timestamps() -> None:
    packets = press("1", 500_000)
    other = RtpPacket(101, 0, 100, 8, packets[0].payload)
    assert received([*packets, other]) == "11"


def test_what_is_no_key_is_nothing() -> None:
    flash = RtpPacket(101, 0, 0, 7, bytes([16, 10, 0, 160]))
    short = RtpPacket(101, 0, 0, 7, b"\x01\x0a\x00")
    assert received([flash, short]) == ""


def test_keys_as_they_are_sent() -> None:
    sender = KeySender()
    assert sender.press("7w#") == 0
    sent = []
    timestamp = 5000
    while sender.busy:
        sent.append(sender.step(timestamp, 160))
        timestamp += 160
    first = [(one.payload.hex(" "), one.timestamp, one.marker) for one in sent[:7] if one]
    assert first == [
        ("07 0a 00 a0", 5000, True),
        ("07 0a 01 40", 5000, False),
        ("07 0a 01 e0", 5000, False),
        ("07 0a 02 80", 5000, False),
        ("07 8a 03 20", 5000, False),
        ("07 8a 03 20", 5000, False),
        ("07 8a 03 20", 5000, False),
    ]
    # 160 ms of the key and the gap, then half a second.
    assert sent[7:33] == [None] * 26
    last = sent[33]
    assert last is not None
    assert (last.payload[0], last.timestamp, last.marker) == (11, 5000 + 33 * 160, True)
    assert len(sent) == 8 + 25 + 8


def test_too_many_keys_are_left_out() -> None:
    sender = KeySender()
    assert sender.press("1" * (MOST_WAITING + 5) + "x y") == 5
    assert sender.press("2") == 1
    sender.clear()
    assert not sender.busy


@pytest.mark.parametrize("seed", range(20))
def test_keys_arrive_over_a_bad_line(seed: int) -> None:
    draw = random.Random(seed)
    wanted = "".join(draw.choices(KEYS, k=30))
    sender, keys, heard, timestamp = KeySender(), KeyReceiver(), "", draw.getrandbits(32)
    sender.press(wanted)
    lost_in_a_row = 0
    while sender.busy:
        packet = sender.step(timestamp, 160)
        timestamp = (timestamp + 160) % (1 << 32)
        if packet is None:
            continue
        if draw.random() < 0.4 and lost_in_a_row < 5:
            lost_in_a_row += 1
            continue
        lost_in_a_row = 0
        for _ in range(draw.choice((1, 1, 2))):
            heard += (
                keys.push(RtpPacket(101, 0, packet.timestamp, 7, packet.payload, packet.marker))
                or ""
            )
    assert heard == wanted
