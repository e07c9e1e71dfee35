"""Only calling: a station for tests, load and `antiphon phone-sim`, which nobody can call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from antiphon.channels.base import CallFacts
from antiphon.channels.rtp.codec import Codec
from antiphon.channels.rtp.ends import LineEnd
from antiphon.channels.rtp.line import RtpLine
from antiphon.channels.sip.call import SipCall
from antiphon.channels.sip.dialing import CallOrder
from antiphon.channels.sip.digest import Credentials
from antiphon.channels.sip.outbound import OnStatus, ring
from antiphon.channels.sip.station import Station
from antiphon.channels.sip.uri import Address, AddressError, Uri, parse_uri
from antiphon.channels.sip.user_agent import Options
from antiphon.errors import UserFacingError

RING_S = 30.0


@dataclass(frozen=True, slots=True)
class CallerOptions:
    """Who calls and from where. `port` 0: any."""

    host: str = "127.0.0.1"
    port: int = 0
    user: str = "caller"
    credentials: Credentials | None = None
    codecs: Sequence[str] = ("PCMU", "PCMA")
    rtp_ports: tuple[int, int] = (30_000, 39_999)


class PlacedCall:
    """A call that was answered. Give it an end with `attend`; then the sound begins."""

    def __init__(self, call: SipCall, owner: Caller | None = None) -> None:
        self._call, self._owner = call, owner

    @property
    def codec(self) -> Codec:
        """What is sent."""
        leg = self._call.leg
        assert leg is not None
        assert leg.audio.agreed is not None
        return leg.audio.agreed.codec

    @property
    def line(self) -> RtpLine:
        return self._call.line

    @property
    def ended(self) -> bool:
        """Whether either side has hung up."""
        return self._call.ended

    def attend(self, end: LineEnd) -> None:
        """Who speaks and listens here: 16 kHz frames of 20 ms come to `on_audio`."""
        self._call.attend(end)

    def press(self, digits: str) -> None:
        self._call.press(digits)

    def hold(self, held: bool) -> None:
        """Put the other side on hold, or take it back."""
        assert self._call.leg is not None
        self._call.leg.hold(held, lambda _: None)

    async def wait_over(self) -> None:
        """Until the call is over, and its ports are free."""
        try:
            await self._call.run()
        finally:
            if self._owner is not None:
                await self._owner.aclose()

    async def hang_up(self) -> None:
        """Idempotent."""
        self._call.end("caller hung up")
        await self.wait_over()


class Caller:
    """Makes any number of calls over one port: `async with Caller() as caller`."""

    def __init__(self, options: CallerOptions = CallerOptions()) -> None:
        self._options = options
        self._station = Station(
            None,
            options.host,
            options.port,
            tcp=False,
            options=Options(codecs=tuple(options.codecs), user=options.user),
        )

    async def start(self) -> None:
        """Raises UserFacingError where the port is taken."""
        await self._station.start()

    async def aclose(self) -> None:
        """Hang up and close. Idempotent."""
        await self._station.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def call(
        self, uri: str, *, ring_s: float = RING_S, on_status: OnStatus | None = None
    ) -> PlacedCall:
        """Call a `sip:` address and wait for the answer.

        Raises:
            UserFacingError: the address cannot be read or found.
            CapacityError: there is no free port for the sound.
            DialFailed: nobody took the call.
        """
        return PlacedCall(await self._ring(uri, ring_s, on_status))

    async def _ring(self, uri: str, ring_s: float, on_status: OnStatus | None) -> SipCall:
        options, target = self._options, _sip(uri)
        flow = await self._station.resolve(target)
        here = self._station.media_host(flow)
        line = await RtpLine.open(options.host, options.rtp_ports)
        rate_hz = 16_000 if "opus" in options.codecs else 8000
        call = SipCall(line, CallFacts("outbound", options.user, uri), rate_hz)
        caller = Address(Uri("sip", options.user, here, self._station.port))
        order = CallOrder(target, flow, caller, (here, line.port), options.credentials)
        await ring(self._station.agent, order, call, ring_s, on_status)
        return call


async def place_call(
    uri: str,
    options: CallerOptions = CallerOptions(),
    *,
    ring_s: float = RING_S,
) -> PlacedCall:
    """One call over a port of its own, which closes with it. Raises like `Caller.call`."""
    caller = Caller(options)
    await caller.start()
    try:
        return PlacedCall(await caller._ring(uri, ring_s, None), caller)
    except BaseException:
        await caller.aclose()
        raise


def _sip(text: str) -> Uri:
    try:
        uri = parse_uri(text)
    except AddressError:
        uri = Uri("")
    if not uri.is_sip:
        raise UserFacingError(f"{text[:80]!r} is no address to call; write sip:user@host:port")
    return uri
