"""A SIP station: the sockets, the clock and the user agent behind them. What answers calls and what
only makes them is built on it."""

from __future__ import annotations

import asyncio
import logging
import socket
import time

from antiphon.channels.sip.leg import Leg
from antiphon.channels.sip.message import Request
from antiphon.channels.sip.sockets import Sockets
from antiphon.channels.sip.uri import Uri
from antiphon.channels.sip.user_agent import Admission, Gate, Options, Refusal, UserAgent
from antiphon.channels.sip.wire import Flow, Timers, Transport
from antiphon.errors import UserFacingError

log = logging.getLogger(__name__)

RESOLVE_TIMEOUT_S = 5.0
PORT = 5060
MOST_LOCALS = 256
CLOSE_S = 0.3
"""How long the last messages have before the sockets close."""


class Station:
    """One of them; `start` it, and `aclose` it.

    Args:
        gate: decides what comes in; None: nothing may.
        host: the address to listen on.
        port: 0: a free one.
        advertised_host: what we call ourselves; empty: the address by which a peer is reached.
    """

    def __init__(
        self,
        gate: Gate | None,
        host: str,
        port: int,
        *,
        tcp: bool = True,
        advertised_host: str = "",
        options: Options = Options(),  # noqa: B008  (frozen)
    ) -> None:
        self._host, self._port, self._tcp = host, port, tcp
        self._advertised = advertised_host
        self._locals: dict[str, str] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.sockets = Sockets(self._received)
        self.timers = Timers(time.monotonic, self._wake)
        self.agent = UserAgent(self.sockets.send, self.timers, gate or _Closed(), self, options)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.sockets.port

    @property
    def bind_host(self) -> str:
        return self._host

    async def start(self) -> None:
        """Listen.

        Raises:
            UserFacingError: that cannot be.
        """
        self._loop = asyncio.get_running_loop()
        try:
            await self.sockets.open(self._host, self._port, tcp=self._tcp)
        except OSError as error:
            raise UserFacingError(
                f"SIP cannot listen on {self._host}:{self._port} ({error.strerror or error}): "
                "change `sip.host` or `sip.port` in phone.yaml"
            ) from error

    async def aclose(self) -> None:
        """End all calls and close. Idempotent."""
        if self._loop is None:
            return
        if self.agent.legs:
            for leg in list(self.agent.legs.values()):
                leg.hang_up("server stopped")
            await asyncio.sleep(CLOSE_S)
        self.agent.close()
        self._loop = None
        if self._handle is not None:
            self._handle.cancel()
        await self.sockets.aclose()

    # ---- where we are ------------------------------------------------------------------------

    def address(self, flow: Flow) -> tuple[str, int]:
        return self.media_host(flow), self.port

    def media_host(self, flow: Flow) -> str:
        """The address that somebody there reaches us at."""
        if self._advertised:
            return self._advertised
        if self._host not in ("0.0.0.0", "::", ""):
            return self._host
        known = self._locals.get(flow.host)
        if known is None:
            if len(self._locals) >= MOST_LOCALS:
                self._locals.clear()
            known = self._locals[flow.host] = local_address(flow.host)
        return known

    async def resolve(self, uri: Uri, transport: Transport | None = None) -> Flow:
        """Where requests for an address go. SRV records are not asked for.

        Raises:
            UserFacingError: its host is not known.
        """
        wanted = transport or ("tcp" if uri.param("transport").lower() == "tcp" else "udp")
        hosts = await resolve(uri.host, uri.port or PORT)
        return Flow(wanted, hosts[0], uri.port or PORT)

    # ---- the loop ----------------------------------------------------------------------------

    def _received(self, data: bytes, flow: Flow) -> None:
        try:
            self.agent.received(data, flow)
        except Exception:
            # The outermost frame of a message: others go on. No message is known that gets here.
            log.exception("a SIP message was not understood")

    def _wake(self, due_s: float) -> None:
        if self._loop is None:
            return
        if self._handle is not None:
            self._handle.cancel()
        delay_s = max(0.0, due_s - time.monotonic())
        self._handle = self._loop.call_later(delay_s, self._tick)

    def _tick(self) -> None:
        self._handle = None
        try:
            self.timers.run()
        except Exception:
            log.exception("a SIP timer failed")
        deadline = self.timers.deadline
        if deadline is not None:
            self._wake(deadline)


class _Closed:
    """Lets nobody in."""

    def admit(self, request: Request, flow: Flow) -> Admission | Refusal:
        return Refusal(403)

    def invited(self, leg: Leg, invite: Request, admission: Admission) -> None:
        leg.refuse(403)

    def register(self, request: Request, flow: Flow) -> Refusal:
        return Refusal(405)


def local_address(host: str) -> str:
    """The address that this machine has towards another one; nothing is sent."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, at least one.

    Raises:
        UserFacingError: it is not known.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_DGRAM)
    except (OSError, TimeoutError, UnicodeError):
        raise UserFacingError(f"The SIP server {host} is not found; check its name.") from None
    return list(dict.fromkeys(str(one[4][0]) for one in found))
