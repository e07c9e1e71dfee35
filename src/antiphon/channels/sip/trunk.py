"""Other people's SIP servers: signing in to them, and staying so (RFC 3261 section 10.2)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Literal

from antiphon.channels.sip.config import TrunkConfig
from antiphon.channels.sip.digest import Credentials
from antiphon.channels.sip.leg_user import proof_for
from antiphon.channels.sip.message import Headers, Request, Response, first_address
from antiphon.channels.sip.station import PORT, Station, resolve
from antiphon.channels.sip.uri import Address, AddressError, Uri, parse_host
from antiphon.channels.sip.wire import Flow
from antiphon.errors import UserFacingError

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
RESOLVE_EVERY_S = 300.0
KEEP_ALIVE_S = 25.0
"""NATs forget a UDP flow after 30 s or more."""
MOST_TRIES = 4
GOODBYE_S = 1.0
RegisterState = Literal["off", "trying", "registered", "refused", "unreachable"]


class Trunk:
    """One of them. `run` keeps it registered; `state` and `detail` say how that goes.

    Raises:
        UserFacingError: `server` is no host.
    """

    def __init__(self, name: str, config: TrunkConfig, station: Station) -> None:
        self.name, self.config, self._station = name, config, station
        try:
            self._host, port = parse_host(config.server)
        except AddressError:
            raise UserFacingError(
                f"sip.trunks.{name}.server: {config.server!r} is no host; write host or host:port"
            ) from None
        self._port = port or PORT
        self.domain = config.domain or self._host
        self.hosts: frozenset[str] = frozenset()
        self.state: RegisterState = "off"
        self.detail = ""
        self._flow: Flow | None = None
        self._call_id = secrets.token_hex(12)
        self._seq = 0
        self._granted_s = 0

    @property
    def credentials(self) -> Credentials | None:
        config = self.config
        if not config.user or config.password is None:
            return None
        return Credentials(config.user, config.password.value)

    async def flow(self) -> Flow:
        """Where its requests go.

        Raises:
            UserFacingError: the server is not known.
        """
        if self._flow is None:
            await self._resolve()
        assert self._flow is not None
        return self._flow

    def address(self, user: str) -> Uri:
        """Somebody there."""
        port = self._port if not self.config.domain and self._port != PORT else 0
        tcp = (("transport", "tcp"),) if self.config.transport == "tcp" else ()
        return Uri("sip", user, self.domain, port, tcp)

    async def run(self) -> None:
        """Until cancelled."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._resolve()
                wait_s = await self._sign_in() if self.config.register_s else RESOLVE_EVERY_S
            except UserFacingError as error:
                self.state, self.detail = "unreachable", str(error)
                wait_s = 0.0
            if wait_s:
                pause_s = FIRST_PAUSE_S
                await self._wait(wait_s)
            else:
                log.warning("a trunk could not be registered at", extra={"trunk": self.name})
                # All trunks of all servers must not come back at the same moment.
                await asyncio.sleep(pause_s * (0.75 + secrets.randbelow(500) / 1000))
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def sign_out(self) -> None:
        """Say that we are gone; whether it is heard or not."""
        if self.state == "registered":
            try:
                async with asyncio.timeout(GOODBYE_S):
                    await self._register(0)
            except TimeoutError:
                pass
        self.state = "off"

    async def _wait(self, seconds: float) -> None:
        """With a sign of life for the NATs on the way."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        while (left_s := until_s - loop.time()) > 0:
            await asyncio.sleep(min(left_s, KEEP_ALIVE_S))
            if self._flow is not None and self.state == "registered":
                self._station.sockets.send(b"\r\n\r\n", self._flow)

    async def _resolve(self) -> None:
        found = await resolve(self._host, self._port)
        self.hosts = frozenset(found)
        if self._flow is None or self._flow.host not in self.hosts:
            self._flow = Flow(self.config.transport, found[0], self._port)

    async def _sign_in(self) -> float:
        """How long that is good for: half of what was granted; 0 when it failed."""
        if self.state != "registered":
            self.state = "trying"
        response = await self._register(self.config.register_s)
        if response is None:
            self.state, self.detail = "unreachable", "no answer"
            return 0.0
        if response.status >= 300:
            self.state, self.detail = "refused", f"{response.status} {response.reason[:80]}"
            return 0.0
        self.state, self.detail = "registered", ""
        return max(10.0, self._lifetime(response) / 2)

    def _lifetime(self, response: Response) -> int:
        """Seconds that the registrar grants: beside our contact, or for all of them."""
        mine = first_address(response.all("contact"))
        for text in (mine.param("expires") if mine else "", response.get("expires")):
            if text.isascii() and text.isdigit() and int(text[:9]) > 0:
                return min(int(text[:9]), 86_400)
        return self.config.register_s

    async def _register(self, seconds: int) -> Response | None:
        """The final response, after a password was asked for and given; None for none."""
        proof: Headers = ()
        response: Response | None = None
        for _ in range(MOST_TRIES):
            request = self._request(seconds, proof)
            response = await self._send(request)
            if response is None:
                return None
            least = response.get("min-expires")
            if response.status in (401, 407):
                stale = any("stale=true" in value.lower() for _, value in response.headers)
                found = proof_for(response, request, self.credentials)
                if not found or (proof and not stale):
                    return response
                proof = found
            elif response.status == 423 and least.isascii() and least.isdigit():
                seconds = max(seconds, int(least[:6]))
            else:
                return response
        return response

    def _request(self, seconds: int, proof: Headers) -> Request:
        assert self._flow is not None
        self._seq += 1
        us = Address(Uri("sip", self.config.user or "antiphon", self.domain))
        return Request(
            (
                ("max-forwards", "70"),
                ("from", str(us.with_param("tag", secrets.token_hex(6)))),
                ("to", str(us)),
                ("call-id", self._call_id),
                ("cseq", f"{self._seq} REGISTER"),
                ("contact", self._station.agent.contact(self._flow)),
                ("expires", str(seconds)),
                *proof,
            ),
            b"",
            "REGISTER",
            f"sip:{self.domain}",
        )

    async def _send(self, request: Request) -> Response | None:
        assert self._flow is not None
        done: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()

        def finish(response: Response | None) -> None:
            if not done.done() and (response is None or response.status >= 200):
                done.set_result(response)

        self._station.agent.transactions.request(request, self._flow, finish, lambda: finish(None))
        # The transaction has its own deadline, 32 s.
        return await done
