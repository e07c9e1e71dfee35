"""What the server and a recogniser process say to each other, over one socket.

To the process: a header and a body of `length` bytes, which is PCM. From the process: one JSON
object per line. Both ends are ours and of the same version.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct("<cIIII")
"""kind, stream, utterance, revision, length."""

BEGIN, AUDIO, FINALIZE, END, CLOSE = b"B", b"A", b"F", b"E", b"C"

BYTES_PER_MS = 32


def pack(
    kind: bytes, stream: int, utterance: int = 0, revision: int = 0, body: bytes = b""
) -> bytes:
    """One message to the process."""
    return HEADER.pack(kind, stream, utterance, revision, len(body)) + body
