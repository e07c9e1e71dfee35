"""Between a call's signalling and those around it: the user agent that it belongs to, and whose
call it is. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Protocol

from antiphon.channels.sip.digest import Credentials, answer
from antiphon.channels.sip.message import Headers, Request, Response
from antiphon.channels.sip.sdp import Agreed
from antiphon.channels.sip.transaction import Transactions
from antiphon.channels.sip.wire import Flow, Timers

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY"
ABLE: Headers = (("allow", ALLOW), ("supported", "timer"))


class Agent(Protocol):
    """What a leg needs of the user agent that it belongs to."""

    @property
    def timers(self) -> Timers: ...
    @property
    def transactions(self) -> Transactions: ...
    @property
    def codecs(self) -> tuple[str, ...]: ...

    def forget(self, key: tuple[str, str]) -> None:
        """A dialog is over."""
        ...

    def send_ack(self, ack: Request, flow: Flow) -> Callable[[], None]:
        """Send an ACK of a 2xx; what is returned sends it again."""
        ...


class LegUser(Protocol):
    """Whose call it is."""

    def on_up(self, agreed: Agreed) -> None:
        """Both sides know that they talk."""
        ...

    def on_changed(self, agreed: Agreed) -> None:
        """The other side holds, resumes, or wants its audio elsewhere or otherwise."""
        ...

    def on_key(self, key: str) -> None: ...

    def on_over(self, reason: str) -> None:
        """Once. Also when it never came up."""
        ...


def proof_for(
    response: Response, request: Request, credentials: Credentials | None, count: int = 1
) -> Headers:
    """What answers a 401 or 407; empty where nothing can."""
    if credentials is None:
        return ()
    asked, given = (
        ("www-authenticate", "authorization")
        if response.status == 401
        else ("proxy-authenticate", "proxy-authorization")
    )
    challenges = [value for key, value in response.headers if key == asked]
    value = answer(
        challenges, request.method, request.uri, credentials, secrets.token_hex(8), count
    )
    return ((given, value),) if value else ()


class Nobody:
    """A call that nobody has taken yet."""

    def on_up(self, agreed: Agreed) -> None: ...

    def on_changed(self, agreed: Agreed) -> None: ...

    def on_key(self, key: str) -> None: ...

    def on_over(self, reason: str) -> None: ...
