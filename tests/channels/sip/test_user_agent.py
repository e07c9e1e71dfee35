"""Whole calls between two user agents, on a network that loses messages."""

from __future__ import annotations

import pytest
from tests.support.sip_world import Person, Porter, World

from antiphon.channels.sip.digest import Credentials
from antiphon.channels.sip.leg_audio import LegAudio
from antiphon.channels.sip.message import Request, parse
from antiphon.channels.sip.user_agent import Admission, Options, Refusal
from antiphon.channels.sip.wire import Flow

INVITE = (
    "INVITE sip:agent@192.0.2.2 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKone;rport\r\n"
    "From: <sip:bob@192.0.2.9>;tag=9\r\n"
    "To: <sip:agent@192.0.2.2>\r\n"
    "Call-ID: one@192.0.2.9\r\n"
    "CSeq: 1 INVITE\r\n"
    "Contact: <sip:bob@192.0.2.9>\r\n"
    "Max-Forwards: 70\r\n"
    "{extra}"
    "\r\n"
    "{body}"
)
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)
SDP = "Content-Type: application/sdp\r\n"
FROM_9 = Flow("udp", "192.0.2.9", 5070)


def invite(extra: str = SDP, body: str = OFFER) -> bytes:
    return INVITE.format(extra=extra, body=body).encode()


def connected(world: World) -> tuple[Person, Person]:
    caller, _ = world.a.dial(world.b)
    world.run(1)
    return caller, world.b.porter.people[0]


def statuses(world: World) -> list[int]:
    return [one.status for one in world.responses()]


# ---- calls ---------------------------------------------------------------------------------


def test_a_call_is_answered_and_ended_by_the_caller() -> None:
    world = World()
    caller, callee = connected(world)
    assert caller.told == [180, "up"]
    assert callee.told == ["up"]
    assert caller.leg is not None
    caller.leg.hang_up("done")
    world.run(60)
    assert callee.told == ["up", "over: caller hung up"]
    assert caller.told[-1] == "over: done"
    assert world.log == ["1:INVITE", "2:100", "2:180", "2:200", "1:ACK", "1:BYE", "2:200"]
    assert world.is_clean()


def test_a_call_is_ended_by_who_was_called() -> None:
    world = World(transport="tcp")
    caller, callee = connected(world)
    assert callee.leg is not None
    callee.leg.hang_up("done")
    world.run(60)
    assert caller.told[-1] == "over: caller hung up"
    assert world.is_clean()


def test_both_sides_agree_on_the_audio() -> None:
    caller, callee = connected(World())
    assert caller.agreed is not None
    assert callee.agreed is not None
    assert callee.agreed.remote == ("192.0.2.1", 30_000)
    assert caller.agreed.remote == ("192.0.2.2", 20_000)
    assert caller.agreed.codec.name == callee.agreed.codec.name == "opus"
    assert caller.agreed.keys_type == callee.agreed.keys_type == 110


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_third_of_all_messages_may_be_lost(seed: int, transport: str) -> None:
    world = World(seed)
    world.loss = 0.33
    caller, _ = world.a.dial(world.b)
    world.run(40)
    if caller.leg is not None:
        caller.leg.hang_up("done")
    world.loss = 0.0
    world.run(80)
    for person in (caller, *world.b.porter.people):
        assert person.told
        assert str(person.told[-1]).startswith(("over", "failed"))
    assert world.is_clean()


def test_the_200_is_repeated_until_it_is_acknowledged() -> None:
    world = World()
    world.drop = lambda data: data.startswith(b"ACK") and world.now_s < 1003
    _caller, _callee = connected(world)
    world.run(5)
    # After 0.5, 1 and 2 s more, and each is acknowledged again.
    assert world.log.count("2:200") == 4
    assert world.log.count("1:ACK") == 4
    assert world.b.porter.people[0].told == ["up"]


def test_without_an_ack_the_call_is_ended() -> None:
    world = World()
    world.drop = lambda data: data.startswith(b"ACK")
    connected(world)
    world.run(31)
    assert world.b.porter.people[0].told == []
    world.run(5)
    assert world.b.porter.people[0].told == ["over: connection lost"]
    assert "2:BYE" in world.log


def test_a_call_can_be_taken_back() -> None:
    world = World()
    world.b.porter.answers = False
    caller, dialing = world.a.dial(world.b)
    world.run(3)
    dialing.cancel()
    world.run(60)
    assert caller.told == [180, "failed 487"]
    assert world.b.porter.people[0].told == ["over: caller hung up"]
    assert world.log[3:] == ["1:CANCEL", "2:200", "2:487", "1:ACK"]
    assert world.is_clean()


def test_an_answer_that_crosses_the_cancel_is_ended() -> None:
    world = World()
    world.b.porter.answers = False
    caller, dialing = world.a.dial(world.b)
    world.run(3)
    leg = world.b.porter.people[0].leg
    assert leg is not None
    leg.accept("192.0.2.2", 20_000)
    dialing.cancel()
    world.run(80)
    assert caller.told == [180, "failed 487"]
    assert world.b.porter.people[0].told[-1] == "over: caller hung up"
    assert world.is_clean()


def test_nobody_there() -> None:
    world = World()
    world.drop = lambda data: True
    caller, _ = world.a.dial(world.b)
    world.run(33)
    assert caller.told == ["failed 408"]
    # Sent at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s.
    assert world.log == ["1:INVITE"] * 7
    assert world.is_clean()


def test_a_call_may_be_refused() -> None:
    world = World()
    world.b.porter.answers = False
    caller, _ = world.a.dial(world.b)
    world.run(1)
    leg = world.b.porter.people[0].leg
    assert leg is not None
    leg.refuse(486)
    world.run(60)
    assert caller.told == [180, "failed 486"]
    assert world.is_clean()


def test_holding_and_coming_back() -> None:
    world = World()
    caller, callee = connected(world)
    assert caller.leg is not None
    caller.leg.hold(True, lambda _: None)
    world.run(1)
    assert callee.told[-1] == "held"
    assert callee.agreed is not None
    # They want to hear nothing, but may play music.
    assert callee.agreed.receives
    caller.leg.hold(False, lambda _: None)
    world.run(60)
    assert callee.told[2:] == ["changed"]
    assert callee.agreed.sends
    assert callee.agreed.receives


def test_a_change_waits_for_the_one_before() -> None:
    world = World()
    caller, callee = connected(world)
    assert caller.leg is not None
    done: list[object] = []
    caller.leg.hold(True, done.append)
    caller.leg.hold(False, done.append)
    world.run(5)
    assert len(done) == 2
    assert None not in done
    assert callee.agreed is not None
    assert callee.agreed.sends


def test_both_change_at_once() -> None:
    world = World()
    caller, callee = connected(world)
    assert caller.leg is not None
    assert callee.leg is not None
    done: list[object] = []
    caller.leg.hold(True, done.append)
    callee.leg.hold(True, done.append)
    world.run(60)
    assert "1:491" in world.log
    assert "2:491" in world.log
    assert len(done) == 2
    assert world.a.agent.legs


def test_a_call_is_refreshed_and_dies_with_its_other_end() -> None:
    world = World()
    caller, _callee = connected(world)
    world.run(901)
    assert world.log[-2:] == ["1:UPDATE", "2:200"]
    world.drop = lambda data: True
    world.run(1_801)
    assert str(caller.told[-1]).startswith("over")
    assert str(world.b.porter.people[0].told[-1]).startswith("over")
    world.run(60)
    assert world.is_clean()


# ---- what is answered how ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (("CSeq: 1 INVITE", "CSeq: 1 INVITE\r\nRequire: 100rel"), 420),
        (("sip:agent@192.0.2.2 SIP", "http://agent SIP"), 416),
        (("application/sdp", "text/plain"), 415),
        (("a=rtpmap:101", "a=x:101"), 200),
        (("RTP/AVP 0", "RTP/AVP 3"), 488),
        (("RTP/AVP 0", "RTP/SAVP 0"), 488),
        (("Contact: <sip:bob@192.0.2.9>\r\n", ""), 400),
        (("m=audio", "m=video"), 488),
        (("v=0", "v=9"), 400),
        (("CSeq: 1 INVITE", "CSeq: 1 INVITE\r\nSession-Expires: 10\r\nSupported: timer"), 422),
        (("CSeq: 1 INVITE", "CSeq: 1 INVITE\r\nContent-Encoding: gzip"), 415),
    ],
)
def test_what_is_wrong_with_an_invite(change: tuple[str, str], status: int) -> None:
    world = World()
    world.b.agent.received(invite().decode().replace(*change).encode(), FROM_9)
    assert statuses(world)[-1] == status


@pytest.mark.parametrize(
    ("method", "status"),
    [("OPTIONS", 200), ("MESSAGE", 405), ("PUBLISH", 405), ("BYE", 481), ("x-%!", 405)],
)
def test_what_other_requests_are_answered(method: str, status: int) -> None:
    world = World()
    data = invite("", "").decode().replace("INVITE", method)
    world.b.agent.received(data.encode(), FROM_9)
    assert statuses(world) == [status]
    assert ("Allow:" in world.sent[-1][0].decode()) == (status in (200, 405))
    assert world.is_clean()


def test_a_response_goes_where_the_request_came_from() -> None:
    world = World()
    world.b.agent.received(invite("", "").replace(b"INVITE", b"OPTIONS"), FROM_9)
    data, flow = world.sent[-1]
    assert flow == FROM_9
    assert b"received=192.0.2.9;rport=5070" in data or b"rport=5070" in data
    world.b.agent.received(
        invite("", "").replace(b"INVITE", b"OPTIONS").replace(b";rport", b""), FROM_9
    )
    assert world.sent[-1][1] == Flow("udp", "192.0.2.9", 5060)


def test_an_invite_that_comes_twice_is_one_call() -> None:
    world = World()
    for _ in range(3):
        world.b.agent.received(invite(), FROM_9)
    assert len(world.b.porter.people) == 1
    assert statuses(world) == [100, 180, 200, 200, 200]


def test_an_invite_that_comes_by_two_ways_is_one_call() -> None:
    world = World()
    world.b.agent.received(invite(), FROM_9)
    world.b.agent.received(invite().replace(b"z9hG4bKone", b"z9hG4bKtwo"), FROM_9)
    assert len(world.b.porter.people) == 1
    assert statuses(world)[-1] == 482


def test_old_requests_are_not_taken() -> None:
    world = World()
    caller, _ = connected(world)
    assert caller.leg is not None
    dialog = caller.leg.dialog
    dialog.local_seq -= 5
    caller.leg.send("INFO")
    world.run(1)
    assert world.log[-1] == "2:500"


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n", "key 5"),
        ("application/dtmf-relay", b"Signal= #\r\nDuration= 160\r\n", "key #"),
        ("application/dtmf-relay", b"Signal=10\r\n", "key *"),
        ("application/dtmf", b"7", "key 7"),
        ("application/dtmf-relay", b"Signal=A", "up"),
        ("application/x", b"1", "up"),
    ],
)
def test_keys_in_an_info(kind: str, body: bytes, told: str) -> None:
    world = World()
    caller, callee = connected(world)
    assert caller.leg is not None
    caller.leg.send("INFO", body=(kind, body))
    world.run(1)
    assert callee.told[-1] == told


def test_requests_of_strangers_to_a_call_are_not_taken() -> None:
    world = World()
    caller, callee = connected(world)
    assert caller.leg is not None
    bye = caller.leg.dialog.request("BYE")
    forged = bytes(bye).replace(caller.leg.dialog.local.tag.encode(), b"guess")
    data = forged.replace(b"Max-Forwards", b"Via: SIP/2.0/UDP 192.0.2.9;branch=z9\r\nMax-Forwards")
    world.b.agent.received(data, FROM_9)
    assert statuses(world)[-1] == 481
    assert callee.told == ["up"]


def test_an_invite_without_an_offer_is_made_one() -> None:
    world = World()
    world.b.agent.received(invite("", ""), FROM_9)
    answer = world.responses()[-1]
    assert answer.status == 200
    assert b"m=audio 20000 RTP/AVP 111 0 8 101 110" in answer.body
    ack = (
        invite(SDP, OFFER)
        .replace(b"INVITE", b"ACK")
        .replace(b"<sip:agent@192.0.2.2>", answer.get("to").encode())
        .replace(b"z9hG4bKone", b"z9hG4bKack")
    )
    world.b.agent.received(ack, FROM_9)
    person = world.b.porter.people[0]
    assert person.told == ["up"]
    assert person.agreed is not None
    assert person.agreed.codec.name == "PCMU"


# ---- what servers ask of us ----------------------------------------------------------------


class Asking(Porter):
    """Refuses the first so many INVITEs."""

    def __init__(self, *refusals: Refusal) -> None:
        super().__init__()
        self.refusals = list(refusals)
        self.seen: list[Request] = []

    def admit(self, request: Request, flow: Flow) -> Admission | Refusal:
        self.seen.append(request)
        return self.refusals.pop(0) if self.refusals else Admission()


CHALLENGE = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'


def asked(*refusals: Refusal) -> tuple[Person, Asking]:
    world = World()
    gate = Asking(*refusals)
    there = world.add("192.0.2.3", gate)
    caller, _ = world.a.dial(there, Credentials("alice", "secret"))
    world.run(40)
    return caller, gate


@pytest.mark.parametrize(("status", "header"), [(401, "www"), (407, "proxy")])
def test_a_password_is_given_when_it_is_asked_for(status: int, header: str) -> None:
    challenge = Refusal(status, ((f"{header}-authenticate", CHALLENGE),))
    caller, gate = asked(challenge)
    assert caller.told == [180, "up"]
    name = "authorization" if status == 401 else "proxy-authorization"
    assert 'username="alice"' in gate.seen[1].get(name)
    assert gate.seen[1].cseq[0] == gate.seen[0].cseq[0] + 1
    assert gate.seen[1].call_id == gate.seen[0].call_id


def test_a_wrong_password_is_given_once() -> None:
    challenge = Refusal(401, (("www-authenticate", CHALLENGE),))
    caller, gate = asked(challenge, challenge, challenge)
    assert caller.told == ["failed 401"]
    assert len(gate.seen) == 2
    stale = Refusal(401, (("www-authenticate", CHALLENGE + ", stale=true"),))
    caller, gate = asked(challenge, stale)
    assert caller.told == [180, "up"]


def test_a_longer_session_is_agreed_to() -> None:
    caller, gate = asked(Refusal(422, (("min-se", "3600"),)))
    assert caller.told == [180, "up"]
    assert gate.seen[1].get("session-expires") == "3600"


def test_another_codec_and_address_during_a_call() -> None:
    world = World()
    caller, callee = connected(world)
    assert caller.leg is not None
    caller.leg.audio = LegAudio(("PCMA",))
    caller.leg.audio.place("192.0.2.1", 30_500)
    caller.leg.hold(False, lambda _: None)
    world.run(1)
    assert callee.told[-1] == "changed"
    assert callee.agreed is not None
    assert (callee.agreed.codec.name, callee.agreed.remote[1]) == ("PCMA", 30_500)


def test_a_change_that_cannot_be_leaves_the_call_as_it_is() -> None:
    world = World()
    caller, callee = connected(world)
    assert caller.leg is not None
    before = callee.agreed
    caller.leg.send("UPDATE", body=("application/sdp", OFFER.replace(" 0 101", " 18").encode()))
    world.run(1)
    assert world.log[-1] == "2:488"
    assert callee.agreed == before


# ---- bounds --------------------------------------------------------------------------------


def test_more_calls_than_there_is_room_for_are_sent_away() -> None:
    world = World()
    busy = world.add("192.0.2.3", options=Options(most_legs=2))
    for number in range(4):
        data = invite().replace(b"one", b"n%d" % number).replace(b"tag=9", b"tag=%d" % number)
        busy.agent.received(data, FROM_9)
    assert len(busy.agent.legs) == 2
    assert [s for s in statuses(world) if s >= 200] == [200, 200, 503, 503]


def test_strangers_are_answered_only_so_often() -> None:
    world = World()
    data = invite("", "").replace(b"INVITE", b"OPTIONS")
    for _ in range(1_000):
        world.b.agent.received(data, FROM_9)
    assert 200 <= len(world.sent) <= 220
    assert world.b.agent.counts.dropped >= 780
    world.run(1)
    world.b.agent.received(data, FROM_9)
    assert isinstance(parse(world.sent[-1][0]), Request) is False
