from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio.frames import FrameCutter


@given(st.lists(st.binary(max_size=100), max_size=20), st.integers(1, 64))
def test_frames_joined_are_what_went_in(pieces: list[bytes], size: int) -> None:
    cutter = FrameCutter(size)
    frames = [frame for piece in pieces for frame in cutter.push(piece)]
    rest = cutter.flush()
    frames += [rest] if rest is not None else []
    whole = b"".join(pieces)
    assert all(len(frame) == size for frame in frames)
    assert b"".join(frames) == whole + bytes(-len(whole) % size)
    assert cutter.flush() is None
