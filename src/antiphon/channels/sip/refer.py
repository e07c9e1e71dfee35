"""What becomes of a REFER of ours (RFC 3515; `message/sipfrag` of RFC 3420). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from antiphon.channels.base import TransferOutcome
from antiphon.channels.sip.message import Request, Response

_STATUS = re.compile(rb"^\s*SIP/2\.0 ([1-6][0-9][0-9])", re.IGNORECASE)
GONE = 487
SILENT = 408


class Referral:
    """One of them. `done` is called once, with the status of the call that was asked for."""

    def __init__(self, done: Callable[[int], None]) -> None:
        self._done: Callable[[int], None] | None = done
        self.accepted = False

    def answered(self, response: Response | None) -> None:
        """The answer to the REFER itself."""
        if response is not None and response.status < 300:
            self.accepted = True
        else:
            self._finish(SILENT if response is None else response.status)

    def notified(self, notify: Request) -> None:
        """How far it is. A subscription that ends without a final status came to nothing."""
        # A NOTIFY may overtake the 202.
        self.accepted = True
        match = _STATUS.match(notify.body[:256])
        status = int(match[1]) if match and notify.content_type == "message/sipfrag" else 0
        if status >= 200:
            self._finish(status)
        elif notify.get("subscription-state").strip().lower().startswith("terminated"):
            self._finish(SILENT)

    def over(self, *, by_them: bool) -> None:
        """The call itself has ended. Many a trunk says no more than that when the caller has been
        passed on."""
        self._finish(200 if self.accepted and by_them else GONE)

    def _finish(self, status: int) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(status)


def outcome(status: int) -> TransferOutcome:
    """What a final status of the person's line means."""
    if status < 300:
        return "connected"
    if status in (486, 600):
        return "busy"
    if status in (408, 480, 487):
        return "no_answer"
    if status in (401, 403, 407, 603):
        return "refused"
    return "failed"
