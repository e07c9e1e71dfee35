"""SRTP by libsrtp. pylibsrtp makes several objects around each packet; there are a hundred packets
a second per call, so that this goes to its binding (pylibsrtp 1.0;
tests/channels/webrtc/test_srtp.py holds it to that).
"""

from __future__ import annotations

from typing import Any, cast

import pylibsrtp

ffi, lib = cast(Any, pylibsrtp).ffi, cast(Any, pylibsrtp).lib
_LONGEST_TRAILER = 4 + 16 + 128
"""Index, authentication tag and key identifier, at the most (libsrtp's srtp.h)."""


class Srtp:
    """One direction of one connection.

    Args:
        session: with its keys.
    """

    def __init__(self, session: pylibsrtp.Session) -> None:
        # Kept: its end frees what is used here.
        self._session = session
        inside = cast(Any, session)
        self._context, self._data, self._bytes = inside._srtp[0], inside._cdata, inside._buffer
        self._size = ffi.new("int *")
        self._most = len(self._bytes) - _LONGEST_TRAILER

    def protect(self, packet: bytes) -> bytes | None:
        """An RTP packet, encrypted. None: it is too long, or of a number that is long past."""
        return self._process(lib.srtp_protect, packet, self._most)

    def protect_rtcp(self, packet: bytes) -> bytes | None:
        """The same for RTCP."""
        return self._process(lib.srtp_protect_rtcp, packet, self._most)

    def unprotect(self, packet: bytes) -> bytes | None:
        """The RTP packet in one that came. None: it is not the peer's, or came before."""
        return self._process(lib.srtp_unprotect, packet, len(self._bytes))

    def unprotect_rtcp(self, packet: bytes) -> bytes | None:
        """The same for RTCP."""
        return self._process(lib.srtp_unprotect_rtcp, packet, len(self._bytes))

    def _process(self, function: Any, packet: bytes, most: int) -> bytes | None:
        length = len(packet)
        if length > most:
            return None
        size, data = self._size, self._bytes
        size[0] = length
        data[0:length] = packet
        if function(self._context, self._data, size):
            return None
        done: bytes = data[0 : size[0]]
        return done
