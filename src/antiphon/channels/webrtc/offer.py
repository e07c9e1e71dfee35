"""Looks at an SDP offer before anything is spent on it. Pure.

aiortc answers nearly anything, one socket and one task at a time, so what a call cannot use is
refused here with a sentence that says what to change.
"""

from __future__ import annotations

import ipaddress

from aiortc import sdp

from antiphon.errors import UserFacingError

MAX_SDP_CHARS = 32 * 1024
MAX_CANDIDATES = 32
"""Of one connection, those that come later included."""
MAX_CANDIDATE_CHARS = 512
MAX_CANDIDATE_FIELDS = 40
BROADCAST = ipaddress.IPv4Address("255.255.255.255")
UNREADABLE = (ValueError, IndexError, KeyError, AssertionError, AttributeError, TypeError)
"""aiortc reports a broken line by whatever exception its slicing runs into."""


class BadOffer(UserFacingError):
    """The offer cannot become a call."""


def check_offer(offer_sdp: str) -> str:
    """The offer as it should be given to aiortc.

    Raises:
        BadOffer: it is not SDP, or not an offer for one audio line that sends and receives.
    """
    if len(offer_sdp) > MAX_SDP_CHARS:
        raise BadOffer(f"The SDP is longer than {MAX_SDP_CHARS} characters.")
    if not offer_sdp.startswith("v=0"):
        raise BadOffer("This is not SDP: it must begin with v=0.")
    offer_sdp = _usable_candidates(offer_sdp)
    try:
        description = sdp.SessionDescription.parse(offer_sdp)
    except UNREADABLE as error:
        raise BadOffer("The SDP cannot be read; send the browser's offer unchanged.") from error
    _check_media(description)
    return offer_sdp


def _check_media(description: sdp.SessionDescription) -> None:
    audio = [media for media in description.media if media.kind == "audio"]
    if not audio:
        raise BadOffer("The offer has no audio line; add a microphone track to the connection.")
    if len(audio) > 1:
        raise BadOffer("The offer has several audio lines; a call has exactly one.")
    if any(media.kind not in ("audio", "application") for media in description.media):
        raise BadOffer("The offer has a line that is neither audio nor data; a call has no video.")
    if len(description.media) > 2:
        raise BadOffer("The offer has several data lines; a call has at most one.")
    if audio[0].direction not in ("sendrecv", None):
        raise BadOffer("The audio line must be sendrecv: a call is spoken both ways.")
    if not any(codec.mimeType.lower() == "audio/opus" for codec in audio[0].rtp.codecs):
        raise BadOffer("The audio line offers no Opus, which is what this server speaks.")
    for media in description.media:
        if not media.ice or not media.ice.usernameFragment or not media.ice.password:
            raise BadOffer("The offer has no ICE user name and password.")
        if media.dtls is None or not media.dtls.fingerprints:
            raise BadOffer("The offer has no DTLS fingerprint; only encrypted calls are taken.")
        if media.kind == "audio" and not media.rtcp_mux:
            raise BadOffer("The audio line must use a=rtcp-mux.")
        if media.kind == "application" and media.sctp_port is None and not media.sctpmap:
            raise BadOffer("The data line has no SCTP port.")
    _check_bundle(description)


def _check_bundle(description: sdp.SessionDescription) -> None:
    """All lines on one transport, named as they are (RFC 9143 section 7.2): aiortc looks the names
    up and goes on without a transport when there is none of that name."""
    names = [media.rtp.muxId for media in description.media]
    bundles = [group.items for group in description.group if group.semantic == "BUNDLE"]
    if len(set(names)) < len(names) or not all(names):
        raise BadOffer("Every line of the offer needs an a=mid of its own.")
    if len(bundles) > 1 or (bundles and sorted(map(str, bundles[0])) != sorted(names)):
        raise BadOffer("The offer must bundle its lines in one group.")
    if len(names) > 1 and not bundles:
        raise BadOffer("Audio and data must share one transport: bundle both lines.")


def _usable_candidates(offer_sdp: str) -> str:
    """The offer with the candidates that can be of use.

    A browser hides its addresses behind mDNS names; resolving one takes up to a second, and is not
    needed, because the browser's own checks tell where it is (RFC 8445 section 7.3.1.3). For the
    same reason the list is never taken as complete: ICE would give up at once when nothing in it
    can be reached. An offer with hundreds of addresses would have us send checks to all of them.
    """
    lines: list[str] = []
    kept = 0
    for line in offer_sdp.splitlines():
        if line == "a=end-of-candidates":
            continue
        if line.startswith("a=candidate:"):
            if kept >= MAX_CANDIDATES or not is_usable(line):
                continue
            kept += 1
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def is_usable(candidate: str) -> bool:
    """Whether a candidate line (RFC 8839 section 5.1), with or without its `a=`, is one that checks
    can be sent to: UDP, and an address of somebody's, with a port."""
    fields = candidate.split()
    if not 8 <= len(fields) <= MAX_CANDIDATE_FIELDS or len(candidate) > MAX_CANDIDATE_CHARS:
        return False
    if fields[1] != "1" or fields[2].lower() != "udp" or fields[6] != "typ":
        return False
    if not _is_number(fields[3], 1, (1 << 31) - 1) or not _is_number(fields[5], 1, 65_535):
        return False
    try:
        address = ipaddress.ip_address(fields[4])
    except ValueError:
        return False
    # Link-local addresses cannot be sent to without naming an interface.
    return not (
        address.is_unspecified or address.is_multicast or address.is_loopback
        or address.is_link_local or address == BROADCAST or "%" in fields[4]
    )  # fmt: skip


def _is_number(text: str, least: int, most: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10 and least <= int(text) <= most
