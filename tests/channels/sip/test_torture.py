"""The ideas of RFC 4475, "SIP torture test messages", at a whole user agent: each is answered as it
should be, or dropped."""

from __future__ import annotations

import pytest
from tests.channels.sip.test_user_agent import OFFER
from tests.support.sip_world import World

from antiphon.channels.sip.message import Request, parse
from antiphon.channels.sip.wire import Flow

SOURCE = Flow("udp", "192.0.2.9", 5070)
DROPPED = 0


def message(start: str, body: str = "", **changes: str | None) -> bytes:
    """A request with some headers changed, or left out when None. `_` stands for `-`."""
    method = start.partition(" ")[0]
    headers: dict[str, str | None] = {
        "Via": "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKtorture",
        "To": "sip:agent@192.0.2.2",
        "From": "<sip:bob@192.0.2.9>;tag=93942939o2",
        "Call-ID": "torture.9@192.0.2.9",
        "CSeq": f"1 {method}",
        "Max-Forwards": "70",
        "Contact": "<sip:bob@192.0.2.9>",
        "Content-Length": str(len(body.encode())),
    }
    if body:
        headers["Content-Type"] = "application/sdp"
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [start, *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return "\r\n".join([*lines, "", body]).encode()


INVITE = "INVITE sip:agent@192.0.2.2 SIP/2.0"
OPTIONS = "OPTIONS sip:agent@192.0.2.2 SIP/2.0"
REGISTER = "REGISTER sip:192.0.2.2 SIP/2.0"
ODD = "!interesting-Method0123456789_*+`.%indeed'~"
WSINV = (
    "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n"
    "TO :\r\n sip:vivekg@chair-dnrc.example.com ;   x    = 1918181833n\r\n"
    'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n'
    "MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\n"
    f"Content-Length   : {len(OFFER)}\r\ncseq: 0009\r\n  INVITE\r\n"
    "Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\ns :\r\n"
    "NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n"
    "UnknownHeaderWithUnusualValue: ;;,,;;,;\r\nContent-Type: application/sdp\r\n"
    "Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n"
    "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n"
    " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n"
    'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n'
    f"      newvalue ;\r\n  secondparam ; q = 0.33\r\n\r\n{OFFER}"
)
LONG = "verylonglonglong" * 100

CASES: dict[str, tuple[bytes, int]] = {
    # 3.1.1: valid
    "wsinv": (WSINV.encode(), 200),
    "intmeth": (
        message(
            f"{ODD} sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d"
            "_too.(doesn't-it)@example.com SIP/2.0",
            CSeq=f"139122385 {ODD}",
            To='"BEL:\x07 NUL:\\\x00 DEL:\x7f" <sip:1_unusual.URI~(to-be!sure)@example.com>',
        ),
        405,
    ),
    "esc01": (message(INVITE.replace("agent", "sips%3Auser%40example.com"), OFFER), 200),
    "escnull": (message(OPTIONS, To="sip:null-%00-null@example.com"), 200),
    "esc02": (message("RE%47IST%45R sip:192.0.2.2 SIP/2.0"), 405),
    "lwsdisp": (message(OPTIONS, From="caller<sip:caller@example.com>;tag=323"), 200),
    "longreq": (
        message(
            INVITE,
            OFFER,
            To=f'"I have a user name of extreme{LONG}" <sip:user@example.com:6000;{LONG}=x>',
            From=f"<sip:{LONG}@example.com>;tag=12{LONG}982424",
            Call_ID=f"longreq.{LONG}",
            Contact=f"<sip:amazing{LONG}@[fe80::5050]>",
            Via=", ".join(f"SIP/2.0/TCP s{n}.example.com;branch=z9hG4bK{n}" for n in range(40)),
        ),
        200,
    ),
    "dblreq": (message(REGISTER) + b"\r\n" + message(INVITE, OFFER), 200),
    "semiuri": (message(OPTIONS.replace("agent", "user;par=u%40example.net")), 200),
    "transports": (message(OPTIONS, Via="SIP/2.0/UNKNOWN 192.0.2.9;branch=z9hG4bKx"), 200),
    "mpart01": (message(INVITE, "x", Content_Type="multipart/mixed;boundary=7a9cb"), 415),
    "unreason": (
        "SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое\r\n"
        "Via: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\r\nCall-ID: unreason.1234\r\n"
        "CSeq: 35 INVITE\r\nFrom: sip:user@example.com;tag=11141343\r\n"
        "To: sip:user@example.edu;tag=2229\r\nContact: <sip:user@host198.example.com>\r\n\r\n"
        "".encode(),
        DROPPED,
    ),
    "noreason": (
        b"SIP/2.0 100 \r\nVia: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe\r\n"
        b"Call-ID: noreason.asndj\r\nCSeq: 35 INVITE\r\nFrom: <sip:user@example.com>;tag=39\r\n"
        b"To: <sip:user@example.edu>;tag=902\r\nContent-Length: 0\r\n\r\n",
        DROPPED,
    ),
    # 3.1.2: invalid
    "badinv01": (message(INVITE, OFFER, Contact='"Joe" <sip:joe@example.org>;;;;,"unclosed'), 200),
    "badinv01-via": (message(INVITE, OFFER, Via="SIP/2.0/UDP 192.0.2.15;;,;,,"), 200),
    "clerr": (message(INVITE, OFFER, Content_Length="9999"), 400),
    "ncl": (message(INVITE, OFFER, Content_Length="-999"), 400),
    "scalar02": (message(REGISTER, CSeq="36893488147419103232 REGISTER"), 400),
    "scalar02-forwards": (message(OPTIONS, Max_Forwards="300"), 400),
    "scalar02-expires": (message(REGISTER, Expires="1000000000000"), 200),
    "scalarlg": (
        b"SIP/2.0 503 Service Unavailable\r\nVia: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bKx\r\n"
        b"Call-ID: s\r\nCSeq: 9292394834772304023312 OPTIONS\r\nFrom: <sip:a@b>;tag=1\r\n"
        b"To: <sip:a@b>;tag=2\r\nRetry-After: 949302838503028349304023988\r\n\r\n",
        DROPPED,
    ),
    "quotbal": (message(INVITE, OFFER, To='"Mr. J. User <sip:j.user@example.com>'), 400),
    "ltgtruri": (message(INVITE.replace("sip:agent@192.0.2.2", "<sip:a@b>"), OFFER), 400),
    "lwsruri": (message(INVITE.replace("2.2 SIP", "2.2; lr SIP"), OFFER), 400),
    "lwsstart": (message(INVITE.replace(" ", "  "), OFFER), 400),
    "trws": (message(OPTIONS + "  "), 400),
    "escruri": (message(INVITE.replace("2.2 SIP", "2.2?Route=%3Csip:x%3E SIP"), OFFER), 200),
    "baddate": (message(INVITE, OFFER, Date="Fri, 01 Jan 2010 16:00:00 EST"), 200),
    "regbadct": (message(REGISTER, Contact="sip:user@example.com?Route=%3Csip:x%3E"), 200),
    "badaspec": (message(OPTIONS, To='"Watson, Thomas" < sip:t.watson@example.org >'), 200),
    "baddn": (message(OPTIONS, From="Bell, Alexander <sip:a@example.com>;tag=4"), 200),
    "badvers": (message("OPTIONS sip:t.watson@example.org SIP/7.0"), 505),
    "mismatch01": (message(OPTIONS, CSeq="8 INVITE"), 400),
    "mismatch02": (message("NEWMETHOD sip:u@example.com SIP/2.0", CSeq="8 INVITE"), 400),
    "bigcode": (
        b"SIP/2.0 4294967301 better not break the receiver\r\nVia: SIP/2.0/UDP 192.0.2.105\r\n\r\n",
        DROPPED,
    ),
    # 3.2: transactions
    "badbranch": (message(OPTIONS, Via="SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"), 200),
    # 3.3: the user agent
    "insuf": (message(INVITE, OFFER, To=None, From=None, Call_ID=None), DROPPED),
    "unkscm": (message(OPTIONS.replace("sip:agent@192.0.2.2", "nobodyKnowsThis:totally")), 416),
    "novelsc": (message(OPTIONS.replace("sip:agent@192.0.2.2", "soap.beep://192.0.2.1")), 416),
    "unksm2": (message(REGISTER, To="isbn:2983792873"), 200),
    "bext01": (message(OPTIONS, Require="nothingSupportsThis, nothingSupportsThisEither"), 420),
    "invut": (message(INVITE, "<audio>", Content_Type="application/unknownformat"), 415),
    "regaut01": (message(REGISTER, Authorization="NoOneKnowsThisScheme opaque=here"), 200),
    "multi01": (message(INVITE, OFFER).replace(b"\r\nCSeq", b"\r\nCSeq: 8 INVITE\r\nCSeq"), 400),
    "mcl01": (message(OPTIONS).replace(b"Content-L", b"Content-Length: 5\r\nContent-L"), 400),
    "bcast": (
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\r\n"
        b"Via: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23\r\nCall-ID: bcast.0384840201234\r"
        b"\nCSeq: 35 INVITE\r\nFrom: sip:user@example.com;tag=11\r\nTo: sip:user@example.edu;tag=2"
        b"\r\nContent-Length: 0\r\n\r\n",
        DROPPED,
    ),
    "zeromf": (message(OPTIONS, Max_Forwards="0"), 200),
    "cparam01": (message(REGISTER, Contact="sip:+19725552222@gw1.example.net;unknownparam"), 200),
    "cparam02": (message(REGISTER, Contact="<sip:+1972@gw1.example.net;unknownparam>"), 200),
    "regescrt": (message(REGISTER, Contact="<sip:user@example.com?Route=%3Csip:x%3E>"), 200),
    "sdp01": (message(INVITE, "v=0", Content_Type="text/nobodyKnowsThis"), 415),
    "inv2543": (
        message("INVITE sip:UserB@example.com SIP/2.0", OFFER, Via="SIP/2.0/UDP iftgw.example.com"),
        200,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_it_gets_the_right_answer(name: str) -> None:
    data, expected = CASES[name]
    world = World()
    world.b.agent.received(data, SOURCE)
    statuses = [int(one.partition(":")[2]) for one in world.log]
    assert (statuses or [DROPPED])[-1] == expected
    world.run(70)
    assert not len(world.b.agent.transactions)


def test_long_things_are_taken_whole() -> None:
    data = message(
        INVITE,
        OFFER,
        To=f'"I have a user name of extreme{LONG}" <sip:user@example.com:6000;{LONG}=x>',
        From=f"<sip:{LONG}@example.com>;tag=12{LONG}982424",
    )
    world = World()
    world.b.agent.received(data, SOURCE)
    assert world.responses()[-1].status == 200


def test_what_follows_a_message_in_its_datagram_is_left_out() -> None:
    found = parse(message(REGISTER) + b"\r\n" + message(INVITE, OFFER))
    assert isinstance(found, Request)
    assert (found.method, found.body) == ("REGISTER", b"")
