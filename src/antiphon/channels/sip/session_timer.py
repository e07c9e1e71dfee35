"""Session timers: a call whose other end has vanished without a word ends after all (RFC 4028).
Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from antiphon.channels.sip.message import Headers, Request, Response
from antiphon.channels.sip.wire import Timer, Timers

USUAL_S = 1_800
LEAST_S = 90
LONGEST_S = 86_400


class TooBrief(ValueError):
    """An interval under our `Min-SE`: answer 422."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed: how often, and whether it is ours to refresh."""

    interval_s: int
    ours: bool


def read_interval(value: str) -> tuple[int, str]:
    """`1800;refresher=uac` as (1800, "uac"); (0, "") where there is none."""
    number, *params = (part.strip() for part in value.split(";"))
    if not (number.isascii() and number.isdigit()):
        return 0, ""
    who = next((p.partition("=")[2].strip().lower() for p in params if "refresher" in p), "")
    return min(int(number[:9]), LONGEST_S), who if who in ("uac", "uas") else ""


def read_least(message: Request | Response) -> int:
    """`Min-SE`; 0 where there is none."""
    return read_interval(message.get("min-se"))[0]


def as_server(request: Request) -> tuple[Terms | None, Headers]:
    """The terms that a request gets, and the headers of the 2xx that say so (section 9).

    Raises:
        TooBrief: it asks for less than we take.
    """
    interval_s, who = read_interval(request.get("session-expires"))
    knows = "timer" in request.tokens("supported")
    if not interval_s:
        if not knows:
            return None, ()
        interval_s, who = max(USUAL_S, read_least(request)), "uas"
    elif interval_s < LEAST_S:
        if knows:
            raise TooBrief
        interval_s = LEAST_S
    who = who or ("uac" if knows else "uas")
    headers: Headers = (("session-expires", f"{interval_s};refresher={who}"),)
    if who == "uac":
        headers = (*headers, ("require", "timer"))
    return Terms(interval_s, who == "uas"), headers


def as_client(response: Response) -> Terms | None:
    """The terms that a 2xx gives; without a word there are none."""
    interval_s, who = read_interval(response.get("session-expires"))
    return Terms(max(interval_s, LEAST_S), who != "uas") if interval_s else None


class SessionTimer:
    """Watches one call.

    Args:
        refresh: called at half time when that is ours.
        expired: called when the other side has not refreshed.
    """

    def __init__(
        self, timers: Timers, refresh: Callable[[], None], expired: Callable[[], None]
    ) -> None:
        self._timers, self._refresh, self._expired = timers, refresh, expired
        self._timer: Timer | None = None
        self.terms: Terms | None = None

    def begin(self, terms: Terms | None) -> None:
        """From now on by these terms; anew after each refresh."""
        self.stop()
        self.terms = terms
        if terms is None:
            return
        interval_s = terms.interval_s
        if terms.ours:
            self._timer = self._timers.after(interval_s / 2, self._refresh)
        else:
            grace_s = min(32.0, interval_s / 3)
            self._timer = self._timers.after(interval_s - grace_s, self._expired)

    def offered(self) -> Headers:
        """The headers of a refresh of ours, or of an INVITE."""
        if self.terms is None:
            return ()
        who = "uac" if self.terms.ours else "uas"
        return (
            ("session-expires", f"{self.terms.interval_s};refresher={who}"),
            ("min-se", str(LEAST_S)),
        )

    def stop(self) -> None:
        """Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
