"""What the caller's screen is told, and what an empty one is told again: a page that was loaded
anew shows the conversation as it was."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from antiphon.session.notices import Notice, resumed

MOST_REMEMBERED = 600
"""Lasting notices, two or three of a turn; the oldest are forgotten."""
LASTING = frozenset(
    (
        "conversation.item.input_audio_transcription.completed",
        "response.output_audio_transcript.done",
        "response.done",
    )
)
TAKEN_BACK = "conversation.item.deleted"
FIRST, STATE = "session.created", "antiphon.state"


class Screen:
    """One call's.

    Args:
        notify: shows a notice.
    """

    def __init__(self, notify: Callable[[Notice], None]) -> None:
        self._notify = notify
        self._lasting: deque[Notice] = deque(maxlen=MOST_REMEMBERED)
        self._session: Notice = {}
        self._state: Notice = {}

    def tell(self, notice: Notice) -> None:
        """Show a notice."""
        kind = notice["type"]
        if kind in LASTING:
            self._lasting.append(notice)
        elif kind == TAKEN_BACK:
            gone = notice["item_id"]
            kept = [one for one in self._lasting if one.get("item_id") != gone]
            self._lasting = deque(kept, maxlen=MOST_REMEMBERED)
        elif kind == FIRST:
            self._session = notice["session"]
        elif kind == STATE:
            self._state = notice
        self._notify(notice)

    def again(self) -> None:
        """The caller is back, maybe with an empty screen."""
        self._notify(resumed(self._session, list(self._lasting)))
        if self._state:
            self._notify(self._state)
