"""Candidates that come after the offer (RFC 8838). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aioice import Candidate

from antiphon.channels.webrtc.offer import MAX_CANDIDATES, BadOffer, is_usable


@dataclass(frozen=True, slots=True)
class Trickled:
    """What a browser's `RTCIceCandidate.toJSON()` says. An empty candidate: there are no more."""

    candidate: str
    mid: str | None = None
    line: int | None = None
    """Of `sdpMid` and `sdpMLineIndex` one is enough."""
    user: str | None = None
    """`usernameFragment`: of which offer it is."""


class Trickle:
    """Takes the candidates of one connection; made of its checked offer.

    Whoever says that there are no more is not believed: the caller's own checks may still tell of
    an address, and ICE would give up at once.
    """

    def __init__(self, offer_sdp: str) -> None:
        lines = offer_sdp.splitlines()
        self._mids = [line[6:] for line in lines if line.startswith("a=mid:")]
        self._users = {line[12:] for line in lines if line.startswith("a=ice-ufrag:")}
        self._left = MAX_CANDIDATES - sum(line.startswith("a=candidate:") for line in lines)

    def take(self, told: Sequence[Trickled]) -> list[Candidate]:
        """Those that are of use. Names and TCP are none, nor is what belongs to another offer or
        is one too many.

        Raises:
            BadOffer: a candidate is of a line that the offer does not have.
        """
        taken: list[Candidate] = []
        for one in told:
            self._check_line(one)
            if one.user is not None and one.user not in self._users:
                continue
            line = one.candidate.removeprefix("a=")
            if self._left < 1 or not line.startswith("candidate:") or not is_usable(line):
                continue
            self._left -= 1
            taken.append(_candidate(line.removeprefix("candidate:").split()))
        return taken

    def _check_line(self, one: Trickled) -> None:
        if one.mid is not None:
            known = one.mid in self._mids
        elif one.line is not None:
            known = 0 <= one.line < len(self._mids)
        else:
            # Such is the end of all candidates.
            known = not one.candidate
        if not known:
            raise BadOffer(
                "A candidate is of a line that the offer does not have: send `sdpMid` or "
                "`sdpMLineIndex` as the browser gave them."
            )


def _candidate(fields: list[str]) -> Candidate:
    # A peer-reflexive address is learned, never told (RFC 8445 section 7.3.1.3).
    kind = fields[7] if fields[7] in ("host", "srflx", "relay") else "host"
    return Candidate(
        foundation=fields[0], component=1, transport="udp", priority=int(fields[3]),
        host=fields[4], port=int(fields[5]), type=kind,
    )  # fmt: skip
