"""Simulated callers over SIP: the same caller as on a media stream, at the end of an RTP line."""

from __future__ import annotations

import asyncio
import base64
from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.bench.phone_caller import SimCall
from antiphon.bench.phone_impair import Impairments
from antiphon.bench.phone_sim import SPREAD_S, Made
from antiphon.bench.phone_speech import Plan
from antiphon.channels.sip.caller import CallerOptions, PlacedCall, place_call
from antiphon.channels.sip.digest import Credentials
from antiphon.channels.sip.outbound import DialFailed
from antiphon.errors import UserFacingError

MOST_WAITING = 4
"""Frames of the caller that the line has not fetched yet; the oldest is lost when there are more.
"""


@dataclass(frozen=True, slots=True)
class SipAccess:
    """Whom to call, and as whom. Codecs by name: `opus`, `PCMU`, `PCMA`."""

    uri: str
    user: str = "caller"
    password: str = ""
    codecs: tuple[str, ...] = ("PCMU", "PCMA")
    host: str = "127.0.0.1"


class _SipLine:
    """Stands where a media stream's line does: what it writes is not sent but read by `SipEnd`."""

    tells_clear = False

    def connected(self) -> str:
        return ""

    def start(self) -> str:
        return ""

    def media(self, payload: str, at_ms: int) -> str:
        return "sound:" + payload

    def lost(self) -> None:
        """Nothing is sent in its place."""

    def dtmf(self, digit: str) -> str:
        return "key:" + digit

    def mark(self, name: str) -> str:
        return ""

    def stop(self) -> str:
        return "stop:"


class SipEnd:
    """One end of an RTP line: the caller of `call` speaks and listens there."""

    output_rate_hz = 8000

    def __init__(self, call: SimCall, placed: PlacedCall) -> None:
        # It loads numpy, and the command line imports this module.
        from antiphon.audio import g711

        self._g711, self._call, self._placed = g711, call, placed
        self._loop = asyncio.get_running_loop()
        self._begun_s = self._loop.time()
        self._frames: deque[bytes] = deque(maxlen=MOST_WAITING)
        self.over = asyncio.Event()

    def on_audio(self, pcm: bytes) -> None:
        """20 ms of the agent at 16 kHz."""
        samples = array("h", pcm)
        halves = [(a + b) >> 1 for a, b in zip(samples[::2], samples[1::2], strict=True)]
        payload = self._g711.encode(array("h", halves).tobytes(), "mulaw")
        self._call.hear(payload, self._now_ms())

    def read_frame(self) -> bytes | None:
        """The caller's next 20 ms, at 8 kHz."""
        for message in self._call.tick(self._now_ms()):
            kind, _, what = message.partition(":")
            if kind == "sound":
                self._frames.append(base64.b64decode(what))
            elif kind == "key":
                self._placed.press(what)
            elif kind == "stop":
                self.over.set()
        if not self._frames:
            return None
        return self._g711.decode(self._frames.popleft(), "mulaw")

    def on_key(self, key: str) -> None:
        """The agent presses a key: nothing to a person."""

    def _now_ms(self) -> float:
        return (self._loop.time() - self._begun_s) * 1000


async def make_sip_calls(
    access: SipAccess,
    plans: Sequence[Plan],
    impairments: Impairments,
    *,
    seed: int = 0,
    record: bool = False,
) -> Made:
    """One call for each plan, all at the same time. `made.lines` tells what came over RTP."""
    made = Made()
    credentials = Credentials(access.user, access.password) if access.password else None
    options = CallerOptions(
        access.host, user=access.user, credentials=credentials, codecs=access.codecs
    )

    async def one(number: int, plan: Plan) -> None:
        await asyncio.sleep(number * SPREAD_S)
        try:
            placed = await place_call(access.uri, options)
        except (UserFacingError, DialFailed) as error:
            made.not_connected.append(f"{access.uri}: {error}")
            return
        call = SimCall(_SipLine(), plan, impairments, seed=seed, number=number, record=record)
        end = SipEnd(call, placed)
        placed.attend(end)
        over = asyncio.ensure_future(end.over.wait())
        hung_up = asyncio.ensure_future(placed.wait_over())
        try:
            # No deadline: the caller's plan has one.
            await asyncio.wait({over, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            call.end("the agent hung up")
            over.cancel()
            await placed.hang_up()
            await asyncio.wait([hung_up])
        stats = placed.line.stats
        made.lines.append(
            {
                "packets": stats.packets,
                "lost": stats.lost,
                "late": stats.late,
                "jitter_ms": round(stats.jitter_ms, 1),
                "concealed_ms": stats.concealed_ms,
            }
        )
        made.calls.append(call)

    async with asyncio.TaskGroup() as group:
        for number, plan in enumerate(plans):
            group.create_task(one(number, plan))
    return made
