"""Telephones and PBXs that sign in to us, and where they are (RFC 3261 section 10.3). Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from antiphon.channels.sip.message import Headers, Request
from antiphon.channels.sip.uri import Address, AddressError, Uri, parse_address
from antiphon.channels.sip.wire import Flow

LEAST_S = 60
LONGEST_S = 3_600
MOST_CONTACTS = 5
"""Of one account; the oldest gives way."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One place where somebody can be reached. `flow` is how the registration came: through a NAT
    there is no other way back."""

    uri: Uri
    flow: Flow
    until_s: float
    call_id: str
    seq: int


class Registrar:
    """All of them; bounded by the accounts there are.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bindings: dict[str, dict[str, Binding]] = {}

    def register(self, request: Request, flow: Flow, account: str) -> tuple[int, Headers]:
        """Status and headers of the answer. The password has been checked."""
        if request.to.uri.user != account:
            return 403, ()
        values = request.all("contact")
        mine = self._bindings.setdefault(account, {})
        self._expire(mine)
        if values == ["*"]:
            if _seconds(request.get("expires")) != 0:
                return 400, ()
            mine.clear()
            return 200, ()
        try:
            contacts = [parse_address(value) for value in values[: MOST_CONTACTS + 1]]
        except AddressError:
            return 400, ()
        if len(contacts) > MOST_CONTACTS or any(not one.uri.is_sip for one in contacts):
            return 400, ()
        for contact in contacts:
            if not self._bind(mine, contact, request, flow):
                return 423, (("min-expires", str(LEAST_S)),)
        now_s = self._clock()
        return 200, tuple(
            ("contact", f"<{one.uri}>;expires={max(0, round(one.until_s - now_s))}")
            for one in mine.values()
        )

    def find(self, account: str) -> Binding | None:
        """Where somebody is who signed in last; None for nobody."""
        mine = self._bindings.get(account, {})
        self._expire(mine)
        return max(mine.values(), key=lambda one: one.until_s, default=None)

    def __len__(self) -> int:
        for mine in self._bindings.values():
            self._expire(mine)
        return sum(len(mine) for mine in self._bindings.values())

    def _bind(
        self, mine: dict[str, Binding], contact: Address, request: Request, flow: Flow
    ) -> bool:
        asked = _seconds(contact.param("expires"))
        if asked is None:
            asked = _seconds(request.get("expires"))
        seconds = LONGEST_S if asked is None else min(asked, LONGEST_S)
        key, known = str(contact.uri), mine.get(str(contact.uri))
        number = request.cseq[0]
        if known is not None and known.call_id == request.call_id and number <= known.seq:
            return True
        if seconds == 0:
            mine.pop(key, None)
            return True
        if seconds < LEAST_S:
            return False
        mine.pop(key, None)
        until_s = self._clock() + seconds
        mine[key] = Binding(contact.uri, flow, until_s, request.call_id, number)
        while len(mine) > MOST_CONTACTS:
            mine.pop(next(iter(mine)))
        return True

    def _expire(self, mine: dict[str, Binding]) -> None:
        now_s = self._clock()
        for key in [key for key, one in mine.items() if one.until_s <= now_s]:
            del mine[key]


def _seconds(text: str) -> int | None:
    text = text.strip()
    return int(text[:9]) if text.isascii() and text.isdigit() else None
