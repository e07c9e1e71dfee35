from __future__ import annotations

from aiortc import sdp

from antiphon.channels.webrtc.answer import OPUS_FORMAT, finish

ANSWER = "\r\n".join(
    (
        *("v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0 1"),
        *("m=audio 5000 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 10.0.0.5", "a=mid:0"),
        *("a=rtcp:9 IN IP4 0.0.0.0", "a=rtpmap:111 opus/48000/2"),
        "a=candidate:aa 1 udp 2130706431 10.0.0.5 5000 typ host",
        "a=candidate:bb 1 udp 2130706431 172.17.0.1 5001 typ host",
        "a=candidate:cc 1 udp 2130706431 fd00::5 5002 typ host",
        "a=end-of-candidates",
        *("m=application 5000 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 10.0.0.5", "a=mid:1"),
        *("a=candidate:aa 1 udp 2130706431 10.0.0.5 5000 typ host", ""),
    )
)


def candidates(answer: str) -> list[tuple[str, int, int]]:
    """Address, port and priority of those of the first line."""
    media = sdp.SessionDescription.parse(answer).media[0]
    return [(one.ip, one.port, one.priority) for one in media.ice_candidates]


def test_browsers_are_asked_for_redundancy() -> None:
    lines = finish(ANSWER).splitlines()
    at = lines.index("a=rtpmap:111 opus/48000/2")
    assert lines[at + 1] == f"a=fmtp:111 {OPUS_FORMAT}"
    assert "useinbandfec=1" in OPUS_FORMAT
    assert len(lines) == len(ANSWER.splitlines()) + 1


def test_what_is_said_already_is_not_said_again() -> None:
    assert finish(finish(ANSWER)) == finish(ANSWER)


def test_the_advertised_address_takes_the_place_of_ours() -> None:
    answer = finish(ANSWER, ("203.0.113.7",))
    assert candidates(answer) == [
        ("203.0.113.7", 5000, 2130706431),
        ("203.0.113.7", 5001, 2130706431),
        ("fd00::5", 5002, 2130706431),
    ]
    assert "10.0.0.5" not in answer
    assert answer.count("c=IN IP4 203.0.113.7") == 2
    assert answer.count("a=candidate:aa 1 udp 2130706431 203.0.113.7 5000") == 2


def test_our_own_address_may_be_told_beside_it() -> None:
    answer = finish(ANSWER, ("203.0.113.7", "10.0.0.5", "2001:db8::7"))
    assert candidates(answer) == [
        ("203.0.113.7", 5000, 2130706431),
        ("10.0.0.5", 5000, 2130706175),
        ("203.0.113.7", 5001, 2130706431),
        ("2001:db8::7", 5002, 2130706431),
    ]
    foundations = [one.split()[0] for one in answer.splitlines() if one.startswith("a=cand")]
    assert foundations[0] != foundations[1]
