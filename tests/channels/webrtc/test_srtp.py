"""SRTP without pylibsrtp's own objects: the same as with them."""

from __future__ import annotations

import importlib.metadata
import os
import struct

import pylibsrtp
import pytest
from pylibsrtp import Policy, Session

from antiphon.channels.webrtc.srtp import Srtp

KEY = os.urandom(30)


def session(kind: int) -> Session:
    return Session(Policy(key=KEY, ssrc_type=kind))


def sender() -> Session:
    return session(Policy.SSRC_ANY_OUTBOUND)


def receiver() -> Session:
    return session(Policy.SSRC_ANY_INBOUND)


def rtp(sequence: int, payload: bytes = b"sound") -> bytes:
    return struct.pack("!BBHII", 0x80, 111, sequence, sequence * 960, 7) + payload


def test_the_version_whose_insides_are_known() -> None:
    assert importlib.metadata.version("pylibsrtp") == "1.0.0"


def test_packets_are_those_of_the_library() -> None:
    ours, theirs = Srtp(sender()), sender()
    here, there = Srtp(receiver()), receiver()
    for sequence in range(200):
        packet = rtp(sequence, os.urandom(sequence * 5))
        encrypted = ours.protect(packet)
        assert encrypted == theirs.protect(packet)
        assert encrypted is not None
        assert here.unprotect(encrypted) == packet == there.unprotect(encrypted)


def test_reports_too() -> None:
    ours, there, here = Srtp(sender()), receiver(), Srtp(receiver())
    packet = struct.pack("!BBHI", 0x80, 201, 1, 7)
    first, second = ours.protect_rtcp(packet), ours.protect_rtcp(packet)
    assert first is not None
    assert second is not None
    assert first != second
    assert there.unprotect_rtcp(first) == packet == here.unprotect_rtcp(second)


def test_what_is_broken_is_none() -> None:
    ours, here = Srtp(sender()), Srtp(receiver())
    encrypted = ours.protect(rtp(1))
    assert encrypted is not None
    assert here.unprotect(encrypted[:-1] + bytes([encrypted[-1] ^ 1])) is None
    assert here.unprotect(encrypted) == rtp(1)
    assert here.unprotect(encrypted) is None, "twice"
    for length in (0, 1, 11, 12, 20):
        assert here.unprotect(bytes(length)) is None
        assert here.unprotect_rtcp(bytes(length)) is None
        assert ours.protect_rtcp(bytes(length)) is None or length >= 8
    assert here.unprotect(bytes(100_000)) is None
    assert ours.protect(rtp(2, bytes(1500))) is None
    # And it goes on.
    again = ours.protect(rtp(3))
    assert again is not None
    assert here.unprotect(again) == rtp(3)


@pytest.mark.parametrize("length", range(1300, 1360, 7))
def test_what_fits_is_what_the_buffer_holds_with_its_trailer(length: int) -> None:
    encrypted = Srtp(sender()).protect(rtp(1, bytes(length)))
    if length + 12 <= 1500 - 148:
        assert encrypted is not None
        assert len(encrypted) <= 1500
    else:
        assert encrypted is None


def test_the_binding_is_where_it_was() -> None:
    inside = vars(receiver())
    assert {"_srtp", "_cdata", "_buffer"} <= set(inside)
    assert issubclass(pylibsrtp.Error, Exception)
