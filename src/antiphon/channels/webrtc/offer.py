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
            if kept >= MAX_CANDIDATES or not _is_usable(line.split()):
                continue
            kept += 1
        lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def _is_usable(fields: list[str]) -> bool:
    """Whether a candidate line has an address and a port (RFC 8839 section 5.1)."""
    if len(fields) < 8 or fields[1] != "1" or not fields[5].isdecimal():
        return False
    try:
        ipaddress.ip_address(fields[4])
    except ValueError:
        return False
    return int(fields[5]) < 1 << 16
