"""What a call by browser or device is made of: a connection to the caller, which may be lost and
replaced, and the call, which outlives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from antiphon.channels.base import Call, CallIO
from antiphon.channels.client_events import Playout
from antiphon.channels.rtp.receive import LineStats

OUTPUT_RATE_HZ = 24_000
"""What a session delivers. Opus takes this rate as it is, voices have no more, and half of 48 kHz
is half of everything that the session resamples, scales and keeps."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call waits for a caller who is away, in seconds."""

    resume_s: float = 60.0
    """The connection was lost."""
    leave_s: float = 60.0
    """The page has said that it goes away: it is loaded again, or it is closed."""

    def told(self) -> dict[str, float]:
        """As clients are told."""
        return {"resume_s": self.resume_s, "leave_s": self.leave_s}


PATIENT = Patience()


class CallHost(Protocol):
    """Who takes calls: the supervisor."""

    def check(self, agent: str | None) -> str:
        """The agent's name; raises what the caller should be told."""
        ...

    async def start_call(self, call: Call, agent: str | None) -> CallIO: ...


class Connection(Protocol):
    """One way to the caller at a time: WebRTC, or a WebSocket.

    It is made for a call, tells it by `VoiceCall.connected` when it works, by `lost` when it does
    not work any more, and brings what comes by `on_frame` and `on_message`. Nothing of it raises.
    """

    def play(self, pcm: bytes | None) -> None:
        """Send 20 ms: mono s16 PCM at 24 kHz, or silence. Called every 20 ms, on the event loop."""
        ...

    def poll(self, now_s: float) -> None:
        """Bring the frames that are due because something did not come. Called every 20 ms.
        `now_s` is the event loop's time."""
        ...

    def clear(self) -> float | None:
        """Drop what was played and is not heard yet. Returns within how many seconds sound reaches
        the ear all the same; None where nothing can be called back."""
        ...

    def send(self, text: str) -> None:
        """An event for the caller's screen, as JSON."""
        ...

    def on_playout(self, playout: Playout) -> None:
        """What the page measured of its end."""
        ...

    @property
    def delay_ms(self) -> int:
        """From `play` to the caller's ear: network, the far jitter buffer, its sound device."""
        ...

    @property
    def stats(self) -> LineStats:
        """What came and was sent so far; nothing where no packet can be lost."""
        ...

    def alive_s(self, now_s: float) -> float:
        """The last moment at which the way to the caller is known to have worked: when something
        came from there; `now_s` where the caller need not send anything."""
        ...

    async def aclose(self) -> None:
        """What was sent goes out; then the connection is closed. Has a deadline of its own.
        Idempotent."""
        ...
