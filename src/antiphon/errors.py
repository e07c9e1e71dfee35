"""The exception tree.

AntiphonError
├── UserFacingError         shown verbatim: what happened and what to do
│   ├── ConfigError         the agent's file: file, line, key
│   ├── ForbiddenError      another person's call
│   ├── GoneError           a call that is over
│   └── CapacityError       too many calls
│       └── OverloadError   fewer than there may be, and yet too many
├── ProviderError           a provider failed: which one, and whether trying again may help
└── IllegalEvent            the engine was given an event that cannot happen in its state
"""

from __future__ import annotations

from typing import Literal

Blame = Literal["provider", "account", "request"]


class AntiphonError(Exception):
    """Base of all errors raised on purpose."""


class UserFacingError(AntiphonError):
    """Its text is shown to the user verbatim."""


class ConfigError(UserFacingError):
    """Something in a configuration file is wrong.

    Args:
        message: what is wrong and what to do, without the place.
        path: the file, as the user named it.
        line: 1-based line, 0 when unknown.
        key: dotted key, such as `turn.interruption.decide_ms`.
    """

    def __init__(self, message: str, *, path: str = "", line: int = 0, key: str = "") -> None:
        place = ":".join(part for part in (path, str(line) if line else "") if part)
        where = ": ".join(part for part in (place, key) if part)
        super().__init__(f"{where}: {message}" if where else message)
        self.message, self.path, self.line, self.key = message, path, line, key


class CapacityError(UserFacingError):
    """The server has as many calls as it may have, or is shutting down."""

    reason: Literal["capacity", "lag", "busy"] = "capacity"
    """As which it is counted."""


class OverloadError(CapacityError):
    """One more call would be at the cost of those under way: the event loop is late, or it would
    be.

    Args:
        message: for the caller.
        reason: which of the two.
    """

    def __init__(self, message: str, reason: Literal["lag", "busy"] = "lag") -> None:
        super().__init__(message)
        self.reason = reason


class ForbiddenError(UserFacingError):
    """Who asks may not: the call is another person's."""


class GoneError(UserFacingError):
    """What is asked for was there, and is over."""


class ProviderError(AntiphonError):
    """A provider failed.

    Args:
        message: what the provider said.
        provider: its registry name, such as `openai`.
        retryable: whether the same request may succeed later.
        status: the HTTP status, when there was one.
        blame: what is wrong: the `provider`, an `account` there (a key, money), or the `request`,
            which others might answer; by the status when absent.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        retryable: bool,
        status: int | None = None,
        blame: Blame | None = None,
    ) -> None:
        super().__init__(f"{provider}: {message}")
        self.provider, self.retryable, self.status = provider, retryable, status
        self.blame: Blame = blame or _BLAME.get(status or 0, "provider")


_BLAME: dict[int, Blame] = {
    **dict.fromkeys((401, 402, 403), "account"),
    **dict.fromkeys((400, 413, 422), "request"),
}


class IllegalEvent(AntiphonError):
    """An event that cannot happen in the conversation's state: a bug in whoever sent it."""
