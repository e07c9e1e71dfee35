"""The audio of one call, as offers and answers change it (RFC 3264). Pure."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from antiphon.channels.rtp.codec import Codec
from antiphon.channels.sip import sdp
from antiphon.channels.sip.sdp import Agreed, Description, Origin, SdpError


class LegAudio:
    """What we say of our audio, and what both sides agreed on. `codecs` are names."""

    def __init__(self, codecs: Sequence[str]) -> None:
        self._codecs = codecs
        self._origin = Origin("", secrets.randbits(31), 0)
        self._port = 0
        self.holding = False
        """We want to hear nothing."""
        self.agreed: Agreed | None = None

    def place(self, host: str, port: int) -> None:
        """Where we want the audio."""
        self._origin, self._port = replace(self._origin, host=host), port

    def take_offer(self, theirs: Description) -> Agreed:
        """Agree to their offer. Raises SdpError, and then nothing has changed."""
        return self._agree(theirs, ())

    def take_answer(self, body: bytes) -> Agreed:
        """Agree by their answer to our offer. Raises SdpError, and then nothing has changed."""
        return self._agree(sdp.parse_sdp(body), sdp.offered(self._codecs))

    def offer(self) -> bytes:
        """Ours."""
        self._next()
        direction: sdp.Direction = "sendonly" if self.holding else "sendrecv"
        return sdp.offer(self._origin, self._port, self._codecs, direction)

    def describe(self, theirs: Description | None) -> bytes:
        """The answer to their offer, taken before; without one, an offer of ours."""
        if theirs is None or self.agreed is None:
            return self.offer()
        self._next()
        return sdp.answer(theirs, self.agreed, self._origin, self._port, hold=self.holding)

    def _next(self) -> None:
        self._origin = replace(self._origin, version=self._origin.version + 1)

    def _agree(self, theirs: Description, ours: tuple[Codec, ...]) -> Agreed:
        if theirs.audio < 0:
            raise SdpError("no audio")
        agreed = sdp.agree(theirs.media[theirs.audio], self._codecs, ours)
        if agreed.sends and (":" in agreed.remote[0]) != (":" in self._origin.host):
            raise SdpError("IPv4 here and IPv6 there")
        self.agreed = agreed
        return agreed
