"""The codecs as SDP names them."""

from __future__ import annotations

from antiphon.channels.rtp.codec import KNOWN, OPUS, PCMA, PCMU


def test_static_payload_types() -> None:
    """RFC 3551 section 6, table 4."""
    assert (PCMU.payload_type, PCMA.payload_type) == (0, 8)
    assert (PCMU.clock_hz, PCMA.clock_hz) == (8000, 8000)


def test_opus_is_named_as_its_rfc_wants() -> None:
    """RFC 7587 section 7: always 48000/2."""
    assert (OPUS.clock_hz, OPUS.channels) == (48_000, 2)
    assert set(KNOWN) == {"opus", "pcmu", "pcma"}
