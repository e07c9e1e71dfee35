"""Bytes that nobody would send, at the parser, at a user agent and at a whole call. Seeded, so that
what is found once is found again."""

from __future__ import annotations

import contextlib
import random

import pytest
from tests.channels.sip.test_torture import CASES
from tests.channels.sip.test_user_agent import OFFER, SDP, invite
from tests.support.sip_world import Person, World

from antiphon.channels.sip import sdp
from antiphon.channels.sip.digest import Doorkeeper, parse_params
from antiphon.channels.sip.framing import Framer
from antiphon.channels.sip.message import ParseError, parse
from antiphon.channels.sip.uri import AddressError, parse_address, parse_uri, parse_via
from antiphon.channels.sip.wire import Flow

SOURCE = Flow("udp", "192.0.2.9", 5070)
NASTY = (
    *(b"\r\n", b"\r\n\r\n", b"\x00", b"\xff\xfe", b'"', b"<", b">", b";", b",", b":", b"@", b"="),
    *(b" ", b"-1", b"0", b"4294967296", b"9" * 40, b"%00", b"[", b"]", b"[::1]", b"SIP/2.0"),
    b"z9hG4bK",
    *(b"sip:", b";tag=", b";rport", b"a" * 600, "é€😀".encode(), b"\xc3", b"Content-Length: 7\r\n"),
    *(b"m=audio 1 RTP/AVP 0\r\n", b"a=rtpmap:0 PCMU/8000\r\n", b"Require: x\r\n", b"*", b"\t"),
    *(b"Session-Expires: 90;refresher=uac\r\n", b"Route: <sip:x>\r\n", b"Via: SIP/2.0/UDP h\r\n"),
)  # fmt: skip


def mangled(data: bytes, chance: random.Random) -> bytes:
    """With some bytes changed, cut, doubled, or put in."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        at = chance.randrange(len(out) + 1)
        end = min(len(out), at + chance.choice((1, 1, 4, 30, 200)))
        match chance.randrange(6):
            case 0:
                out[at:end] = b""
            case 1:
                out[at:at] = chance.choice(NASTY)
            case 2:
                out[at:end] = chance.choice(NASTY)
            case 3:
                out[at:at] = out[at:end]
            case 4 if at < len(out):
                out[at] = chance.randrange(256)
            case 5:
                lines = bytes(out).split(b"\r\n")
                one, two = chance.randrange(len(lines)), chance.randrange(len(lines))
                lines[one], lines[two] = lines[two], lines[one]
                out = bytearray(b"\r\n".join(lines))
    return bytes(out)


CORPUS = [data for data, _ in CASES.values()] + [invite()]


@pytest.mark.parametrize("seed", range(4))
def test_the_readers_raise_only_what_they_say(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(1_500):
        data = mangled(chance.choice(CORPUS), chance)
        if chance.random() < 0.1:
            data = chance.randbytes(chance.randrange(300))
        with contextlib.suppress(ParseError):
            message = parse(data, stream=chance.random() < 0.2)
            assert message.via
            message.contact()
            with contextlib.suppress(ParseError):
                parse(bytes(message))
        text = data.decode("utf-8", "surrogateescape")[: chance.randrange(120)]
        for read in (parse_uri, parse_address, parse_via):
            with contextlib.suppress(AddressError):
                str(read(text))
        parse_params("Digest " + text)
        with contextlib.suppress(sdp.SdpError):
            found = sdp.parse_sdp(mangled(OFFER.encode(), chance))
            if found.audio >= 0:
                agreed = sdp.agree(found.media[found.audio], ("opus", "PCMU", "PCMA"))
                sdp.answer(found, agreed, sdp.Origin("192.0.2.1", 1), 4000)


@pytest.mark.parametrize("seed", range(4))
def test_a_user_agent_survives_and_forgets(seed: int) -> None:
    chance = random.Random(seed)
    world = World(seed)
    for number in range(2_000):
        data = chance.choice(CORPUS).replace(b"torture", b"torture%d" % number)
        world.b.agent.received(mangled(data, chance), SOURCE)
        if number % 50 == 0:
            world.run(chance.random() * 10)
    assert world.b.agent.counts.messages > 1_900
    for leg in list(world.b.agent.legs.values()):
        leg.hang_up("done")
    world.run(120)
    for leg in list(world.b.agent.legs.values()):
        leg.hang_up("done")
    world.run(120)
    assert world.is_clean()


@pytest.mark.parametrize("seed", range(4))
def test_a_call_survives_or_ends(seed: int) -> None:
    """What comes with the right tags gets further in."""
    chance = random.Random(seed)
    world = World(seed)
    for _ in range(25):
        caller, _ = world.a.dial(world.b)
        world.run(1)
        leg = caller.leg
        assert leg is not None
        for _ in range(60):
            method = chance.choice(
                ("INVITE", "UPDATE", "INFO", "NOTIFY", "OPTIONS", "ACK", "REFER")
            )
            request = leg.dialog.request(method, (("event", "refer"),))
            body = chance.choice((OFFER.encode(), b"SIP/2.0 200 OK", b"Signal=1", b""))
            kind = chance.choice((SDP[14:-2], "message/sipfrag", "application/dtmf-relay"))
            via = b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK%d\r\n" % chance.randrange(2**60)
            data = bytes(request.with_body(kind, body)).replace(b"\r\n", b"\r\n" + via, 1)
            flow = Flow("udp", "192.0.2.1", 5060)
            world.b.agent.received(mangled(data, chance) if chance.random() < 0.7 else data, flow)
            if chance.random() < 0.2:
                world.run(chance.random() * 3)
        for person in [caller, *world.b.porter.people]:
            assert isinstance(person, Person)
            if person.leg is not None:
                person.leg.hang_up("done")
        world.run(300)
        for person in world.b.porter.people:
            assert person.leg is not None
            assert person.leg.state == "over"
            assert sum(str(word).startswith("over") for word in person.told) == 1
    world.run(300)
    assert world.is_clean()


def test_streams_of_anything_are_cut_or_closed() -> None:
    chance = random.Random(7)
    closed = 0
    for _ in range(1_500):
        framer = Framer()
        data = b"".join(mangled(chance.choice(CORPUS), chance) for _ in range(3))
        try:
            while data:
                size = chance.choice((1, 7, 100, 2_000))
                for message in framer.push(data[:size]):
                    assert message
                data = data[size:]
        except ParseError:
            closed += 1
    assert 0 < closed < 1_500


def test_passwords_are_judged_whatever_is_said() -> None:
    chance = random.Random(3)
    doorkeeper = Doorkeeper("antiphon", {"bob": "secret"}, b"0" * 32)
    good = doorkeeper.challenges(1_000)[0] + ', username="bob", uri="sip:a", response="0", nc=1'
    for _ in range(2_000):
        value = mangled(good.encode(), chance).decode("utf-8", "surrogateescape")
        assert doorkeeper.judge([value], "INVITE", 1_000)[0] == "wrong"
