"""The page in Chromium waits for its call as long as the server says that the call waits for it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.async_api import Page
from tests.e2e.pages import call, open_page
from tests.support.fake_host import FakeHost
from tests.support.live import chromium, serving

from antiphon.channels.webrtc.config import RtcConfig
from antiphon.server.settings import ServerSettings

pytestmark = pytest.mark.e2e

NO_WAY = "() => { window.WebSocket = function () { throw new Error('no way'); }; }"
TIMEOUT_S = 20.0


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    path = tmp_path / "microphone.wav"
    soundfile.write(path, np.zeros(16_000 * 30, np.int16), 16_000)
    return path


def patient(resume_s: float, leave_s: float | None = None) -> ServerSettings:
    return ServerSettings(port=0, rtc=RtcConfig(resume_s=resume_s, leave_s=leave_s))


async def ticket(page: Page) -> dict[str, Any]:
    kept = await page.evaluate("sessionStorage.getItem('antiphon.call')")
    return {} if kept is None else dict(json.loads(kept))


@pytest.mark.parametrize("channel", ["webrtc", "websocket"])
async def test_the_page_looks_for_a_way_back_as_long_as_the_call_waits(
    silence: Path, channel: str
) -> None:
    host = FakeHost()
    async with serving(host, patient(1.5)) as url, chromium(silence) as browser:
        page = await browser.new_page()
        if channel == "websocket":
            await page.add_init_script("delete window.RTCPeerConnection")
        await open_page(page, url)
        await call(page)
        (session,) = host.sessions
        assert session.call.channel == channel
        kept = await ticket(page)
        assert (kept["resume_s"], kept["leave_s"]) == (1.5, 1.5)
        await page.route("**/api/voice/offer", lambda route: route.abort())
        await page.evaluate(NO_WAY)
        await session.call._connection.aclose()  # type: ignore[attr-defined]
        # Long before the minute for which it would look otherwise.
        await page.wait_for_selector("#problem >> text=The connection was lost.")
        assert await page.get_attribute("body", "data-phase") == "idle"
        async with asyncio.timeout(TIMEOUT_S):
            await session.wait_closed()
        assert session.hung_up[0] == "connection lost"


async def test_a_page_that_comes_too_late_knows_that_its_call_is_over(silence: Path) -> None:
    host = FakeHost()
    asked: list[str] = []
    async with serving(host, patient(60, 0.5)) as url, chromium(silence) as browser:
        page = await browser.new_page()
        problems = await open_page(page, url)
        await call(page)
        (session,) = host.sessions
        assert (await ticket(page))["leave_s"] == 0.5
        await page.goto("about:blank")
        async with asyncio.timeout(TIMEOUT_S):
            await session.wait_closed()
        assert session.hung_up[0] == "caller left the page"
        assert session.holds == [True]
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(url)
        await page.wait_for_selector("#talk:not([disabled])")
        assert await page.get_attribute("body", "data-phase") == "idle"
        assert await ticket(page) == {}
        assert await page.is_hidden("#problem")
        assert not [one for one in asked if "/api/voice/offer" in one]
        assert not problems
