"""Cutting a stream of bytes into frames of equal length."""

from __future__ import annotations


class FrameCutter:
    """Takes PCM in pieces of any length and gives it back in frames.

    Args:
        frame_bytes: length of a frame.
    """

    def __init__(self, frame_bytes: int) -> None:
        if frame_bytes <= 0:
            raise ValueError("a frame has at least one byte")
        self._frame_bytes = frame_bytes
        self._pending = bytearray()

    def push(self, pcm: bytes) -> list[bytes]:
        """The frames that are complete now; less than a frame stays for the next time."""
        size = self._frame_bytes
        if len(pcm) == size and not self._pending:
            return [pcm]
        self._pending += pcm
        whole = len(self._pending) // size * size
        frames = [bytes(self._pending[at : at + size]) for at in range(0, whole, size)]
        del self._pending[:whole]
        return frames

    def flush(self) -> bytes | None:
        """What is left, padded with silence to a frame; None when nothing is."""
        if not self._pending:
            return None
        frame = bytes(self._pending).ljust(self._frame_bytes, b"\0")
        self._pending.clear()
        return frame
