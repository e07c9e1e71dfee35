"""Real Chromium over a bad network: what of the caller's speech arrives, and what a call survives.

The network is `antiphon.bench.impair`, which drops, delays and reorders whatever comes, in both
directions, from the moment at which the connection stands. tests/support/delivered.py says what
counts as delivered. With no loss at all it is 98 to 99 %, for what the codec does to the faintest
sounds; so shares are those of a call at the same time of which nothing is lost. What a machine with
too much to do keeps back longer than the server waits for it is no fault of the network, and is
allowed for. The exact shares are bench/loss.py's, how soon a call goes on bench/outage.py's.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page
from tests.e2e.capture import envelope_db, made_up_ms, start_recording, stop_recording
from tests.e2e.pages import call, open_page
from tests.e2e.speaker import Speaker
from tests.support import bare_page
from tests.support.bad_network import bad_network
from tests.support.delivered import delivered
from tests.support.fake_host import FakeHost
from tests.support.live import chromium, serving
from tests.support.microphone import microphone, speech
from tests.support.patient import WAITS

from antiphon.agent.load import load_agent
from antiphon.bench.impair import Impairment, Network, is_media
from antiphon.session.supervisor import Supervisor

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LEAD_S = 3.0
SENTENCES = ("s2i_ec21e470", "ls_61-70968-0000", "s2i_fd3fc53b")
NETWORKS = {
    "nothing lost": (Network(), 0.95),
    "5 % lost": (Network(loss=0.05), 0.97),
    "20 % lost": (Network(loss=0.20), 0.90),
    "jitter of 40 ms, 5 % overtaken": (Network(jitter_ms=40, reorder=0.05, reorder_ms=40), 0.97),
}


WAIT_S = 0.06
"""The server waits so long at a hole."""


class Halts:
    """Times in which nothing left the browser, or nothing was carried: of 50 packets a second."""

    def __init__(self, way: Impairment) -> None:
        self.seconds, self._last_s, self._arrival = 0.0, 0.0, way.arrival
        way.arrival = self._note  # type: ignore[method-assign]

    def _note(self, datagram: bytes, now_s: float) -> float | None:
        if is_media(datagram):
            gap_s = now_s - (self._last_s or now_s)
            self._last_s = now_s
            self.seconds += gap_s if gap_s > WAIT_S else 0.0
        return self._arrival(datagram, now_s)


async def speak(wav: Path, name: str, seconds: float) -> tuple[bytes, float]:
    """A call in which everything is said over a bad network: what the session was given, and for
    how long the machine halted meanwhile."""
    host = FakeHost(talks=False)
    async with serving(host) as url, chromium(wav) as browser:
        page = await browser.new_page()
        async with bad_network(page, seed=1) as bad:
            await bare_page.call(page, url)
            bad.become(NETWORKS[name][0])
            halts, session = Halts(bad.proxies[-1].up), host.sessions[0]
            async with asyncio.timeout(60):
                while session.heard_frames < seconds * 50:  # noqa: ASYNC110 - sound has no event
                    await asyncio.sleep(0.1)
            print(f"{name}: {bad.fates}; halted for {halts.seconds:.2f} s")
            return bytes(session.heard), halts.seconds


async def test_speech_arrives(tmp_path: Path) -> None:
    said = speech(SENTENCES)
    said_s = len(said) / 16_000
    wav = microphone(tmp_path / "microphone.wav", said, LEAD_S)
    calls = await asyncio.gather(*(speak(wav, name, LEAD_S + said_s + 0.5) for name in NETWORKS))
    shares, halted = {}, {}
    for name, (heard, halted_s) in zip(NETWORKS, calls, strict=True):
        found = delivered(said, np.frombuffer(heard, "<i2"))
        shares[name], halted[name] = found.share, halted_s / said_s
        print(f"{name}: {100 * found.share:.1f} % of {found.said} frames")
    whole = shares["nothing lost"]
    assert whole >= 0.95 - halted["nothing lost"]
    least = {name: share - halted[name] for name, (_, share) in NETWORKS.items()}
    missed = [name for name in NETWORKS if shares[name] / whole < least[name]]
    assert not missed, (shares, halted)


# ---- an outage -----------------------------------------------------------------------------

WORDS = (
    "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar "
    "papa quebec romeo sierra tango uniform victor whiskey x-ray yankee zulu"
)
MS_PER_WORD = 400
AGENT = {
    "name": "Speller",
    "greeting": "",
    "vad": "energy",
    "turn_detector": None,
    "turn": WAITS,
    "stt": {
        "provider": "scripted",
        "transcripts": [
            {"text": "spell the alphabet please", "complete": 1.0},
            {"text": "thank you", "complete": 1.0},
        ],
    },
    "llm": {"provider": "scripted", "replies": [WORDS.capitalize() + ".", "You are welcome."]},
    "tts": {"provider": "scripted", "ms_per_word": MS_PER_WORD, "sample_rate_hz": 24_000},
}
OUTAGE_S = 3.0
"""Longer than it takes the server to notice."""


async def said_so_far(page: Page) -> list[str]:
    return await page.locator(".agent-line .words").all_text_contents()


async def test_a_call_goes_on_after_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_DATA", str(tmp_path))
    path = tmp_path / "agent.yaml"
    path.write_text(json.dumps(AGENT))
    sentence = speech(("s2i_ec21e470",), 0.0)
    supervisor = Supervisor([load_agent(path)], traces=tmp_path)
    await supervisor.start()
    try:
        async with serving(supervisor) as url, chromium() as browser:
            page = await browser.new_page()
            caller = await Speaker.of(page)
            problems = await open_page(page, url)
            async with bad_network(page) as bad:
                await start_recording(page)
                await call(page)
                await caller.begin(sentence)
                await page.wait_for_selector(".agent-line >> text=charlie")
                bad.outage(60)
                await page.wait_for_selector("[data-line=searching]")
                await asyncio.sleep(OUTAGE_S)
                before, back_s = await said_so_far(page), time.monotonic()
                bad.end_outage()
                async with asyncio.timeout(30):
                    while (await said_so_far(page)) == before:  # noqa: ASYNC110 - the page
                        await asyncio.sleep(0.02)
                print(f"end of the outage to the next word: {time.monotonic() - back_s:.2f} s")
                await page.wait_for_selector(".agent-line >> text=zulu")
                await page.wait_for_selector("[data-agent=listening]")
                tape, made_s = await stop_recording(page), await made_up_ms(page) / 1000
                await caller.begin(sentence)
                await page.wait_for_selector(".agent-line >> text=welcome")
                lines = await page.locator(".user-line .words").all_text_contents()
                await page.wait_for_selector("[data-agent=listening]")
                answers = await said_so_far(page)
                assert supervisor.active_calls == 1, "it is the same call"
    finally:
        await supervisor.drain(0)
    assert lines == ["spell the alphabet please", "thank you"], "no turn lost, and none made up"
    # What was not heard is said as an answer of its own; the word in which the line broke, again.
    parts = [part.lower().rstrip(".").split() for part in answers[:-1]]
    assert len(parts) > 1, "what is not heard is not counted as heard"
    whole: list[str] = []
    for part in parts:
        whole += part[1:] if whole[-1:] == part[:1] else part
    assert whole == WORDS.split()
    assert answers[-1].strip() == "You are welcome."
    heard_s = float((envelope_db(tape.agent) > -40).sum()) * 0.01
    told_s = len(WORDS.split()) * MS_PER_WORD / 1000
    print(f"said {told_s:.1f} s, heard {heard_s:.2f} s, made up {made_s:.2f} s")
    # What was in the jitter buffer may be lost; one word may be said again.
    again_s = (len(parts) - 1) * (MS_PER_WORD / 1000 + 0.5)
    assert told_s - 0.4 * len(parts) - made_s < heard_s < told_s + again_s + made_s
    assert not [text for text in problems if "Failed to load" not in text]
