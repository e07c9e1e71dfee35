"""What a caller's screen may send, on a data channel or a WebSocket (docs/events.md).

The other end is not trusted: size, rate and shape are checked here, and whatever is wrong becomes a
sentence for an `error` event instead of an exception. Pure; the caller brings the time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

MAX_EVENT_BYTES = 16 * 1024
MAX_TEXT_CHARS = 2_000
EVENTS_PER_S = 10.0
EVENTS_BURST = 20.0
COMPLAINTS_PER_S = 1.0
KEYS = frozenset("0123456789*#")
PLAYOUT = ("jitter_buffer_ms", "output_ms", "round_trip_ms")
MAX_PLAYOUT_MS = 10_000
MAX_REJECTED = 500
"""A peer that has sent so much rubbish is not a caller any more."""


@dataclass(frozen=True, slots=True)
class Typed:
    """The caller typed a message."""

    text: str


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """The caller pressed a key of the keypad: `0` to `9`, `*` or `#`."""

    key: str


@dataclass(frozen=True, slots=True)
class TalkKey:
    """Push to talk: the key is held, or let go."""

    held: bool


@dataclass(frozen=True, slots=True)
class Playout:
    """What a page measured of its end of the line, by the browser's getStats; None: not known."""

    jitter_buffer_ms: float | None = None
    """How long sound waits in the browser's jitter buffer."""
    output_ms: float | None = None
    """From there to the ear: the sound device."""
    round_trip_ms: float | None = None


@dataclass(frozen=True, slots=True)
class HangUp:
    """The caller asks to end."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not an event. `message` is the sentence to show; None when it has been said often enough."""

    message: str | None


@dataclass(frozen=True, slots=True)
class Flooded:
    """More rubbish than any caller sends by mistake: end the call."""


ClientEvent = Typed | KeyPressed | TalkKey | Playout | HangUp | Rejected | Flooded


@dataclass(slots=True)
class TokenBucket:
    """Allows `burst` at once and `per_s` in the long run."""

    per_s: float
    burst: float
    tokens: float = field(init=False)
    updated_s: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def take(self, now_s: float) -> bool:
        elapsed_s = max(0.0, now_s - self.updated_s)
        self.tokens = min(self.burst, self.tokens + elapsed_s * self.per_s)
        self.updated_s = now_s
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class ClientEventReader:
    """Reads one call's events."""

    def __init__(self) -> None:
        self._rate = TokenBucket(EVENTS_PER_S, EVENTS_BURST)
        self._complaints = TokenBucket(COMPLAINTS_PER_S, 5.0)
        self._rejected = 0

    def read(self, raw: str | bytes, now_s: float) -> ClientEvent:
        """One message as it came. `now_s` is any monotonic clock."""
        event: ClientEvent
        if not self._rate.take(now_s):
            event = Rejected("Too many events at once; this one was dropped.")
        else:
            event = parse(raw)
        if not isinstance(event, Rejected):
            return event
        self._rejected += 1
        if self._rejected > MAX_REJECTED:
            return Flooded()
        return event if self._complaints.take(now_s) else Rejected(None)


def parse(raw: str | bytes) -> ClientEvent:
    """One message, without regard to its rate."""
    if len(raw) > MAX_EVENT_BYTES:
        return Rejected(f"An event may have at most {MAX_EVENT_BYTES} bytes.")
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError):
        return Rejected("Not an event: it must be a JSON object with a type.")
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return Rejected("Not an event: it must be a JSON object with a type.")
    if event["type"] == "antiphon.hang_up":
        return HangUp()
    if event["type"] == "conversation.item.create":
        return _typed(event.get("item"))
    if event["type"] == "antiphon.key":
        key = event.get("key")
        if not isinstance(key, str) or key not in KEYS:
            return Rejected(f"A key is one of {' '.join(sorted(KEYS))}.")
        return KeyPressed(key)
    if event["type"] == "antiphon.talk_key":
        if not isinstance(event.get("held"), bool):
            return Rejected("A talk key is held (true) or not (false).")
        return TalkKey(event["held"])
    if event["type"] == "antiphon.playout":
        return Playout(*(_ms(event.get(name)) for name in PLAYOUT))
    return Rejected(f"Unknown event type {event['type'][:60]!r}; docs/events.md lists them.")


def _ms(value: Any) -> float | None:
    """A time that is possible; anything else is not known."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 <= value <= MAX_PLAYOUT_MS else None


def _typed(item: Any) -> ClientEvent:
    if not isinstance(item, dict) or item.get("type") != "message" or item.get("role") != "user":
        return Rejected("Only an item of type message with the role user can be created.")
    content = item.get("content")
    if not isinstance(content, list):
        return Rejected("The item's content must be a list of parts of type input_text.")
    texts: list[str] = []
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "input_text":
            return Rejected("The item's content must be a list of parts of type input_text.")
        if not isinstance(part.get("text"), str):
            return Rejected("A part of type input_text needs a text.")
        texts.append(part["text"])
    # Control characters and lone surrogates have no business in a sentence and break terminals,
    # databases and UTF-8 encoders further down.
    joined = " ".join(texts).encode("utf-8", "ignore").decode("utf-8")
    text = " ".join("".join(c if c.isprintable() else " " for c in joined).split())
    if not text:
        return Rejected("The message is empty.")
    if len(text) > MAX_TEXT_CHARS:
        return Rejected(f"A message may have at most {MAX_TEXT_CHARS} characters.")
    return Typed(text)


def error_event(message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    """An `error` event for the caller's screen."""
    return {"type": "error", "error": {"type": kind, "message": message}}
