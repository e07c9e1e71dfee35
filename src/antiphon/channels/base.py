"""How a caller is connected: a channel makes a `Call` and hands it to the session.

The channel owns the playback clock. It pulls: whoever reads a frame from `CallIO.read_frame` has
played it, and that is how the session knows what was heard. So a cancelled response can never leave
the server after its flush.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

TransferOutcome = Literal["connected", "no_answer", "busy", "refused", "failed"]


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

    def on_heard(self, frames: int) -> None:
        """So many of the frames with sound that were read since the call began have been heard.
        Only for a call that `tells_heard`; elsewhere reading is hearing."""
        ...

    def on_hold(self, held: bool) -> None:
        """The line is on hold, or lost: the caller hears nothing; or they are back. What was read
        and not told to be heard is lost, and said again."""
        ...

    def on_return(self) -> None:
        """The caller is there by another connection, maybe with an empty screen: say what it should
        show."""
        ...

    def hang_up(self, reason: str) -> None:
        """The caller is gone, or asked to end. Idempotent."""
        ...

    async def wait_closed(self) -> None:
        """Until everything of the call is closed and its record complete."""
        ...


class TelephoneIO(CallIO, Protocol):
    """What a session offers to a telephone line besides."""

    def on_machine(self, message: str) -> None:
        """An answering machine has taken the call: say the message, protected, and hang up; with an
        empty message hang up at once."""
        ...


class Call(Protocol):
    """What a channel offers to its session."""

    @property
    def channel(self) -> str:
        """Name of the channel: `webrtc`, `wav`, `text`, `twilio`, `sip`."""
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


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What a telephone line knows about a call. Numbers are as the line gives them, mostly E.164
    (`+4930123456`), and are private: never in a log line."""

    direction: Literal["inbound", "outbound"] = "inbound"
    caller: str = ""
    """Who calls."""
    called: str = ""
    """The number or address that was called."""
    line_call_id: str = ""
    """The line's own name of the call, such as a Twilio CallSid or a SIP Call-ID."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What an outbound order said of the person, for the agent's sentences: `{{name}}`."""


@dataclass(frozen=True, slots=True)
class TransferTarget:
    """A person to pass the caller to."""

    name: str
    """As in the agent's file."""
    to: str
    """A number in E.164, or a `sip:` address."""
    ring_s: int = 25
    """Then it counts as not answered."""
    message: str = ""
    """Warm: what the person is told before the caller is put through. Empty: cold."""


@dataclass(frozen=True, slots=True)
class TransferResult:
    """What came of a transfer. `connected`: the caller has the person, and our part is over."""

    outcome: TransferOutcome
    detail: str = ""


@runtime_checkable
class DistantCall(Call, Protocol):
    """A call whose far end may hear later than it is sent."""

    @property
    def tells_heard(self) -> bool:
        """Whether it calls `CallIO.on_heard`, because the far end buffers what it is sent."""
        ...

    def clear(self) -> bool:
        """Drop what was read but is not heard yet: the response was flushed. What will be at the
        ear before the far end knows of it may be told by `CallIO.on_heard` first. False: nothing
        can be called back, and all of it will be heard."""
        ...


@runtime_checkable
class MeasuredCall(Call, Protocol):
    """A call whose line knows what was lost on the way."""

    def line_facts(self) -> dict[str, Any]:
        """What came, what was lost, recovered and concealed, for the call's record; may be asked
        for at any time, and at last when the connection is closed."""
        ...


@runtime_checkable
class Telephone(DistantCall, Protocol):
    """A call over a telephone line, which can do more than others."""

    @property
    def facts(self) -> CallFacts: ...

    def press(self, digits: str) -> None:
        """Send telephone keys to the other side, as tones or events; `w` is half a second."""
        ...

    async def transfer(self, target: TransferTarget) -> TransferResult:
        """Pass the caller to a person. The session neither reads nor delivers frames meanwhile,
        and has its own deadline, after which this is cancelled. Raises nothing but that."""
        ...
