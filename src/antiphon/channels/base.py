"""How a caller is connected: a channel makes a `Call` and hands it to the session.

The channel owns the playback clock. It pulls: whoever reads a frame from `CallIO.read_frame` has
played it, and that is how the session knows what was heard. So a cancelled response can never leave
the server after its flush.
"""

from __future__ import annotations

from typing import Any, Protocol


class CallIO(Protocol):
    """What a session offers to its channel."""

    @property
    def call_id(self) -> str: ...

    @property
    def output_rate_hz(self) -> int:
        """Sample rate of `read_frame`, as the channel asked when the call was made."""
        ...

    def on_audio(self, pcm: bytes) -> None:
        """20 ms from the caller: 16 kHz mono s16 PCM, 640 bytes. Called on the event loop."""
        ...

    def read_frame(self) -> bytes | None:
        """The next 20 ms to play now: mono s16 PCM at `output_rate_hz`, or None for silence.
        Call it every 20 ms; reading is playing."""
        ...

    def on_text(self, text: str) -> None:
        """The caller typed something."""
        ...

    def on_key(self, key: str) -> None:
        """The caller pressed a key of the telephone: `0` to `9`, `*` or `#`."""
        ...

    def on_talk_key(self, held: bool) -> None:
        """Push to talk: the caller holds the key, or lets it go."""
        ...

    def hang_up(self, reason: str) -> None:
        """The caller is gone, or asked to end. Idempotent."""
        ...

    async def wait_closed(self) -> None:
        """Until everything of the call is closed and its record complete."""
        ...


class Call(Protocol):
    """What a channel offers to its session."""

    @property
    def channel(self) -> str:
        """Name of the channel: `webrtc`, `wav`, `text`."""
        ...

    @property
    def output_rate_hz(self) -> int: ...

    @property
    def has_audio(self) -> bool:
        """False for text-only calls: nothing is synthesized and text counts as heard at once."""
        ...

    def notify(self, event: dict[str, Any]) -> None:
        """An event for the caller's screen (docs/events.md). Must not block; may be dropped only
        when the caller's connection is gone."""
        ...

    async def close(self, reason: str) -> None:
        """The session is over; release the connection."""
        ...
