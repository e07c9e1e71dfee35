"""Who may come in: peers by their address, trunks, and accounts by their password. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Protocol

from antiphon.channels.sip.config import AccountConfig, SipConfig
from antiphon.channels.sip.digest import Doorkeeper
from antiphon.channels.sip.guard import Bucket, Failures, Peers
from antiphon.channels.sip.message import Headers, Request
from antiphon.channels.sip.registrar import Registrar
from antiphon.channels.sip.transaction import RETRY_AFTER_S
from antiphon.channels.sip.uri import parse_uri
from antiphon.channels.sip.user_agent import CONTACT_USER, Admission, Refusal
from antiphon.channels.sip.wire import Flow
from antiphon.errors import UserFacingError

REALM = "antiphon"


class KnownTrunk(Protocol):
    """As much of a trunk as matters here."""

    @property
    def name(self) -> str: ...
    @property
    def hosts(self) -> frozenset[str]:
        """Its server's addresses, once they are known."""
        ...


class Entrance:
    """Decides.

    Args:
        clock: seconds, never going back.

    Raises:
        UserFacingError: a peer is no address.
    """

    def __init__(
        self, config: SipConfig, trunks: Mapping[str, KnownTrunk], clock: Callable[[], float]
    ) -> None:
        self._config, self._trunks, self._clock = config, trunks, clock
        try:
            self._peers = Peers(config.peers)
        except ValueError as error:
            raise UserFacingError(f"sip.peers: {error}") from None
        self._accounts: dict[str, AccountConfig] = {one.user: one for one in config.accounts}
        passwords = {one.user: one.password.value for one in config.accounts}
        self._doorkeeper = Doorkeeper(REALM, passwords, secrets.token_bytes(32), config.digests)
        self._failures = Failures(clock)
        self._calls = Bucket(config.calls_per_second, clock)
        self.registrar = Registrar(clock)

    def admit(self, request: Request, flow: Flow) -> Admission | Refusal:
        """Whether a call may come in."""
        found = self._let_in(request, flow)
        if isinstance(found, Admission) and not self._calls.take():
            return Refusal(503, (("retry-after", str(RETRY_AFTER_S)),))
        return found

    def register(self, request: Request, flow: Flow) -> Refusal:
        """What a REGISTER is answered."""
        if not self._accounts:
            return Refusal(403)
        account = self._known(request, flow)
        if isinstance(account, Refusal):
            return account
        status, headers = self.registrar.register(request, flow, account)
        return Refusal(status, headers)

    def _let_in(self, request: Request, flow: Flow) -> Admission | Refusal:
        trunk = next((one.name for one in self._trunks.values() if flow.host in one.hosts), "")
        # A password counts for more than an address: it may choose the agent.
        account = ""
        if self._accounts and request.get("authorization"):
            known = self._known(request, flow)
            if isinstance(known, Refusal):
                return known
            account = known
        elif not trunk and flow.host not in self._peers:
            return self._challenge() if self._accounts else Refusal(403)
        return Admission(self._agent(request, account, trunk), account, trunk)

    def _agent(self, request: Request, account: str, trunk: str) -> str | None:
        numbers = self._config.numbers
        for called in called_users(request):
            for name in (called, called.removeprefix("+"), f"+{called}"):
                if name in numbers:
                    return numbers[name]
        if account:
            return self._accounts[account].agent
        return self._config.trunks[trunk].agent if trunk else None

    def _known(self, request: Request, flow: Flow) -> str | Refusal:
        """Whose password came with a request."""
        values = [value for key, value in request.headers if key == "authorization"]
        if not values:
            return self._challenge()
        if self._failures.barred(flow.host):
            return Refusal(403)
        verdict, user = self._doorkeeper.judge(values, request.method, self._clock())
        if verdict == "ok":
            return user
        if verdict == "wrong":
            self._failures.add(flow.host)
        return self._challenge(stale=verdict == "stale")

    def _challenge(self, *, stale: bool = False) -> Refusal:
        values = self._doorkeeper.challenges(self._clock(), stale=stale)
        headers: Headers = tuple(("www-authenticate", value) for value in values)
        return Refusal(401, headers)


def called_users(request: Request) -> list[str]:
    """Who was called, the best name first. A trunk that we are registered at asks for our contact,
    and tells the number in `To` only."""
    users = [parse_uri(request.uri).user.partition(";")[0], request.to.uri.user]
    if users[0] == CONTACT_USER:
        users.reverse()
    return [user for user in users if user] or [""]
