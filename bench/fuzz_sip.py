"""Broken SIP to the parsers, and to an endpoint that has calls."""

from __future__ import annotations

import random
import re

from bench.fuzz_mutate import mutate

from antiphon.channels.sip.digest import Doorkeeper, parse_params
from antiphon.channels.sip.framing import Framer
from antiphon.channels.sip.leg import Leg
from antiphon.channels.sip.message import ParseError, Request, parse
from antiphon.channels.sip.sdp import SdpError, agree, parse_sdp
from antiphon.channels.sip.uri import AddressError, parse_address, parse_uri, parse_via
from antiphon.channels.sip.user_agent import Admission, Options, Refusal, UserAgent
from antiphon.channels.sip.wire import Flow, Timers

MOST_LEGS = 50
SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 111 0 8 101\r\na=rtpmap:111 opus/48000/2\r\n"
    "a=fmtp:111 useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\n"
    "a=fmtp:101 0-16\r\na=ptime:20\r\na={direction}\r\n"
)
_HEAD = (
    "Via: SIP/2.0/{transport} 192.0.2.9:5060;branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\n"
    'From: "Ann" <sip:ann@192.0.2.9>;tag=f{call}\r\nTo: <sip:agent@192.0.2.1>{tag}\r\n'
    "Call-ID: c{call}@192.0.2.9\r\nCSeq: {cseq} {method}\r\n"
    "Contact: <sip:ann@192.0.2.9:5060;transport={transport}>\r\n"
)
_AUTH = (
    'Authorization: Digest username="ann",realm="antiphon",nonce="{branch}",uri="sip:192.0.2.1",'
    'response="0123456789abcdef0123456789abcdef",algorithm=MD5,qop=auth,nc=00000001,cnonce="x"\r\n'
)
METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "INFO", "REFER", "NOTIFY",
           "UPDATE", "PRACK", "MESSAGE", "SUBSCRIBE")  # fmt: skip
_EXTRA = {
    "INVITE": "Session-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\nSupported: timer\r\n"
    "Record-Route: <sip:192.0.2.5;lr>\r\nAllow: INVITE, ACK, BYE, REFER\r\n",
    "REGISTER": "Expires: 60\r\n" + _AUTH,
    "REFER": "Refer-To: <sip:bob@192.0.2.7?Replaces=a%3Bto-tag%3Db>\r\nReferred-By: <sip:a@a>\r\n",
    "NOTIFY": "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n",
    "INFO": "",
}
_BODIES = {
    "INVITE": ("application/sdp", SDP),
    "UPDATE": ("application/sdp", SDP),
    "NOTIFY": ("message/sipfrag", "SIP/2.0 200 OK\r\n"),
    "INFO": ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
}
_TAG = re.compile(rb"^To:.*?(;tag=[^\r;]+)", re.I | re.M)
DECLARED = (ParseError, SdpError, AddressError)


class SipTarget:
    """One episode: an endpoint on a clock of its own, and a peer that knows its dialogs."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.now_s = 1000.0
        self._timers = Timers(lambda: self.now_s)
        self._sent: list[bytes] = []
        self._tags: dict[int, str] = {}
        self._legs: list[Leg] = []
        self._agent = UserAgent(self._send, self._timers, self, self, Options(most_legs=MOST_LEGS))
        self._door = Doorkeeper("antiphon", {"ann": "secret"}, b"0" * 16)
        self._framer = Framer()
        self._pool: list[bytes] = [self._whole()]

    # ---- what the endpoint asks --------------------------------------------------------------

    def admit(self, request: Request, flow: Flow) -> Admission | Refusal:
        return Refusal(403) if self._rng.random() < 0.05 else Admission()

    def invited(self, leg: Leg, invite: Request, admission: Admission) -> None:
        self._legs.append(leg)

    def register(self, request: Request, flow: Flow) -> Refusal:
        verdict, _ = self._door.judge(request.all("authorization"), "REGISTER", self.now_s)
        return Refusal(200 if verdict == "ok" else 401)

    def address(self, flow: Flow) -> tuple[str, int]:
        return "192.0.2.1", 5060

    def _send(self, data: bytes, flow: Flow) -> None:
        self._sent = self._sent[-20:]
        self._sent.append(data)

    # ---- one input ---------------------------------------------------------------------------

    def step(self) -> bytes:
        """Make an input and give it to something; returns it."""
        rng = self._rng
        data = self._whole()
        if rng.random() < 0.8:
            data = mutate(rng, data, self._pool)
        if len(self._pool) < 30:
            self._pool.append(data)
        return data

    async def take(self, data: bytes) -> None:
        """What has to stand it."""
        rng = self._rng
        match rng.randrange(10):
            case 0:
                self._parse(data)
            case 1:
                self._frame(data)
            case _:
                tcp = rng.random() < 0.2
                self._agent.received(data, Flow("tcp" if tcp else "udp", "192.0.2.9", 5060))
        self._act()
        self.now_s += rng.choice((0.0, 0.0, 0.01, 0.3, 2.0))
        if rng.random() < 0.005:
            self.now_s += 40
        self._timers.run()
        assert len(self._agent.legs) <= MOST_LEGS

    def _parse(self, data: bytes) -> None:
        body = data.partition(b"\r\n\r\n")[2]
        text = data[:300].decode("utf-8", "surrogateescape")
        parse_params(text)
        for attempt in (
            lambda: bytes(parse(data, stream=True)),
            lambda: agree(parse_sdp(body).media[0], ("opus", "PCMU", "PCMA")),
            lambda: str(parse_address(text)),
            lambda: str(parse_via(text)),
            lambda: str(parse_uri(text.partition(" ")[2])),
        ):
            try:
                attempt()
            except DECLARED:
                pass
            except IndexError:
                assert not parse_sdp(body).media

    def _frame(self, data: bytes) -> None:
        cut = self._rng.randrange(len(data) + 1)
        try:
            for piece in (data[:cut], data[cut:]):
                for message in self._framer.push(piece):
                    self._agent.received(message, Flow("tcp", "192.0.2.9", 5060))
        except ParseError:
            self._framer = Framer()

    def _act(self) -> None:
        """Somebody decides about the calls there are."""
        rng = self._rng
        for data in self._sent:
            if data.startswith(b"SIP/2.0") and (tag := _TAG.search(data)):
                number = re.search(rb"^Call-ID: c(\d+)@", data, re.I | re.M)
                if number:
                    self._tags[int(number[1][:9])] = tag[1].decode("latin-1")
        self._legs = [leg for leg in self._legs if leg.state != "over"][-MOST_LEGS:]
        if not self._legs or rng.random() < 0.5:
            return
        leg = rng.choice(self._legs)
        match rng.randrange(8):
            case 0:
                leg.ring()
            case 1 | 2 | 3:
                leg.accept("192.0.2.1", 20_000)
            case 4:
                leg.refuse(486)
            case 5 if leg.state == "up":
                leg.hold(rng.random() < 0.5, lambda _: None)
            case 6 if leg.state == "up":
                leg.refer("<sip:bob@192.0.2.7>", lambda _: None)
            case 7 if rng.random() < 0.2:
                leg.hang_up("done")

    async def finish(self) -> None:
        """Everything ends, and nothing is left.

        Raises:
            AssertionError: something is.
        """
        for leg in list(self._agent.legs.values()):
            leg.hang_up("done")
        for _ in range(40):
            self.now_s += 30
            self._timers.run()
        assert not self._agent.legs, f"{len(self._agent.legs)} calls are left"
        assert not len(self._timers), f"{len(self._timers)} timers are left"

    # ---- whole messages ----------------------------------------------------------------------

    def _whole(self) -> bytes:
        rng = self._rng
        asked = [one for one in self._sent if not one.startswith(b"SIP/2.0")]
        if asked and rng.random() < 0.25:
            return self._response(rng.choice(asked))
        method = rng.choice(METHODS) if rng.random() < 0.6 else "INVITE"
        call = rng.randrange(30)
        inside = rng.random() < 0.6 and call in self._tags
        fields = {
            "transport": rng.choice(("UDP", "UDP", "TCP")),
            "branch": str(rng.randrange(60)),
            "call": str(call),
            "cseq": str(rng.randrange(1, 40)),
            "method": method,
            "tag": self._tags[call] if inside else "",
        }
        kind, body = _BODIES.get(method, ("", ""))
        if rng.random() < 0.2:
            kind = body = ""
        body = body.replace("{direction}", rng.choice(("sendrecv", "sendonly", "inactive")))
        head = _HEAD.format(**fields) + _EXTRA.get(method, "").format(**fields)
        typed = f"Content-Type: {kind}\r\n" if kind else ""
        start = f"{method} sip:agent@192.0.2.1 SIP/2.0\r\n"
        return f"{start}{head}{typed}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def _response(self, request: bytes) -> bytes:
        """To something that the endpoint asked."""
        rng = self._rng
        wanted = (b"via", b"from", b"to", b"call-id", b"cseq", b"v", b"f", b"t", b"i")
        lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        kept = [one for one in lines if one.partition(b":")[0].strip().lower() in wanted]
        status = rng.choice((100, 180, 200, 200, 200, 202, 302, 401, 407, 481, 486, 491, 500, 603))
        extra = b""
        if status in (401, 407):
            extra = b'WWW-Authenticate: Digest realm="r",nonce="n",algorithm=SHA-256,qop="auth"\r\n'
        body = SDP.replace("{direction}", "sendrecv").encode() if rng.random() < 0.5 else b""
        extra += b"Contact: <sip:ann@192.0.2.9>\r\n"
        if body:
            extra += b"Content-Type: application/sdp\r\n"
        head = b"\r\n".join((b"SIP/2.0 %d X" % status, *kept)) + b"\r\n" + extra
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
