"""Whether what is asked over a connection is what the front has just chosen this worker for.

The front chooses by what a new connection asks, and knows to whom it has given calls that nobody
has reported yet. Over a connection that is kept, by a browser or by a proxy, more is asked, and for
that nobody has chosen.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

_KEY = "antiphon.first"


class _First:
    """Shared by all that is asked over a connection: the state itself is copied for each."""

    def __init__(self) -> None:
        self.is_now = True


def first_state(state: MutableMapping[str, Any]) -> dict[str, Any]:
    """An ASGI application's state, for a connection that the front has just given."""
    return {**state, _KEY: _First()}


def take_first(state: MutableMapping[str, Any]) -> bool:
    """Whether this is what is asked first over a connection from the front; from now on it was."""
    first = state.get(_KEY)
    if not isinstance(first, _First):
        return False
    was, first.is_now = first.is_now, False
    return was
