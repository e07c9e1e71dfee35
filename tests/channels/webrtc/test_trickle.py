from __future__ import annotations

import random

import pytest

from antiphon.channels.webrtc.offer import MAX_CANDIDATES, BadOffer, is_usable
from antiphon.channels.webrtc.trickle import Trickle, Trickled

OFFER = "\r\n".join(
    (
        *("v=0", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=ice-ufrag:abcd"),
        *("a=candidate:1 1 udp 2122260223 10.0.0.9 50000 typ host", "a=mid:0"),
        *("m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=ice-ufrag:abcd", "a=mid:sound", ""),
    )
)
RELAY = "candidate:7 1 UDP 41885439 203.0.113.9 61000 typ relay raddr 0.0.0.0 rport 0 generation 0"


def host(number: int) -> Trickled:
    return Trickled(f"candidate:{number} 1 udp 2122260223 10.0.1.{number} 5000 typ host", "0")


def test_what_a_browser_sends() -> None:
    (taken,) = Trickle(OFFER).take([Trickled(RELAY, "0", 0, "abcd")])
    assert (taken.host, taken.port, taken.type) == ("203.0.113.9", 61000, "relay")
    assert (taken.component, taken.transport, taken.priority) == (1, "udp", 41885439)


def test_every_way_of_naming_a_line() -> None:
    trickle = Trickle(OFFER)
    assert len(trickle.take([Trickled(RELAY, "sound"), Trickled(RELAY, None, 1)])) == 2
    assert trickle.take([Trickled("", None), Trickled("", "0"), Trickled("", None, 0)]) == []


@pytest.mark.parametrize(
    "one", [Trickled(RELAY, "2"), Trickled(RELAY, None, 2), Trickled(RELAY), Trickled("", "x")]
)
def test_a_line_that_there_is_not(one: Trickled) -> None:
    with pytest.raises(BadOffer, match="sdpMid"):
        Trickle(OFFER).take([one])


def test_what_belongs_to_another_offer_is_left_out() -> None:
    assert Trickle(OFFER).take([Trickled(RELAY, "0", 0, "old1")]) == []


def test_no_more_than_so_many_with_those_of_the_offer() -> None:
    trickle = Trickle(OFFER)
    taken = trickle.take([host(n) for n in range(1, 20)])
    taken += trickle.take([host(n) for n in range(20, 60)])
    assert len(taken) == MAX_CANDIDATES - 1


@pytest.mark.parametrize(
    "line",
    [
        "candidate:1 1 udp 1 1234-5678.local 5000 typ host",
        "candidate:1 1 tcp 1 10.0.0.1 9 typ host tcptype active",
        "candidate:1 2 udp 1 10.0.0.1 5000 typ host",
        "candidate:1 1 udp 1 10.0.0.1 0 typ host",
        "candidate:1 1 udp 1 10.0.0.1 65536 typ host",
        "candidate:1 1 udp 0 10.0.0.1 5000 typ host",
        "candidate:1 1 udp 1 0.0.0.0 5000 typ host",
        "candidate:1 1 udp 1 127.0.0.1 5000 typ host",
        "candidate:1 1 udp 1 224.0.0.1 5000 typ host",
        "candidate:1 1 udp 1 255.255.255.255 5000 typ host",
        "candidate:1 1 udp 1 169.254.169.254 80 typ host",
        "candidate:1 1 udp 1 fe80::1 5000 typ host",
        "candidate:1 1 udp 1 fe80::1%eth0 5000 typ host",
        "candidate:1 1 udp 1 ff02::1 5000 typ host",
        "candidate:1 1 udp 1 10.0.0.1 \u0661\u0662 typ host",
        "candidate:1 1 udp 1 10.0.0.1 5000 host",
        "candidate:" + "1" * 600 + " 1 udp 1 10.0.0.1 5000 typ host",
        "candidate:1 1 udp 1 10.0.0.1 5000 typ host" + " x y" * 30,
        "nothing",
    ],
)
def test_what_is_of_no_use_is_left_out(line: str) -> None:
    assert not is_usable(line)
    assert Trickle(OFFER).take([Trickled(line, "0")]) == []


def test_garbage_never_raises_anything_else() -> None:
    rng = random.Random(3)
    trickle = Trickle(OFFER)
    for _ in range(500):
        text = list(RELAY)
        for _ in range(rng.randint(1, 6)):
            text[rng.randrange(len(text))] = chr(rng.choice((32, 48, 58, 0, 0x661, 0xFF11)))
        trickle.take([Trickled("".join(text), "0")])
