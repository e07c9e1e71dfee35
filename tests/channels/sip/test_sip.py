"""The parts: addresses, messages, streams, descriptions, passwords, timers, and who may come in."""

from __future__ import annotations

import pytest

from antiphon.channels.rtp.codec import OPUS, PCMA, PCMU
from antiphon.channels.sip import sdp
from antiphon.channels.sip.config import AccountConfig, SipConfig
from antiphon.channels.sip.dialog import Dialog
from antiphon.channels.sip.digest import (
    Credentials,
    Doorkeeper,
    answer,
    compute,
    parse_params,
)
from antiphon.channels.sip.entrance import Entrance
from antiphon.channels.sip.framing import Framer
from antiphon.channels.sip.guard import Bucket, Failures, Peers
from antiphon.channels.sip.leg_user import proof_for
from antiphon.channels.sip.message import ParseError, Request, Response, parse, respond
from antiphon.channels.sip.refer import Referral, outcome
from antiphon.channels.sip.registrar import MOST_CONTACTS, Registrar
from antiphon.channels.sip.session_timer import Terms, TooBrief, as_client, as_server
from antiphon.channels.sip.uri import AddressError, parse_address, parse_uri, parse_via
from antiphon.channels.sip.user_agent import Admission, Refusal
from antiphon.channels.sip.wire import Flow, Timers, reachable_from
from antiphon.errors import UserFacingError
from antiphon.providers.secret import Secret

HERE = Flow("udp", "192.0.2.9", 5060)
NAMES = ("opus", "PCMU", "PCMA")


def request(method: str = "INVITE", *headers: tuple[str, str], uri: str = "sip:a@b") -> Request:
    plain = (
        ("via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx"),
        ("from", "<sip:bob@192.0.2.9>;tag=1"),
        ("to", "<sip:bob@b>"),
        ("call-id", "c"),
        ("cseq", f"7 {method}"),
    )
    return Request((*plain, *headers), b"", method, uri)


# ---- addresses and messages ----------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice@example.com",
        "sips:+4930;x=y@example.com:5061;transport=tcp;lr",
        "sip:[2001:db8::1]:5062",
        "sip:a%20b:pw@host",
        "tel:+49-30-1;phone-context=x",
        "urn:service:sos",
    ],
)
def test_addresses_are_written_as_they_were_read(text: str) -> None:
    assert str(parse_uri(text)) == text


@pytest.mark.parametrize(
    "text", ["", "sip", "sip:", "sip:a@", "sip:@b", "sip:a@b:0", "sip:a@b:70000"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(AddressError):
        parse_uri(text)


def test_names_and_parameters_of_addresses() -> None:
    found = parse_address('"A \\"B\\", C" <sip:a@b;lr>;tag=t;x="1;2"')
    assert (found.name, found.tag, found.param("x")) == ('A "B", C', "t", "1;2")
    assert found.uri.params == (("lr", ""),)
    assert parse_address(str(found)) == found
    # Without brackets they belong to the header.
    assert parse_address("sip:a@b;tag=t").tag == "t"


def test_a_via_with_spaces() -> None:
    via = parse_via("SIP / 2.0 / udp  host : 5070 ; branch = z9hG4bKa ;rport")
    assert (via.transport, via.host, via.port, via.branch) == ("UDP", "host", 5070, "z9hG4bKa")


def test_messages_with_short_names_and_folded_lines() -> None:
    data = (
        b"\r\nOPTIONS sip:a@b SIP/2.0\nv: SIP/2.0/UDP h;branch=z9hG4bK1\nf: <sip:x@y>\n ;tag=1\n"
        b"t: <sip:a@b>\ni: 1\nCSeq: 1 OPTIONS\nk: timer,\n\treplaces\nl: 2\n\nokmore"
    )
    found = parse(data)
    assert isinstance(found, Request)
    assert found.from_.tag == "1"
    assert found.tokens("supported") == {"timer", "replaces"}
    assert found.body == b"ok"


def test_bytes_that_are_no_text_pass_through() -> None:
    data = bytes(request()).replace(b"From: <", b'From: "\xff\xfe" <')
    found = parse(data)
    assert isinstance(found, Request)
    assert b'"\xff\xfe"' in bytes(respond(found, 200, tag="t"))


def test_a_line_break_in_a_value_is_no_header() -> None:
    data = bytes(request("BYE", ("reason", "x\r\nEvil: yes")))
    assert b"\r\nEvil" not in data


def test_an_ack_is_never_answered() -> None:
    with pytest.raises(ParseError) as error:
        parse(bytes(request("ACK")).replace(b"7 ACK", b"seven ACK"))
    assert error.value.request is None


def test_streams_are_cut_by_length() -> None:
    one = bytes(request())
    two = bytes(request("BYE").with_body("text/plain", b"\r\n\r\nBYE"))
    framer = Framer()
    data = b"\r\n\r\n" + one + b"\r\n" + two
    found = [message for byte in data for message in framer.push(bytes([byte]))]
    assert found == [one, two]
    assert framer.pings == 1
    with pytest.raises(ParseError):
        framer.push(b"INVITE sip:a SIP/2.0\r\nTo: x\r\n\r\n")


# ---- descriptions --------------------------------------------------------------------------


def described(*lines: str, address: str = "192.0.2.9") -> sdp.Description:
    head = ("v=0", "o=- 1 1 IN IP4 192.0.2.9", "s=-", f"c=IN IP4 {address}", "t=0 0")
    return sdp.parse_sdp("\r\n".join([*head, *lines, ""]).encode())


def test_an_offer_is_answered_line_by_line() -> None:
    offer = described(
        "m=video 5000 RTP/AVP 96",
        "m=audio 4000 RTP/AVP 18 8 0 96",
        "a=rtpmap:96 telephone-event/8000",
        "m=audio 4002 RTP/SAVP 0",
    )
    agreed = sdp.agree(offer.media[offer.audio], NAMES)
    assert (agreed.codec, agreed.keys_type, agreed.remote) == (PCMA, 96, ("192.0.2.9", 4000))
    text = sdp.answer(offer, agreed, sdp.Origin("192.0.2.1", 1), 6000).decode()
    assert [line for line in text.splitlines() if line[:2] == "m="] == [
        "m=video 0 RTP/AVP 96",
        "m=audio 6000 RTP/AVP 8 96",
        "m=audio 0 RTP/SAVP 0",
    ]
    assert "a=rtpmap:96 telephone-event/8000" in text
    assert "a=sendrecv" in text


def test_payload_types_are_the_receivers() -> None:
    theirs = described("m=audio 4000 RTP/AVP 96", "a=rtpmap:96 OPUS/48000/2").media[0]
    agreed = sdp.agree(theirs, NAMES, sdp.offered(NAMES))
    assert agreed.codec.payload_type == 96
    assert agreed.accepts == {111: OPUS}


@pytest.mark.parametrize(
    ("line", "address", "sends", "receives", "answered"),
    [
        ("a=sendrecv", "192.0.2.9", True, True, "sendrecv"),
        ("a=sendonly", "192.0.2.9", False, True, "recvonly"),
        ("a=recvonly", "192.0.2.9", True, False, "sendonly"),
        ("a=inactive", "192.0.2.9", False, False, "inactive"),
        ("a=sendrecv", "0.0.0.0", False, True, "recvonly"),
    ],
)
def test_directions(line: str, address: str, sends: bool, receives: bool, answered: str) -> None:
    offer = described("m=audio 4000 RTP/AVP 0", line, address=address)
    agreed = sdp.agree(offer.media[0], NAMES)
    assert (agreed.codec, agreed.sends, agreed.receives) == (PCMU, sends, receives)
    body = sdp.answer(offer, agreed, sdp.Origin("192.0.2.1", 1), 6000)
    assert f"a={answered}".encode() in body


@pytest.mark.parametrize("address", ["host.example", "224.0.0.1", "255.255.255.255", "x y"])
def test_sound_is_not_sent_everywhere(address: str) -> None:
    with pytest.raises(sdp.SdpError):
        sdp.agree(described("m=audio 4000 RTP/AVP 0", address=address).media[0], NAMES)


# ---- passwords -----------------------------------------------------------------------------


def test_digests_of_the_rfc() -> None:
    # RFC 7616 section 3.9.1.
    params = {
        "realm": "http-auth@example.org",
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        "nc": "00000001",
        "qop": "auth",
    }
    who = ("GET", "/dir/index.html", "Mufasa", "Circle of Life")
    assert compute({**params, "algorithm": "MD5"}, *who) == "8ca523f5e9506fed4657c9700eebdbec"
    assert compute({**params, "algorithm": "SHA-256"}, *who) == (
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    )
    # RFC 2617 section 3.5.
    old = {
        "realm": "testrealm@host.com",
        "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        "qop": "auth",
        "nc": "00000001",
        "cnonce": "0a4f113b",
    }
    found = compute(old, "GET", "/dir/index.html", "Mufasa", "Circle Of Life")
    assert found == "6629fae49393a05397450978507c4ef1"


def test_a_password_is_proved_once_with_each_count() -> None:
    door = Doorkeeper("antiphon", {"bob": "secret"}, b"0" * 32)
    challenges = door.challenges(1000)
    bob = Credentials("bob", "secret")
    first = answer(challenges, "INVITE", "sip:a", bob, "c")
    assert first is not None
    assert "SHA-256" in first
    assert door.judge([first], "INVITE", 1001) == ("ok", "bob")
    assert door.judge([first], "INVITE", 1002) == ("stale", "bob")
    second = answer(challenges, "INVITE", "sip:a", bob, "c", 2)
    assert second is not None
    assert door.judge([second], "BYE", 1003)[0] == "wrong"
    assert door.judge([second], "INVITE", 1301)[0] == "stale"
    third = answer(challenges, "INVITE", "sip:a", Credentials("eve", ""), "c")
    assert third is not None
    assert door.judge([third], "INVITE", 1003) == ("wrong", "")
    # A nonce of somebody else's making.
    forged = answer([challenges[0].replace("3e8-", "3e9-")], "INVITE", "sip:a", bob, "c")
    assert forged is not None
    assert door.judge([forged], "INVITE", 1003)[0] == "stale"


def test_challenges_that_cannot_be_answered_are_passed_over() -> None:
    bob = Credentials("bob", "x")
    assert answer(['Basic realm="a"'], "INVITE", "sip:a", bob, "c") is None
    unknown = 'Digest realm="a", nonce="n", algorithm=SHA-512-256, qop="auth"'
    known = 'Digest realm="a", nonce="n"'
    found = answer([unknown, known], "INVITE", "sip:a", bob, "c")
    assert found is not None
    assert "qop" not in found
    assert parse_params('Digest a="x\\"y", b=z') == {"a": 'x"y', "b": "z"}
    response = Response((("proxy-authenticate", known),), b"", 407, "")
    assert proof_for(response, request(), bob)[0][0] == "proxy-authorization"
    assert proof_for(response, request(), None) == ()


# ---- timers --------------------------------------------------------------------------------


def test_timers_run_in_order_and_are_swept() -> None:
    now = [0.0]
    woken: list[float] = []
    timers = Timers(lambda: now[0], woken.append)
    ran: list[int] = []
    for number in (3, 1, 2):
        timers.after(number, lambda n=number: ran.append(n))  # type: ignore[misc]
    for _ in range(20_000):
        timers.after(100, lambda: ran.append(9)).cancel()
    assert woken == [3, 1]
    now[0] = 2
    timers.run()
    assert (ran, timers.deadline) == ([1, 2], 3)
    timers.after(1, lambda: None)
    assert len(timers) == 2
    assert len(timers._heap) <= 1_024


@pytest.mark.parametrize(
    ("headers", "terms"),
    [
        ((), None),
        ((("supported", "timer"),), Terms(1800, True)),
        ((("session-expires", "600"), ("supported", "timer")), Terms(600, False)),
        ((("session-expires", "600;refresher=uas"), ("supported", "timer")), Terms(600, True)),
        ((("session-expires", "600"),), Terms(600, True)),
        ((("session-expires", "10"),), Terms(90, True)),
    ],
)
def test_session_timers_as_who_is_called(
    headers: tuple[tuple[str, str], ...], terms: Terms | None
) -> None:
    found, said = as_server(request("INVITE", *headers))
    assert found == terms
    assert (("require", "timer") in said) == (terms is not None and not terms.ours)


def test_session_timers_that_are_too_brief() -> None:
    with pytest.raises(TooBrief):
        as_server(request("INVITE", ("session-expires", "10"), ("supported", "timer")))
    assert as_client(Response((("session-expires", "600;refresher=uas"),))) == Terms(600, False)
    assert as_client(Response((("session-expires", "600"),))) == Terms(600, True)
    assert as_client(Response()) is None


# ---- who may come in -----------------------------------------------------------------------


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_buckets_and_failures() -> None:
    clock = Clock()
    bucket = Bucket(3, clock)
    assert [bucket.take() for _ in range(5)] == [True] * 3 + [False] * 2
    clock.now_s += 0.4
    assert [bucket.take() for _ in range(2)] == [True, False]
    failures = Failures(clock)
    for _ in range(10):
        assert not failures.barred("h")
        failures.add("h")
    assert failures.barred("h")
    clock.now_s += 61
    assert not failures.barred("h")
    for number in range(3_000):
        failures.add(str(number))
    assert len(failures._hosts) == 1_024


def test_peers() -> None:
    peers = Peers(["192.0.2.0/24", "2001:db8::/32", "198.51.100.1"])
    for host in ("192.0.2.77", "2001:db8::5", "198.51.100.1", "::ffff:192.0.2.1"):
        assert host in peers
    for host in ("192.0.3.1", "198.51.100.2", "nonsense", ""):
        assert host not in peers
    with pytest.raises(UserFacingError, match=r"sip\.peers"):
        Entrance(SipConfig(peers=("nonsense",)), {}, Clock())


def test_after_many_wrong_passwords_a_host_is_not_listened_to() -> None:
    account = AccountConfig(user="bob", password=Secret("secret"))
    clock = Clock()
    entrance = Entrance(SipConfig(accounts=(account,)), {}, clock)

    def call(password: str) -> Admission | Refusal:
        asked = entrance.admit(request(), HERE)
        assert isinstance(asked, Refusal)
        assert asked.status == 401
        challenges = [value for _, value in asked.headers]
        proof = answer(challenges, "INVITE", "sip:a@b", Credentials("bob", password), "c")
        return entrance.admit(request("INVITE", ("authorization", proof or "")), HERE)

    assert call("secret") == Admission(None, "bob", "")
    for _ in range(10):
        assert isinstance(call("wrong"), Refusal)
    assert call("secret") == Refusal(403)
    clock.now_s += 61
    assert isinstance(call("secret"), Admission)


def test_telephones_are_remembered_as_long_as_they_said() -> None:
    clock = Clock()
    registrar = Registrar(clock)

    def sign_in(*headers: tuple[str, str], seq: int = 7) -> int:
        one = (
            request("REGISTER", *headers).without("cseq").with_headers(("cseq", f"{seq} REGISTER"))
        )
        return registrar.register(one, HERE, "bob")[0]

    assert sign_in(("contact", "<sip:bob@192.0.2.9>"), ("expires", "120")) == 200
    found = registrar.find("bob")
    assert found is not None
    assert found.flow == HERE
    assert registrar.find("eve") is None
    clock.now_s += 121
    assert registrar.find("bob") is None
    assert sign_in(("contact", "<sip:bob@h>;expires=5"), seq=8) == 423
    assert sign_in(("contact", "*"), ("expires", "9"), seq=8) == 400
    assert sign_in(("contact", "<tel:1>"), seq=8) == 400
    for number in range(20):
        assert sign_in(("contact", f"<sip:bob@h{number}>"), seq=9 + number) == 200
    assert len(registrar) == MOST_CONTACTS
    assert sign_in(("contact", "<sip:bob@h19>;expires=0"), seq=40) == 200
    assert len(registrar) == MOST_CONTACTS - 1
    assert sign_in(("contact", "*"), ("expires", "0"), seq=41) == 200
    assert len(registrar) == 0
    assert registrar.register(request("REGISTER"), HERE, "eve")[0] == 403


# ---- dialogs and transfers -----------------------------------------------------------------


def test_requests_go_along_the_routes() -> None:
    routes = (("record-route", "<sip:192.0.2.50;lr>"), ("record-route", "<sip:192.0.2.51;lr>"))
    invite = request("INVITE", ("contact", "<sip:bob@10.0.0.5:5070>"), *routes)
    dialog = Dialog.incoming(invite, HERE, "t", "<sip:us@h>")
    assert dialog is not None
    bye = dialog.request("BYE")
    assert bye.uri == "sip:bob@10.0.0.5:5070"
    assert bye.all("route") == ["<sip:192.0.2.50;lr>", "<sip:192.0.2.51;lr>"]
    assert dialog.flow == Flow("udp", "192.0.2.50", 5060)
    strict = Dialog.incoming(
        request("INVITE", ("contact", "<sip:bob@h>"), ("record-route", "<sip:192.0.2.50>")),
        *(HERE, "t", "<sip:us@h>"),
    )
    assert strict is not None
    assert strict.request("BYE").uri == "sip:192.0.2.50"
    assert strict.request("BYE").all("route") == ["<sip:bob@h>"]


@pytest.mark.parametrize(
    ("named", "seen", "reachable"),
    [
        ("10.0.0.5", "198.51.100.9", True),
        ("10.0.0.5", "8.8.8.8", False),
        ("8.8.4.4", "8.8.8.8", True),
        ("10.0.0.5", "10.0.0.6", True),
        ("127.0.0.1", "10.0.0.6", False),
        ("0.0.0.0", "10.0.0.6", False),
        ("host.example", "10.0.0.6", False),
    ],
)
def test_where_a_contact_can_be_reached(named: str, seen: str, reachable: bool) -> None:
    assert reachable_from(named, seen) is reachable


def fragment(body: bytes, state: str = "active") -> Request:
    plain = request("NOTIFY", ("event", "refer"), ("subscription-state", state))
    return plain.with_body("message/sipfrag;version=2.0", body)


def test_what_comes_of_a_refer() -> None:
    told: list[int] = []
    referral = Referral(told.append)
    referral.answered(Response((), b"", 202, ""))
    referral.notified(fragment(b"SIP/2.0 100 Trying\r\n"))
    assert not told
    referral.notified(fragment(b"SIP/2.0 486 Busy Here\r\n", "terminated;reason=noresource"))
    referral.over(by_them=True)
    assert told == [486]
    refused = Referral(told.append)
    refused.answered(Response((), b"", 405, ""))
    assert told[-1] == 405
    silent = Referral(told.append)
    silent.notified(fragment(b"", "terminated"))
    assert told[-1] == 408
    gone = Referral(told.append)
    gone.answered(Response((), b"", 202, ""))
    gone.over(by_them=True)
    assert told[-1] == 200
    ours = Referral(told.append)
    ours.answered(Response((), b"", 202, ""))
    ours.over(by_them=False)
    assert told[-1] == 487
    assert [outcome(code) for code in (200, 486, 480, 603, 500)] == [
        *("connected", "busy", "no_answer", "refused", "failed")
    ]
