"""Where messages begin and end in a TCP stream (RFC 3261 section 18.3). Pure."""

from __future__ import annotations

import re

from antiphon.channels.sip.message import MAX_BYTES, MAX_HEAD_BYTES, ParseError

PING = b"\r\n\r\n"
PONG = b"\r\n"
_BLANK = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t]*([0-9]{1,6})[ \t]*\r?$", re.I | re.M)


class Framer:
    """Cuts one connection's bytes into messages. Holds at most one message that is not complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.pings = 0
        """Keep-alives (two empty lines) that were seen; each deserves a `PONG` (RFC 5626 section
        4.4.1)."""

    def push(self, data: bytes) -> list[bytes]:
        """Take bytes, return the messages that are complete.

        Raises:
            ParseError: where the next message begins is not known any more; close the connection.
        """
        self._buffer += data
        found: list[bytes] = []
        while True:
            self._skip_empty_lines()
            blank = _BLANK.search(self._buffer)
            if blank is None:
                if len(self._buffer) > MAX_HEAD_BYTES:
                    raise ParseError("a stream without messages")
                return found
            length = _LENGTH.search(self._buffer, 0, blank.start() + 2)
            if length is None:
                raise ParseError("a message of unknown length")
            end = blank.end() + int(length[1])
            if end > MAX_BYTES:
                raise ParseError("longer than any message")
            if len(self._buffer) < end:
                return found
            found.append(bytes(self._buffer[:end]))
            del self._buffer[:end]

    def _skip_empty_lines(self) -> None:
        size = len(self._buffer)
        while self._buffer.startswith(PING):
            self.pings += 1
            del self._buffer[: len(PING)]
        # One byte of a ping may be all that has come.
        if len(self._buffer) == size or len(self._buffer) > 3:
            rest = self._buffer.lstrip(b"\r\n")
            if rest:
                del self._buffer[: len(self._buffer) - len(rest)]
