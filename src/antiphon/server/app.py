"""The HTTP server: the page, the offer, the text call, health and metrics."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from antiphon import __version__
from antiphon.channels.base import Call, CallIO
from antiphon.channels.text import serve_text
from antiphon.channels.voice.calls import VoiceCalls
from antiphon.errors import CapacityError, ForbiddenError, GoneError, UserFacingError
from antiphon.observe.metrics import CONTENT_TYPE, METRICS, Metrics, Refusal
from antiphon.server.guard import Guard
from antiphon.server.outbound import KEY_VARIABLE, Outbound, add_outbound
from antiphon.server.phone import add_phone
from antiphon.server.phone_service import PhoneService
from antiphon.server.rtc import add_rtc
from antiphon.server.settings import ServerSettings
from antiphon.server.socket import add_socket

CONSOLE_DIR = Path(__file__).parent.parent / "console"
RETRY_AFTER_S = "5"
REFUSALS = {ForbiddenError: 403, GoneError: 410}

# Named here, because a system's own table of types may be wrong, and a browser runs no module of
# the wrong one.
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
}


class Host(Protocol):
    """The supervisor, as the server sees it."""

    @property
    def agents(self) -> Mapping[str, Any]:
        """By name; the first is the default. An agent has a `config` with name and greeting."""
        ...

    @property
    def ready(self) -> bool: ...
    @property
    def active_calls(self) -> int: ...
    def check(self, agent: str | None) -> str: ...
    async def start_call(self, call: Call, agent: str | None) -> CallIO: ...


def create_app(
    host: Host,
    settings: ServerSettings | None = None,
    metrics: Metrics = METRICS,
    phone: PhoneService | None = None,
    outbound: Outbound | None = None,
) -> FastAPI:
    """The application. Whoever makes it starts `outbound`, and starts and drains `host`; `outbound`
    and `phone` are closed with it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(metrics.watch_loop(), name="loop-lag")
        try:
            yield
        finally:
            watching.cancel()
            await app.state.voice.aclose()
            if outbound is not None:
                await outbound.aclose()
            if phone is not None:
                await phone.aclose()

    # FastAPI's own pages of documentation load scripts from another site.
    app = FastAPI(
        title="Antiphon", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    settings = settings or ServerSettings()
    app.state.voice = VoiceCalls(host, metrics.frame_late, settings.rtc.patience)
    app.state.host = host
    app.state.metrics = metrics
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    app.add_exception_handler(UserFacingError, _user_facing)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(ValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    add_rtc(app, app.state.voice, settings.rtc)
    _add_calls(app, host, metrics, settings.rtc.audio.bitrate)
    _add_operations(app, host, metrics)
    if phone is not None:
        add_phone(app, phone)
    add_outbound(app, outbound, os.environ.get(KEY_VARIABLE))
    _add_console(app)
    return app


def _add_calls(app: FastAPI, host: Host, metrics: Metrics, bitrate: int) -> None:
    @app.get("/api/agents")
    async def agents() -> dict[str, Any]:
        return {
            "agents": [
                {"name": name, "greeting": getattr(agent.config, "greeting", None) or ""}
                for name, agent in host.agents.items()
            ]
        }

    def refused(error: UserFacingError) -> None:
        if not isinstance(error, tuple(REFUSALS)):
            metrics.call_refused(_refusal_kind(error))

    add_socket(app, app.state.voice, refused, bitrate)

    @app.websocket("/api/text")
    async def text(websocket: WebSocket) -> None:
        try:
            await serve_text(websocket, host, websocket.query_params.get("agent"))
        except UserFacingError as error:
            refused(error)


def _add_operations(app: FastAPI, host: Host, metrics: Metrics) -> None:
    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        return "ok\n"

    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> PlainTextResponse:
        if host.ready:
            return PlainTextResponse("ready\n")
        return PlainTextResponse("starting or stopping\n", 503)

    @app.get("/metrics")
    async def prometheus() -> Response:
        metrics.calls_active(host.active_calls)
        return Response(metrics.render(), media_type=CONTENT_TYPE)


class ConsoleFiles(StaticFiles):
    """The page's files, read from the package."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Content-Type"] = CONTENT_TYPES.get(
            Path(full_path).suffix, "application/octet-stream"
        )
        # Kept, but asked for again each time: after an update no old module meets a new page, and
        # an unchanged file costs an answer without a body.
        response.headers["Cache-Control"] = "no-cache"
        return response


def _add_console(app: FastAPI) -> None:
    files = ConsoleFiles(directory=CONSOLE_DIR)

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon(request: Request) -> Response:
        return await files.get_response("icon.svg", request.scope)

    app.mount("/console", files)


def _refusal_kind(error: UserFacingError) -> Refusal:
    return error.reason if isinstance(error, CapacityError) else "bad_request"


def _error(
    status: int, kind: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    body = {"error": {"type": kind, "message": message}}
    return JSONResponse(body, status, headers=dict(headers or {}))


async def _user_facing(request: Request, error: Exception) -> Response:
    assert isinstance(error, UserFacingError)
    for refusal, status in REFUSALS.items():
        if isinstance(error, refusal):
            return _error(status, "session_error", str(error))
    request.app.state.metrics.call_refused(_refusal_kind(error))
    if isinstance(error, CapacityError):
        return _error(503, "capacity_error", str(error), {"Retry-After": RETRY_AFTER_S})
    return _error(400, "invalid_request_error", str(error))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, (ValidationError, RequestValidationError))
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "body"
    request.app.state.metrics.call_refused("bad_request")
    return _error(400, "invalid_request_error", f"{place}: {first['msg']}.")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = "invalid_request_error" if error.status_code < 500 else "server_error"
    return _error(error.status_code, kind, str(error.detail), error.headers)
