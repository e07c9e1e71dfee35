"""Our SIP endpoint: answers calls with agents, makes calls, signs in at trunks and lets telephones
sign in.

    endpoint = SipEndpoint(supervisor, config)
    await endpoint.start()
    ...
    await endpoint.aclose()
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from antiphon.channels.base import Call, CallFacts, TelephoneIO, TransferResult, TransferTarget
from antiphon.channels.rtp.coding import pcm_rate_hz
from antiphon.channels.rtp.line import RtpLine
from antiphon.channels.rtp.opus import opus_available
from antiphon.channels.sip import sdp
from antiphon.channels.sip.call import RECORD_TIMEOUT_S, SipCall
from antiphon.channels.sip.config import SipConfig
from antiphon.channels.sip.dialing import CallOrder
from antiphon.channels.sip.entrance import Entrance, called_users
from antiphon.channels.sip.leg import Leg
from antiphon.channels.sip.message import Request
from antiphon.channels.sip.outbound import OnStatus, ring
from antiphon.channels.sip.station import Station
from antiphon.channels.sip.transaction import RETRY_AFTER_S
from antiphon.channels.sip.transfer import Speak, Transferring
from antiphon.channels.sip.trunk import Trunk
from antiphon.channels.sip.uri import Address, AddressError, Uri, parse_uri
from antiphon.channels.sip.user_agent import Admission, Options, Refusal
from antiphon.channels.sip.wire import Flow
from antiphon.errors import CapacityError, UserFacingError

log = logging.getLogger(__name__)

RETRY = (("retry-after", str(RETRY_AFTER_S)),)
_NUMBER = re.compile(r"\+?[0-9][0-9 ()/.\-]{1,30}")


class CallHost(Protocol):
    """Who takes calls: the supervisor."""

    def check(self, agent: str | None) -> str:
        """The agent's name; raises UserFacingError and CapacityError."""
        ...

    async def start_call(self, call: Call, agent: str | None) -> TelephoneIO: ...


class SipEndpoint:
    """One per process.

    Args:
        host: who takes calls.
        config: `sip` of `phone.yaml`.
        speak: speaks what a person is told before a caller is passed to them; without it they hear
            nothing, and press 1.

    Raises:
        UserFacingError: something in the configuration cannot be.
    """

    def __init__(self, host: CallHost, config: SipConfig, speak: Speak | None = None) -> None:
        self._host, self._config, self._speak = host, config, speak
        codecs = tuple(name for name in config.codecs if name != "opus" or opus_available())
        if not codecs:
            raise UserFacingError("sip.codecs: Opus needs libopus, which is not installed here")
        self._station = Station(
            self,
            config.host,
            config.port,
            tcp=config.tcp,
            advertised_host=config.advertised_host,
            options=Options(codecs=codecs),
        )
        self.trunks: Mapping[str, Trunk] = {
            name: Trunk(name, trunk, self._station) for name, trunk in config.trunks.items()
        }
        self._entrance = Entrance(config, self.trunks, time.monotonic)
        self._calls: dict[asyncio.Task[None], SipCall | None] = {}
        self._registering: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """Where it listens, on UDP and TCP."""
        return self._station.port

    @property
    def calls(self) -> int:
        """How many are under way or beginning."""
        return len(self._calls)

    @property
    def registrations(self) -> Mapping[str, str]:
        """How each trunk is: `registered`, `refused: 403 ...` and the like."""
        return MappingProxyType(
            {
                name: f"{trunk.state}: {trunk.detail}" if trunk.detail else trunk.state
                for name, trunk in self.trunks.items()
            }
        )

    @property
    def phones(self) -> int:
        """How many contacts are signed in."""
        return len(self._entrance.registrar)

    async def start(self) -> None:
        """Listen, and sign in.

        Raises:
            UserFacingError: the port is taken.
        """
        await self._station.start()
        for trunk in self.trunks.values():
            task = asyncio.create_task(trunk.run(), name="sip-trunk")
            self._registering.append(task)

    async def aclose(self) -> None:
        """Hang up, sign out, close. Idempotent."""
        for task, call in list(self._calls.items()):
            if call is None:
                task.cancel()
            else:
                call.end("server stopped")
        if self._calls:
            await asyncio.wait(self._calls, timeout=RECORD_TIMEOUT_S)
        for task in [*self._calls, *self._registering]:
            task.cancel()
        signed_in = [trunk for trunk in self.trunks.values() if trunk.state == "registered"]
        for trunk in signed_in:
            await trunk.sign_out()
        await self._station.aclose()

    # ---- calls that come in ------------------------------------------------------------------

    def admit(self, request: Request, flow: Flow) -> Admission | Refusal:
        return self._entrance.admit(request, flow)

    def register(self, request: Request, flow: Flow) -> Refusal:
        return self._entrance.register(request, flow)

    def invited(self, leg: Leg, invite: Request, admission: Admission) -> None:
        task = asyncio.create_task(self._serve(leg, invite, admission), name="sip-call")
        self._calls[task] = None
        task.add_done_callback(self._forget)

    async def _serve(self, leg: Leg, invite: Request, admission: Admission) -> None:
        """One call from the INVITE to its end."""
        call: SipCall | None = None
        try:
            agent = self._host.check(admission.agent)
            leg.ring()
            line = await RtpLine.open(self._station.bind_host, self._config.rtp_ports)
            call = SipCall(line, _facts(invite), self._rate_hz(leg), self, admission.trunk)
            call.leg, leg.user = leg, call
            this = asyncio.current_task()
            assert this is not None
            self._calls[this] = call
            call.begin(await self._host.start_call(call, agent))
            leg.accept(self._station.media_host(leg.dialog.flow), line.port)
            await call.run()
        except CapacityError:
            leg.refuse(503, *RETRY)
        except UserFacingError:
            leg.refuse(404)
        except Exception:
            # The outermost frame of a call; other calls go on.
            log.exception("a SIP call failed")
            leg.refuse(500)
        finally:
            leg.hang_up("internal error")
            if call is not None:
                await call.release()

    def _rate_hz(self, leg: Leg) -> int:
        """What the session is to speak at; the line converts when another codec comes of it."""
        if leg.offer is None or leg.offer.audio < 0:
            return 8000
        agreed = sdp.agree(leg.offer.media[leg.offer.audio], self._station.agent.codecs)
        return pcm_rate_hz(agreed.codec)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._calls.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a SIP call ended badly", exc_info=error)

    # ---- calls of ours -----------------------------------------------------------------------

    async def dial(
        self,
        to: str,
        *,
        trunk: str | None = None,
        sender: str = "",
        ring_s: float = 30.0,
        variables: Mapping[str, str] | None = None,
        on_status: OnStatus | None = None,
    ) -> SipCall:
        """Call somebody and wait for the answer. Give the call to `run_call` then, or `release` it.

        Args:
            to: a number, an account that is signed in to us, or a `sip:` address.
            trunk: by which of ours; None: the first, for numbers.
            sender: what is shown; the trunk's user when empty.
            on_status: told `ringing`, `answered`, `busy`, `no_answer`, `failed`.

        Raises:
            UserFacingError: the address, or its server, is not known.
            CapacityError: there is no free port for the sound.
            DialFailed: nobody took it.
        """
        target, flow, by = await self._way(to, trunk)
        here = self._station.media_host(flow)
        if by is not None:
            caller = Uri("sip", _digits(sender) or by.config.user or "antiphon", by.domain)
        else:
            caller = Uri("sip", _digits(sender) or "antiphon", here)
        line = await RtpLine.open(self._station.bind_host, self._config.rtp_ports)
        opus = "opus" in self._station.agent.codecs
        facts = CallFacts("outbound", sender or caller.user, to, secrets.token_hex(8))
        if variables:
            facts = CallFacts("outbound", facts.caller, to, facts.line_call_id, variables)
        name = "" if by is None else by.name
        call = SipCall(line, facts, 16_000 if opus else 8000, self, name)
        credentials = None if by is None else by.credentials
        order = CallOrder(target, flow, Address(caller), (here, line.port), credentials)
        await ring(self._station.agent, order, call, ring_s, on_status)
        return call

    async def run_call(self, call: SipCall, agent: str | None) -> TelephoneIO:
        """Give a call that was answered to an agent; it is looked after until its end.

        Raises:
            UserFacingError: there is no such agent, or no call can be taken; it is hung up then.
        """
        try:
            io = await self._host.start_call(call, agent)
        except BaseException:
            await call.release()
            raise
        call.begin(io)
        self.keep(call)
        return io

    def keep(self, call: SipCall) -> None:
        task = asyncio.create_task(call.run(), name="sip-call")
        self._calls[task] = call
        task.add_done_callback(self._forget)

    async def _way(self, to: str, trunk: str | None) -> tuple[Uri, Flow, Trunk | None]:
        """Whom to ask for, where to send that, and by which trunk."""
        if to.lower().startswith(("sip:", "sips:")):
            try:
                uri = parse_uri(to)
            except AddressError:
                raise UserFacingError("That SIP address cannot be read.") from None
            if trunk is not None and uri.host == self.trunks[trunk].domain:
                return uri, await self.trunks[trunk].flow(), self.trunks[trunk]
            return uri, await self._station.resolve(uri), None
        binding = self._entrance.registrar.find(to)
        if binding is not None and trunk is None:
            return binding.uri, binding.flow, None
        if not _NUMBER.fullmatch(to):
            raise UserFacingError(f"{to[:40]!r} is neither a number nor somebody who is signed in.")
        name = trunk or next(iter(self.trunks), "")
        if name not in self.trunks:
            raise UserFacingError("There is no trunk to call numbers by; add one to sip.trunks.")
        by = self.trunks[name]
        return by.address(_digits(to)), await by.flow(), by

    # ---- passing callers on ------------------------------------------------------------------

    async def transfer(self, call: SipCall, target: TransferTarget) -> TransferResult:
        return await Transferring(call, target, self, self._speak).run()

    def refer_to(self, call: SipCall, to: str) -> Uri:
        if to.lower().startswith(("sip:", "sips:", "tel:")):
            return parse_uri(to)
        if call.trunk in self.trunks:
            return self.trunks[call.trunk].address(_digits(to))
        assert call.leg is not None
        there = call.leg.dialog.remote.uri
        return Uri("sip", _digits(to), there.host, there.port)


def _digits(number: str) -> str:
    return re.sub(r"[^0-9A-Za-z+_.*#\-]" if not number[:1].isdigit() else r"[^0-9+]", "", number)


def _facts(invite: Request) -> CallFacts:
    """Who calls whom."""
    caller, called = invite.from_.uri, called_users(invite)[0]
    return CallFacts(
        "inbound", _plain(caller.user or caller.host), _plain(called), _plain(invite.call_id)
    )


def _plain(text: str) -> str:
    """Without bytes that are no text, and not long."""
    return text.encode("utf-8", "replace").decode("utf-8", "replace")[:128]
