"""What broken messages have broken once (bench/fuzz_phone.py)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from antiphon.channels.sip.message import ParseError, Request, parse
from antiphon.channels.sip.transaction import stamped
from antiphon.channels.sip.uri import parse_via
from antiphon.channels.sip.wire import Flow

BENCH = Path(__file__).parents[3] / "bench"
HEAD = (
    "{start}\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1{more};rport\r\nMax-Forwards: 70\r\n"
    "From: <sip:ann@192.0.2.9>;tag=f1\r\nTo: <sip:agent@192.0.2.1>{tag}\r\nCall-ID: c1@a\r\n"
    "CSeq: 1 {method}\r\nContact: <sip:ann@192.0.2.9>\r\nContent-Length: 0\r\n\r\n"
)
FLOW = Flow("udp", "192.0.2.9", 5060)


def message(method: str, tag: str = "", more: str = "") -> bytes:
    start = f"{method} sip:agent@192.0.2.1 SIP/2.0"
    return HEAD.format(start=start, method=method, tag=tag, more=more).encode()


def test_a_via_has_room_for_what_is_added_on_the_way() -> None:
    request = parse(message("OPTIONS", more=";x" * 60))
    assert isinstance(request, Request)
    made = stamped(request, Flow("udp", "192.0.2.77", 5061))
    assert parse_via(made.get("via")).param("received") == "192.0.2.77"
    with pytest.raises(ParseError):
        parse(message("OPTIONS", more=";x" * 62))


def test_an_ack_before_the_answer_does_not_take_the_call_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    import importlib

    target = importlib.import_module("fuzz_sip").SipTarget(random.Random(1))
    agent = target._agent
    agent.received(message("INVITE"), FLOW)
    while not agent.legs:  # one in twenty is not let in
        agent.received(message("INVITE", more=f";n={random.random()}"), FLOW)
    [leg] = agent.legs.values()
    agent.received(message("ACK", tag=f";tag={leg.dialog.local.tag}"), FLOW)
    leg.hang_up("done")
    assert leg.state == "over"
    assert not agent.legs
