"""The real HTTP server on a free port, and a real browser in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import uvicorn
from playwright.async_api import Browser, async_playwright
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from antiphon.observe.metrics import Metrics
from antiphon.server.app import Host, create_app
from antiphon.server.run import http_config, listen
from antiphon.server.settings import ServerSettings

TAPE_PATH = "/tape.worklet.js"
CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)


async def _tape_worklet(_: Request) -> Response:
    script = Path(__file__).with_name("tape.worklet.js")
    return Response(script.read_text(), media_type="text/javascript")


@asynccontextmanager
async def serving(
    host: Host, settings: ServerSettings | None = None, metrics: Metrics | None = None
) -> AsyncIterator[str]:
    """The address of a running server."""
    settings = settings or ServerSettings(port=0)
    listener = listen(settings)
    app = create_app(host, settings, metrics or Metrics())
    # A page may load scripts from its own address only. First, before the page's own files.
    app.router.routes.insert(0, Route(TAPE_PATH, _tape_worklet))
    server = uvicorn.Server(http_config(app))
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve([listener]))
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        async with asyncio.timeout(15):
            await task
        listener.close()


@asynccontextmanager
async def chromium(
    microphone: Path | None = None, *, allowed: bool = True, device: bool = True
) -> AsyncIterator[Browser]:
    """Debian's Chromium. `microphone` is a WAV that is played once as what the caller says; not
    `allowed`: the caller refuses; no `device`: there is none."""
    args = list(CHROMIUM_ARGS)
    if device:
        args.append("--use-fake-device-for-media-stream")
    if allowed:
        args.append("--use-fake-ui-for-media-stream")
    if microphone is not None:
        args.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=args, ignore_default_args=["--mute-audio"]
        )
        try:
            yield browser
        finally:
            await browser.close()
