"""Runs the HTTP server and its supervisor from start to a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import uvicorn
from fastapi import FastAPI

from antiphon.observe.metrics import METRICS, Metrics
from antiphon.server.app import Host, create_app
from antiphon.server.direct import DirectProtocol
from antiphon.server.outbound import Outbound
from antiphon.server.phone_service import PhoneService
from antiphon.server.process import Stop as Stop
from antiphon.server.process import listen as listen
from antiphon.server.process import stop_signals as stop_signals
from antiphon.server.settings import ServerSettings

START_TIMEOUT_S = 120.0
CLOSE_GRACE_S = 5.0
MAX_CONNECTIONS = 2_000
"""Open HTTP connections; beyond that uvicorn answers 503 itself."""


class ManagedHost(Host, Protocol):
    """A supervisor that can be started and drained."""

    @property
    def has_room(self) -> bool:
        """Whether one more call would be taken."""
        ...

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
    serving = asyncio.create_task(server.serve(listeners), name="http-server")
    starting = asyncio.create_task(_start(parts), name="start")
    try:
        await _first(starting, stop.asked)
        if starting.done():
            starting.result()
            _spare_the_collector()
            on_ready()
            await _first(serving, stop.asked)
    finally:
        starting.cancel()
        await asyncio.wait([starting], timeout=CLOSE_GRACE_S)
        draining = asyncio.create_task(parts.host.drain(drain_s), name="drain")
        await _first(draining, stop.at_once)
        draining.cancel()
        if parts.sip is not None:
            await parts.sip.aclose()
        server.should_exit = True
        # Whoever signals twice does not want to wait for open connections either.
        server.force_exit = stop.at_once.is_set()
        await asyncio.wait([serving, draining], timeout=CLOSE_GRACE_S * 2)
    for task in (draining, serving):
        if task.done() and not task.cancelled():
            task.result()


async def _start(parts: Parts) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        if parts.outbound is not None:
            await parts.outbound.start()
        await parts.host.start()
        if parts.sip is not None:
            await parts.sip.start()


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


def http_config(app: object, ws: type[DirectProtocol] = DirectProtocol) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        server_header=False,
        ws=ws,
        ws_per_message_deflate=False,
        ws_max_size=64 * 1024,
        ws_ping_interval=10.0,
        ws_ping_timeout=10.0,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=int(CLOSE_GRACE_S),
        limit_concurrency=MAX_CONNECTIONS,
    )
