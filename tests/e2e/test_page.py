"""The page in Chromium, against a session that hums: what works without speech recognition."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.e2e.capture import spectrum_peak_hz, start_recording, stop_recording
from tests.e2e.pages import call, open_page
from tests.support.fake_host import PAUSE_FRAMES, SPEECH_DBFS, TONE_HZ, FakeHost
from tests.support.live import chromium, serving

from antiphon.channels.webrtc.config import RtcConfig
from antiphon.server.settings import ServerSettings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
LONG = "hum something rather long for me, if you would be so kind" + " and hum" * 60
"""Half a minute."""


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(16_000 * 30, np.int16), 16_000)
    return path


@pytest.fixture
def burst(tmp_path: Path) -> Path:
    """A second of noise, again and again: a call may take long to come about."""
    samples = np.zeros(16_000 * 60, np.int16)
    noise = np.random.default_rng(1).normal(0, 4000, 16_000)
    for at_s in range(3, 60, 10):
        samples[16_000 * at_s :][:16_000] = noise
    path = tmp_path / "burst.wav"
    soundfile.write(path, samples, 16_000)
    return path


async def test_a_call_is_heard_and_written_down(silence: Path) -> None:
    host = FakeHost()
    async with serving(host) as url, chromium(silence) as browser:
        page = await browser.new_page()
        problems = await open_page(page, url)
        await call(page)
        # bench/connect.py has how many they are.
        assert int(await page.evaluate("document.documentElement.dataset.connectMs")) > 0
        await page.wait_for_selector(".agent-line >> text=Hello, this is the cafe.")
        host.sessions[0].on_text(LONG)
        await page.wait_for_selector(".agent-line >> text=You wrote hum")
        await start_recording(page)
        await page.wait_for_timeout(1500)
        tape = await stop_recording(page)
        assert abs(spectrum_peak_hz(tape.agent) - TONE_HZ) < 10
        await page.fill("#message", "enough")
        await page.press("#message", "Enter")
        await page.wait_for_selector(".cut .note >> text=interrupted")
        await page.wait_for_selector(".user-line >> text=enough")
        assert host.sessions[0].texts[-1] == "enough"
        await page.keyboard.press("Escape")
        await page.wait_for_selector("[data-phase=idle]")
        await page.wait_for_selector(".mark-line >> text=The call ended")
        assert await page.evaluate("document.body.dataset.ended") == "caller hung up"
        async with asyncio.timeout(20):
            await host.sessions[0].wait_closed()
        assert not problems


async def test_the_microphone_arrives_and_interrupts(burst: Path) -> None:
    host = FakeHost()
    async with serving(host) as url, chromium(burst) as browser:
        page = await browser.new_page()
        problems = await open_page(page, url)
        await call(page)
        await page.wait_for_selector(".user-line >> text=something was said")
        await page.wait_for_selector(".agent-line >> text=I heard")
        session = host.sessions[0]
        assert session.items == bursts(session.heard)
        assert session.heard_frames > 50
        assert not problems


def bursts(heard: bytearray) -> int:
    """How often something began after half a second of nothing: once, unless the machine halted."""
    frames = np.frombuffer(bytes(heard), "<i2").astype(float).reshape(-1, 320)
    loud = np.flatnonzero(np.sqrt((frames**2).mean(axis=1)) > 32768 * 10 ** (SPEECH_DBFS / 20))
    return 1 + int((np.diff(loud) > PAUSE_FRAMES).sum())


async def test_a_page_closed_in_mid_sentence_ends_its_call(silence: Path) -> None:
    """As soon as nobody comes back to it."""
    host = FakeHost()
    settings = ServerSettings(port=0, rtc=RtcConfig(resume_s=0.5))
    async with serving(host, settings) as url, chromium(silence) as browser:
        page = await browser.new_page()
        await open_page(page, url)
        await call(page)
        await page.wait_for_selector(".agent-line .words >> text=Hello")
        await page.close(run_before_unload=True)
        async with asyncio.timeout(30):
            await host.sessions[0].wait_closed()
        assert host.sessions[0].holds[-1]


@pytest.mark.parametrize(
    ("device", "sentence"),
    [(True, "The microphone is not allowed."), (False, "No microphone was found.")],
)
async def test_without_a_microphone_text_works(device: bool, sentence: str) -> None:
    host = FakeHost()
    async with serving(host) as url, chromium(allowed=False, device=device) as browser:
        page = await browser.new_page()
        problems = await open_page(page, url)
        await page.click("#talk")
        await page.wait_for_selector(f"#problem >> text={sentence}")
        assert await page.get_attribute("#problem", "role") == "alert"
        assert not host.sessions
        await page.click("#problem-type")
        await page.keyboard.type("two lattes")
        await page.keyboard.press("Enter")
        await page.wait_for_selector(".user-line >> text=two lattes")
        await page.wait_for_selector(".agent-line >> text=You wrote two lattes.")
        assert host.sessions[0].call.channel == "text"
        assert await page.is_hidden("#problem")
        assert not problems


async def test_a_full_server_and_a_dead_one_are_explained(silence: Path) -> None:
    host = FakeHost(max_calls=0)
    async with serving(host) as url, chromium(silence) as browser:
        page = await browser.new_page()
        await open_page(page, url)
        await page.click("#talk")
        await page.wait_for_selector("#problem >> text=All 0 lines are busy")
        await page.fill("#message", "hello")
        await page.press("#message", "Enter")
        await page.wait_for_selector("#problem >> text=No line is free")
        await page.route("**/api/voice/offer", lambda route: route.abort())
        await page.click("#talk")
        await page.wait_for_selector("#problem >> text=cannot be reached")


async def test_the_page_by_keyboard_on_a_telephone(silence: Path) -> None:
    host = FakeHost()
    async with serving(host) as url, chromium(silence) as browser:
        context = await browser.new_context(viewport={"width": 360, "height": 640})
        page = await context.new_page()
        await open_page(page, url)
        await page.keyboard.press("t")
        await page.wait_for_selector("[data-phase=call]")
        await page.keyboard.press("m")
        assert await page.get_attribute("#mute", "aria-pressed") == "true"
        await page.keyboard.press("/")
        assert await page.evaluate("document.activeElement.id") == "message"
        await page.wait_for_selector(".agent-line >> text=Hello, this is the cafe.")
        # Told when the last word has been shown.
        await page.wait_for_selector("#spoken >> text=the cafe.", state="attached")
        spoken = await page.text_content("#spoken")
        assert spoken == "Cafe: Hello, this is the cafe."
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width == 360
        unlabelled = await page.evaluate(
            "[...document.querySelectorAll('button, input, select')]"
            ".filter(e => e.checkVisibility() && !e.textContent.trim() && !e.labels?.length).length"
        )
        assert unlabelled == 0
        await context.close()
