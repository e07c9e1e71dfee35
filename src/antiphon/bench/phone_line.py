"""A caller's connection: the WebSocket, the clock, and where the stream is.

No task per call: the WebSocket is the library's sans-IO one on a transport, and a timer of the
event loop sends. So a process can hold many callers without being late itself.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any, cast

from antiphon.bench.phone_caller import FRAME_MS, SimCall
from antiphon.bench.phone_wire import StreamPlace, moved_to, read_twiml, sign
from antiphon.errors import UserFacingError

CONNECT_TIMEOUT_S = 15.0
CLOSE_TIMEOUT_S = 3.0


class NotConnected(UserFacingError):
    """The server could not be reached, or did not take the call."""


class Caller(asyncio.Protocol):
    """One call over a WebSocket, in real time.

    Args:
        call: the caller.
        url: of the stream.
        headers: of the handshake besides, such as its signature.
        speed: how often faster than real time, where the server can follow.
        late: told how late each tick is, in ms: that of this process.
    """

    def __init__(
        self,
        call: SimCall,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        speed: float = 1.0,
        late: Callable[[float], None] | None = None,
    ) -> None:
        from websockets.client import ClientProtocol
        from websockets.uri import parse_uri

        self._call, self._url, self._speed, self._late = call, url, speed, late
        self._uri = parse_uri(url)
        self._wire = ClientProtocol(self._uri, max_size=2**24)
        self._headers = dict(headers or {})
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._open: asyncio.Future[None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._begun_s = self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """The whole call.

        Raises:
            NotConnected: it did not come about.
        """
        try:
            await self._connect()
            self._begun_s = self._due_s = self._loop.time()
            self._write(self._call.open())
            self._tick()
            # No deadline: the plan of the call has one, and the connection may end before.
            await self._gone
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._open.cancel()
            self._drop()

    async def _connect(self) -> None:
        tls = ssl.create_default_context() if self._uri.secure else None
        host, port = self._uri.host, self._uri.port
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._loop.create_connection(lambda: self, host, port, ssl=tls)
                await self._open
        except TimeoutError:
            raise NotConnected(f"{self._url}: no answer in {CONNECT_TIMEOUT_S:.0f} s") from None
        except OSError as error:
            raise NotConnected(f"{self._url}: cannot connect ({error})") from None

    # ---- the clock -------------------------------------------------------------------------

    def _now_ms(self) -> float:
        return (self._loop.time() - self._begun_s) * 1000 * self._speed

    def _tick(self) -> None:
        if self._call.over or self._transport is None:
            return
        now_ms = self._now_ms()
        if self._late is not None:
            self._late((self._loop.time() - self._due_s) * 1000)
        self._write(self._call.tick(now_ms))
        if self._call.over:
            self._hang_up()
            return
        step_s = FRAME_MS / 1000 / self._speed
        self._due_s += step_s * max(1, -int((self._due_s - self._loop.time()) // step_s))
        self._timer = self._loop.call_at(self._due_s, self._tick)

    def _hang_up(self) -> None:
        if self._transport is None:
            return
        if self._wire.state.name == "OPEN":
            self._wire.send_close(1000)
        self._flush()
        self._timer = self._loop.call_later(CLOSE_TIMEOUT_S, self._drop)

    def _drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # ---- the WebSocket ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        request = self._wire.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        self._wire.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._wire.receive_data(data)
        self._take()

    def eof_received(self) -> None:
        self._wire.receive_eof()
        self._take()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self._open.done():
            self._open.set_exception(NotConnected(f"{self._url}: the server hung up at once"))
        code = self._wire.close_code
        self._call.end("the agent hung up" if code in (1000, 1001, 1005) else "connection lost")
        if not self._gone.done():
            self._gone.set_result(None)

    def _take(self) -> None:
        for event in self._wire.events_received():
            if self._open.cancelled():
                return
            if not self._open.done():
                self._opened(event)
                continue
            frame = cast("Any", event)
            if frame.opcode.name == "TEXT":
                self._call.receive(frame.data.decode("utf-8", "replace"), self._now_ms())
            elif frame.opcode.name == "BINARY":
                self._call.receive(bytes(frame.data), self._now_ms())
        if self._wire.handshake_exc is not None and not self._open.done():
            self._opened(None)
        self._flush()

    def _opened(self, event: object) -> None:
        error = self._wire.handshake_exc
        if error is None:
            self._open.set_result(None)
            return
        status = getattr(event, "status_code", None)
        said = f"it answered {status}" if status else str(error)
        self._open.set_exception(NotConnected(f"{self._url}: no WebSocket, {said}"))

    def _write(self, messages: list[str]) -> None:
        if self._transport is None or self._wire.state.name != "OPEN":
            return
        for message in messages:
            self._wire.send_text(message.encode())
        self._flush()

    def _flush(self) -> None:
        if self._transport is None:
            return
        for data in self._wire.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()


async def ask_voice(
    voice_url: str, form: Mapping[str, str], auth_token: str, public_url: str = ""
) -> StreamPlace:
    """POST Twilio's webhook of an incoming call, signed, and read where the stream is.

    With `public_url` the request is signed for the server's public name and sent to `voice_url`
    none the less, and so is the stream's place.

    Raises:
        NotConnected: no answer, or not 200.
        UserFacingError: the answer connects the call to nothing.
    """
    import httpx

    path = httpx.URL(voice_url).raw_path.decode()
    signed_url = public_url.rstrip("/") + path if public_url else voice_url
    headers = {"X-Twilio-Signature": sign(auth_token, signed_url, form)} if auth_token else {}
    try:
        # Reading all certificates takes its time, and many callers may do so at once.
        tls = voice_url.startswith("https")
        async with httpx.AsyncClient(
            timeout=CONNECT_TIMEOUT_S, trust_env=False, verify=tls
        ) as client:
            answer = await client.post(voice_url, data=dict(form), headers=headers)
    except httpx.HTTPError as error:
        raise NotConnected(f"{voice_url}: {error or type(error).__name__}") from None
    if answer.status_code != 200:
        hint = " (is the auth token the server's, and the public URL the same?)"
        raise NotConnected(
            f"{voice_url}: it answered {answer.status_code}"
            f"{hint if answer.status_code == 403 else ''}"
        )
    place = read_twiml(answer.text)
    return StreamPlace(moved_to(place.url, voice_url), place.parameters) if public_url else place


def incoming_form(call_sid: str, account_sid: str, caller: str, called: str) -> dict[str, str]:
    """The fields of the webhook of an incoming call that Twilio always sends."""
    return {
        "AccountSid": account_sid,
        "ApiVersion": "2010-04-01",
        "CallSid": call_sid,
        "CallStatus": "ringing",
        "Called": called,
        "Caller": caller,
        "Direction": "inbound",
        "From": caller,
        "To": called,
    }
