"""The page in Chromium when its call loses its connection, or the call loses its page."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.async_api import Page, Route
from tests.e2e.capture import spectrum_peak_hz, start_recording, stop_recording
from tests.e2e.pages import call, open_page
from tests.e2e.speaker import Speaker
from tests.support.bad_network import bad_network
from tests.support.fake_host import TONE_HZ, FakeHost, FakeSession
from tests.support.live import chromium, serving
from tests.support.turn_server import coturn

from antiphon.channels.webrtc.config import RtcConfig, TurnConfig
from antiphon.providers.secret import Secret
from antiphon.server.settings import ServerSettings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

LONG = "hum something rather long for me, if you would be so kind" + " and hum" * 15
"""Ten seconds."""
LONGER = LONG + " and hum" * 60
TICKET = "antiphon.call"


@pytest.fixture
def microphone(tmp_path: Path) -> Path:
    """Nothing is said."""
    path = tmp_path / "microphone.wav"
    soundfile.write(path, np.zeros(16_000 * 60, np.int16), 16_000)
    return path


async def until(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(0.02)


def came_back(session: FakeSession) -> bool:
    """Was away and is there; a machine with too much to do may be late for more than once."""
    return session.holds[:2] == [True, False] and not session.holds[-1]


async def ticket(page: Page) -> dict[str, object] | None:
    kept = await page.evaluate(f"sessionStorage.getItem('{TICKET}')")
    return None if kept is None else json.loads(kept)


async def lines(page: Page, kind: str) -> list[str]:
    return await page.locator(f".{kind} .words").all_text_contents()


async def test_a_page_loaded_again_goes_on_with_its_call(microphone: Path) -> None:
    host = FakeHost()
    async with serving(host) as url, chromium(microphone) as browser:
        page = await browser.new_page()
        problems = await open_page(page, url)
        await call(page)
        await page.wait_for_selector(".agent-line >> text=Hello, this is the cafe.")
        await page.click("#mute")
        session = host.sessions[0]
        session.on_text(LONG)
        await page.wait_for_selector(".agent-line >> text=You wrote hum")
        left_s = time.monotonic()
        await page.reload()
        await page.wait_for_selector("[data-phase=call]")
        print(f"reload to call: {time.monotonic() - left_s:.2f} s")
        assert await page.get_attribute("#mute", "aria-pressed") == "true"
        assert (await ticket(page) or {})["session_id"] == session.call_id
        await page.wait_for_selector(f".agent-line >> text=You wrote {LONG}.")
        assert await lines(page, "user-line") == [LONG]
        assert await lines(page, "agent-line") == ["Hello, this is the cafe.", f"You wrote {LONG}."]
        # What was said before is not read out again.
        assert "Hello" not in (await page.text_content("#spoken") or "")
        assert len(host.sessions) == 1
        assert came_back(session)
        assert session.returns >= 1
        await page.click("#talk")
        await page.wait_for_selector("[data-phase=idle]")
        await until(session.closed.is_set)
        assert session.hung_up[0] == "caller hung up"
        assert await ticket(page) is None
        await page.reload()
        await page.wait_for_selector("#talk:not([disabled])")
        assert await page.get_attribute("body", "data-phase") == "idle"
        assert not problems


async def test_a_call_outlives_an_outage(microphone: Path) -> None:
    host = FakeHost()
    async with serving(host) as url, chromium(microphone) as browser:
        page = await browser.new_page()
        async with bad_network(page) as network:
            problems = await open_page(page, url)
            await call(page)
            session = host.sessions[0]
            await page.wait_for_selector(".agent-line >> text=Hello, this is the cafe.")
            await until(lambda: session.heard_by_caller > 0)
            session.on_text(LONG)
            await page.wait_for_selector(".agent-line >> text=You wrote hum")
            network.outage(60)
            await page.wait_for_selector("#state >> text=Reconnecting…")
            assert "Your call waits" in (await page.text_content("#notice-text") or "")
            await until(lambda: session.holds[-1:] == [True])
            network.end_outage()
            ended_s = time.monotonic()
            await page.wait_for_selector("[data-line=up]")
            await until(lambda: came_back(session))
            # bench/outage.py has how long it is.
            print(f"end of the outage to the call's going on: {time.monotonic() - ended_s:.2f} s")
            await page.wait_for_selector(f".agent-line >> text=You wrote {LONG}.")
            assert await lines(page, "user-line") == [LONG]
            assert len(host.sessions) == 1
            # Hanging up while there is no connection ends the call as well.
            network.outage(120)
            await page.wait_for_selector("#state >> text=Reconnecting…")
            await page.click("#talk")
            await page.wait_for_selector("[data-phase=idle]")
            await until(session.closed.is_set)
            assert await ticket(page) is None
            assert not problems


async def test_a_ticket_that_is_worth_nothing_is_dropped(microphone: Path) -> None:
    host = FakeHost()
    async with serving(host) as url, chromium(microphone) as browser:
        page = await browser.new_page()
        await open_page(page, url)
        await call(page)
        session = host.sessions[0]
        held = await ticket(page) or {}
        # The server ends the call while the page is away.
        await page.goto("about:blank")
        await until(lambda: session.holds)
        session.hang_up("closing time")
        await until(session.closed.is_set)
        answers: list[int] = []
        page.on("response", lambda r: answers.append(r.status) if "/offer" in r.url else None)
        await page.goto(url)
        await until(lambda: answers)
        await nothing_is_left(page)
        anothers = json.dumps(json.dumps(held | {"token": "x" * 32, "leftAt": time.time() * 1000}))
        await page.evaluate(f"sessionStorage.setItem('{TICKET}', {anothers})")
        await page.reload()
        await until(lambda: len(answers) == 2)
        await nothing_is_left(page)
        assert answers == [410, 403]
        assert len(host.sessions) == 1


async def nothing_is_left(page: Page) -> None:
    await page.wait_for_selector("[data-phase=idle]")
    assert await ticket(page) is None
    assert await page.is_hidden("#problem")
    assert await page.is_visible("#empty-lead")


async def test_another_window_takes_the_call_over(microphone: Path) -> None:
    """A copy of a window has its ticket, and asks before it uses it."""
    host = FakeHost()
    async with serving(host) as url, chromium(microphone) as browser:
        context = await browser.new_context()
        first = await context.new_page()
        await open_page(first, url)
        await call(first)
        await first.wait_for_selector(".agent-line >> text=Hello, this is the cafe.")
        held = json.dumps(await ticket(first))
        second = await context.new_page()
        await second.add_init_script(f"sessionStorage.setItem('{TICKET}', {json.dumps(held)})")
        problems = await open_page(second, url)
        await second.wait_for_selector("#state >> text=Your call is waiting.")
        await second.get_by_role("button", name="Go on with the call").click()
        await second.wait_for_selector("[data-phase=call]")
        await second.wait_for_selector(".agent-line >> text=Hello, this is the cafe.")
        await first.wait_for_selector("[data-phase=idle]")
        assert await ticket(first) is None
        session = host.sessions[0]
        assert len(host.sessions) == 1
        assert came_back(session)
        await second.reload()
        # The window's script has put the ticket back as it was in mid-call.
        await second.wait_for_selector("[data-phase=held]")
        await second.get_by_role("button", name="End it instead").click()
        await second.wait_for_selector("[data-phase=idle]")
        await until(session.closed.is_set)
        assert await ticket(second) is None
        assert not problems


async def test_a_call_by_a_relay_and_again_after_a_reload(
    microphone: Path, tmp_path: Path
) -> None:  # fmt: skip
    host = FakeHost()
    async with coturn(tmp_path) as turn:
        relay = TurnConfig(urls=(turn.url,), secret=Secret(turn.secret))
        settings = ServerSettings(port=0, rtc=RtcConfig(turn=relay, relay_only=True))
        async with serving(host, settings) as url, chromium(microphone) as browser:
            page = await browser.new_page()
            problems = await open_page(page, url)
            told: list[int] = []
            page.on(
                "response",
                lambda r: told.append(r.status) if r.request.method == "PATCH" else None,
            )
            await call(page)
            assert await page.get_attribute("body", "data-way") == "webrtc"
            session = host.sessions[0]
            await page.wait_for_selector(".agent-line >> text=Hello, this is the cafe.")
            await page.reload()
            await page.wait_for_selector("[data-phase=call]")
            assert await page.get_attribute("body", "data-way") == "webrtc"
            await until(lambda: came_back(session))
            await page.click("#talk")
            await page.wait_for_selector("[data-phase=idle]")
            await until(session.closed.is_set)
            assert set(told) == {204}
            assert not problems


async def test_where_no_packet_gets_through_a_websocket_carries_the_call() -> None:
    async def to_nowhere(route: Route) -> None:
        response = await route.fetch()
        answer = await response.json()
        candidate = re.compile(r"^(a=candidate:(?:\S+ ){5})\d+", re.MULTILINE)
        answer["sdp"] = candidate.sub(r"\g<1>9", answer["sdp"])
        await route.fulfill(response=response, json=answer)

    host = FakeHost()
    async with serving(host) as url, chromium() as browser:
        page = await browser.new_page()
        caller = await Speaker.of(page)
        await page.route("**/api/voice/offer", to_nowhere)
        problems = await open_page(page, url)
        await page.click("#talk")
        await page.wait_for_selector("[data-phase=call]")
        assert await page.text_content("#notice-text") == "Connected over a slower path."
        session = host.sessions[0]
        assert len(host.sessions) == 1
        await page.wait_for_selector(".agent-line >> text=Hello, this is the cafe.")
        session.on_text(LONGER)
        await page.wait_for_selector(".agent-line >> text=You wrote")
        await start_recording(page)
        await page.wait_for_timeout(1200)
        tape = await stop_recording(page)
        # That it has no gaps is shown without a clock, below.
        assert abs(spectrum_peak_hz(tape.agent) - TONE_HZ) < 10
        # Typing takes back at once what was not played yet.
        await page.fill("#message", "enough")
        await page.press("#message", "Enter")
        await page.wait_for_selector(".cut .note >> text=interrupted")
        assert session.heard_by_caller > 20
        # What the microphone hears arrives, all of it and nothing twice.
        before = len(session.heard)
        await caller.begin(np.random.default_rng(1).normal(0, 4000, 16_000).astype(np.int16))
        await page.wait_for_selector(".user-line >> text=something was said")
        heard = np.frombuffer(bytes(session.heard[before:]), "<i2").astype(float)
        levels = np.sqrt((heard[: len(heard) // 320 * 320].reshape(-1, 320) ** 2).mean(axis=1))
        assert 40 <= (levels > 500).sum() <= 60
        # A page loaded again does not try in vain what did not work before.
        left_s = time.monotonic()
        await page.reload()
        await page.wait_for_selector("[data-phase=call]")
        print(f"reload to call by WebSocket: {time.monotonic() - left_s:.2f} s")
        assert session.returns >= 1
        await page.click("#talk")
        await page.wait_for_selector("[data-phase=idle]")
        await until(session.closed.is_set)
        assert not problems


_RING = """
async ({ late }) => {
  const { Ring } = await import("/console/ring.js");
  const ring = new Ring(24000);
  const block = new Float32Array(128);
  const arrivals = Array.from({ length: 500 }, (_, i) => i * 20 + (i % 7 ? 0 : late));
  let [pauses, next, played, deepest] = [0, 0, 0, 0];
  for (let ms = 0; ms < 10000; ms += 128 / 24) {
    while (arrivals[next] <= ms) {
      ring.push(new Float32Array(480).fill(0.5));
      next += 1;
    }
    const before = ring.playing;
    ring.pull(block);
    pauses += before && !ring.playing;
    played += block.filter((sample) => sample === 0.5).length;
    deepest = Math.max(deepest, ring.fill / 24);
  }
  ring.clear();
  for (let i = 0; i < 3; i++) ring.pull(block);
  return { pauses, playedMs: played / 24, deepest, left: block[127] };
}
"""
_RESAMPLE = """
async ([from, to, hertz]) => {
  const { Resampler } = await import("/console/resample.js");
  const resampler = new Resampler(from, to);
  const made = [];
  for (let at = 0; at < from; at += 128) {
    const wave = Float32Array.from({ length: 128 },
      (_, i) => Math.sin((2 * Math.PI * hertz * (at + i)) / from));
    made.push(...resampler.push(wave));
  }
  const later = made.slice(1000);
  const power = later.reduce((sum, sample) => sum + sample * sample, 0) / later.length;
  return { count: made.length, db: 10 * Math.log10(2 * power + 1e-12) };
}
"""


async def test_sound_by_websocket_is_even_and_clean() -> None:
    """The parts of its worklets, without a clock."""
    async with serving(FakeHost()) as url, chromium() as browser:
        page = await browser.new_page()
        await open_page(page, url)
        punctual = await page.evaluate(_RING, {"late": 0})
        assert punctual["pauses"] == 0
        assert punctual["deepest"] <= 80
        late = await page.evaluate(_RING, {"late": 90})
        # It learns how much it has to keep, and then nothing is missing.
        assert 1 <= late["pauses"] <= 4
        assert late["playedMs"] > 9_600
        assert abs(late["left"]) < 0.01
        for rate_hz in (48_000, 44_100):
            passed = await page.evaluate(_RESAMPLE, [rate_hz, 16_000, 3_000])
            assert abs(passed["db"]) < 0.1
            assert abs(passed["count"] - 16_000) < 60
            folded = await page.evaluate(_RESAMPLE, [rate_hz, 16_000, 9_500])
            assert folded["db"] < -60
