"""Runs the HTTP server and its supervisor from start to a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import uvicorn
from fastapi import FastAPI

from antiphon.errors import UserFacingError
from antiphon.observe.metrics import METRICS, Metrics
from antiphon.server.app import Host, create_app
from antiphon.server.direct import DirectProtocol
from antiphon.server.outbound import Outbound
from antiphon.server.phone_service import PhoneService
from antiphon.server.settings import ServerSettings

START_TIMEOUT_S = 120.0
CLOSE_GRACE_S = 5.0
MAX_CONNECTIONS = 2_000
"""Open HTTP connections; beyond that uvicorn answers 503 itself."""


class ManagedHost(Host, Protocol):
    """A supervisor that can be started and drained."""

    async def start(self) -> None: ...
    async def drain(self, timeout_s: float) -> None: ...


class Line(Protocol):
    """A way of being called besides HTTP: the SIP endpoint. Its `aclose` has a deadline."""

    async def start(self) -> None: ...
    async def aclose(self) -> None: ...


class ManagedServer(uvicorn.Server):
    """uvicorn ends at the first signal; here the calls come first, so `serve_until` sees to it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True, slots=True)
class Parts:
    """What a process has to serve."""

    host: ManagedHost
    metrics: Metrics = METRICS
    phone: PhoneService | None = None
    outbound: Outbound | None = None
    sip: Line | None = None

    def app(self, settings: ServerSettings) -> FastAPI:
        """The application."""
        return create_app(self.host, settings, self.metrics, self.phone, self.outbound)


class Stop:
    """Somebody wants the server to stop: when its calls are over, or, asked again, at once."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()

    def ask(self) -> None:
        """Once more."""
        self.order(2 if self.asked.is_set() else 1)

    def order(self, level: int) -> None:
        """1: when the calls are over; 2: at once. What was ordered stays so."""
        self.asked.set()
        if level >= 2:
            self.at_once.set()


async def run(
    host: ManagedHost,
    settings: ServerSettings,
    on_ready: Callable[[ServerSettings], None],
    metrics: Metrics = METRICS,
    phone: PhoneService | None = None,
    outbound: Outbound | None = None,
    sip: Line | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then take no more calls, give the present ones
    `settings.drain_s`, and end. A second signal ends at once.

    The page is served while the supervisor still starts; `on_ready` is called when calls can be
    taken, with the port that was really opened.

    Raises:
        UserFacingError: the address cannot be used, or the supervisor could not start.
    """
    listener = listen(settings)
    settings = settings.model_copy(update={"port": listener.getsockname()[1]})
    parts = Parts(host, metrics, phone, outbound, sip)
    server = ManagedServer(http_config(parts.app(settings)))
    stop = Stop()
    try:
        with stop_signals(stop):
            await serve_until(
                stop, server, [listener], parts, settings.drain_s, lambda: on_ready(settings)
            )
    finally:
        listener.close()


async def serve_until(
    stop: Stop,
    server: uvicorn.Server,
    listeners: list[socket.socket],
    parts: Parts,
    drain_s: float,
    on_ready: Callable[[], None],
) -> None:
    """Start everything, serve until `stop`, and end in good order; raises like `run`."""
    outbound, sip, host = parts.outbound, parts.sip, parts.host
    serving = asyncio.create_task(server.serve(listeners), name="http-server")
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            if outbound is not None:
                await outbound.start()
            await host.start()
            if sip is not None:
                await sip.start()
        _spare_the_collector()
        on_ready()
        await _first(serving, stop.asked)
    finally:
        stop.asked.set()
        draining = asyncio.create_task(host.drain(drain_s), name="drain")
        await _first(draining, stop.at_once)
        draining.cancel()
        if sip is not None:
            await sip.aclose()
        server.should_exit = True
        # Whoever signals twice does not want to wait for open connections either.
        server.force_exit = stop.at_once.is_set()
        await asyncio.wait([serving, draining], timeout=CLOSE_GRACE_S * 2)
    for task in (draining, serving):
        if task.done() and not task.cancelled():
            task.result()


def _spare_the_collector() -> None:
    """What is loaded by now stays. Looking through all of it for garbage takes a tenth of a second
    and more, in which no call moves; so it is left out from now on."""
    gc.collect()
    gc.freeze()


async def _first(task: asyncio.Task[None], event: asyncio.Event) -> None:
    """Until the task is done or the event set."""
    waiting = asyncio.create_task(event.wait())
    # No deadline here: this is what the server does all day, and draining has its own.
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


@contextlib.contextmanager
def stop_signals(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT ask for the end."""
    loop = asyncio.get_running_loop()
    wanted = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in wanted}
    try:
        for number in wanted:
            loop.add_signal_handler(number, stop.ask)
    except NotImplementedError:
        # Windows: the handler runs between two steps of the loop, which it has to wake up.
        for number in wanted:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.ask))
    try:
        yield
    finally:
        for number in wanted:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def http_config(app: object) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        server_header=False,
        ws=DirectProtocol,
        ws_per_message_deflate=False,
        ws_max_size=64 * 1024,
        ws_ping_interval=10.0,
        ws_ping_timeout=10.0,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=int(CLOSE_GRACE_S),
        limit_concurrency=MAX_CONNECTIONS,
    )


def listen(settings: ServerSettings) -> socket.socket:
    """The socket, opened before anything expensive is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise UserFacingError(f"There is no address {settings.host!r} on this machine.") from None
    listener = socket.socket(family, kind, protocol)
    # Otherwise a port is blocked for a minute after each restart (RFC 9293 section 3.6.1).
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise UserFacingError(_why_not(error, settings)) from None
    listener.setblocking(False)
    return listener


def _why_not(error: OSError, settings: ServerSettings) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {settings.port} is taken by another program. "
            f"Stop it, or choose another: antiphon serve --port {settings.port + 1}"
        )
    if error.errno == errno.EACCES:
        return f"Port {settings.port} needs root; choose one above 1023: antiphon serve --port 8080"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{settings.host} is not an address of this machine; try --host 127.0.0.1"
    return f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}."
