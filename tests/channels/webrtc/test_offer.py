from __future__ import annotations

import random
import re

import pytest
from tests.support.rtc_client import RtcCaller

from antiphon.channels.voice.call import VoiceCall
from antiphon.channels.webrtc.connection import WebRtcConnection
from antiphon.channels.webrtc.offer import MAX_CANDIDATES, BadOffer, check_offer


@pytest.fixture(scope="module")
def offer() -> str:
    import asyncio

    async def make() -> str:
        caller = RtcCaller()
        try:
            return await caller.offer()
        finally:
            await caller.close()

    return asyncio.run(make())


def test_a_browser_like_offer_passes(offer: str) -> None:
    checked = check_offer(offer)
    assert checked.count("a=candidate") == offer.count("a=candidate")
    assert checked == offer.replace("a=end-of-candidates\r\n", "")


@pytest.mark.parametrize(
    ("pattern", "replacement", "sentence"),
    [
        (r"v=0", "v=9", "not SDP"),
        (r"m=audio", "m=video", "no audio line"),
        (r"opus/48000/2", "vorbis/48000/2", "no Opus"),
        (r"a=sendrecv", "a=sendonly", "must be sendrecv"),
        (r"a=fingerprint:[^\r]*\r\n", "", "DTLS fingerprint"),
        (r"a=ice-pwd:[^\r]*\r\n", "", "ICE user name"),
        (r"a=rtcp-mux\r\n", "", "rtcp-mux"),
        (r"a=group:[^\r]*\r\n", "", "bundle"),
        (r"a=sctp-port:[^\r]*\r\n", "", "SCTP port"),
        (r"m=audio \d+", "m=audio x", "cannot be read"),
    ],
)
def test_what_is_missing_is_said(offer: str, pattern: str, replacement: str, sentence: str) -> None:
    with pytest.raises(BadOffer, match=sentence):
        check_offer(re.sub(pattern, replacement, offer))


def test_nothing_but_words() -> None:
    for text in ("", "hello", "v=0", "v=0\r\n", "\0" * 100, "v=0" * 20_000):
        with pytest.raises(BadOffer):
            check_offer(text)


def test_names_are_not_resolved(offer: str) -> None:
    hidden = re.sub(r"(a=candidate:\S+ \d+ udp \d+) \S+ ", r"\1 1234-abcd.local ", offer)
    assert ".local" in hidden
    checked = check_offer(hidden)
    assert "a=candidate" not in checked


def test_an_offer_cannot_have_us_knock_at_a_thousand_doors(offer: str) -> None:
    line = "a=candidate:1 1 udp 2130706431 10.0.0.{} 9 typ host\r\n"
    many = "".join(line.format(i) for i in range(200))
    checked = check_offer(offer + many)
    assert checked.count("a=candidate") == MAX_CANDIDATES


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
async def test_broken_offers_are_refused_and_never_raise_anything_else(offer: str) -> None:
    rng = random.Random(7)
    refused = 0
    for _ in range(300):
        broken = _break(offer, rng)
        connection = WebRtcConnection(VoiceCall("webrtc"), lambda one: None)
        try:
            await connection.accept(check_offer(broken))
        except BadOffer:
            refused += 1
        finally:
            await connection.aclose()
    assert refused > 30


def _break(offer: str, rng: random.Random) -> str:
    lines = offer.split("\r\n")
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines))
        match rng.randrange(5):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 2:
                lines[at] = lines[at][: rng.randint(0, len(lines[at]))]
            case 3:
                cut = rng.randint(0, len(lines[at]))
                lines[at] = lines[at][:cut] + chr(rng.randint(32, 0x2FFF)) + lines[at][cut + 1 :]
            case _:
                lines[at] = re.sub(r"\d+", lambda _: str(rng.randint(-9, 1 << 40)), lines[at])
        if not lines:
            break
    return "\r\n".join(lines)
