"""From the moment at which an answer is stopped to silence: on the wire, and in a real Chromium.

    python -m bench.flush [--rounds 10]

The whole session with scripted providers, over WebRTC on this machine: the agent speaks, a typed
message stops it, and its next answer comes a second and a half later. The moment is that at which
the message is given to the session. On the wire: until the last packet in which something is
audible has come to a peer that decodes them all. In the browser: until what its audio graph gets of
the connection is below -50 dBFS, looked at every 4 ms; both clocks are this machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from playwright.async_api import Page
from tests.e2e.pages import call, open_page
from tests.support.live import chromium, serving
from tests.support.microphone import microphone

from antiphon.agent.load import load_agent
from antiphon.bench.rtc_heard import OpusSpeech
from antiphon.bench.rtc_peer import Peer
from antiphon.channels.base import Call, CallIO
from antiphon.session.supervisor import Supervisor

WORDS = " ".join(["word"] * 60) + "."
AGENT = {
    "name": "Speaker",
    "greeting": WORDS,
    "vad": "energy",
    "turn_detector": None,
    "stt": {"provider": "scripted"},
    "llm": {"provider": "scripted", "replies": [WORDS], "first_delay_ms": 1500},
    "tts": {"provider": "scripted", "ms_per_word": 250, "sample_rate_hz": 24_000},
}
SPEAKS_S, SILENT_S = 1.0, 1.0
LISTEN = """
() => {
  const context = new AudioContext();
  const voice = document.getElementById("voice").srcObject;
  const analyser = new AnalyserNode(context, { fftSize: 256 });
  context.createMediaStreamSource(voice).connect(analyser);
  const samples = new Float32Array(256);
  window.levels = [];
  setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, s) => sum + s * s, 0) / samples.length;
    window.levels.push([performance.timeOrigin + performance.now(), power]);
  }, 4);
}
"""
_QUIET = 1e-5


class Host(Supervisor):
    """A supervisor that knows its last session."""

    last: CallIO | None = None

    async def start_call(self, call: Call, *rest: Any, **named: Any) -> Any:
        self.last = await super().start_call(call, *rest, **named)
        return self.last


def stop(host: Host) -> float:
    """Stop what is said; when that was, Unix time."""
    assert host.last is not None
    at_s = time.time()
    host.last.on_text("stop")
    return at_s


async def on_the_wire(host: Host, url: str, rounds: int) -> list[float]:
    """Milliseconds of each round."""
    silence = OpusSpeech.of(bytes(32_000))
    peer = Peer(cycle(silence.packets), decodes=True)
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        body = {"sdp": await peer.offer(), "type": "offer"}
        answer = await client.post("/api/voice/offer", json=body)
    await peer.take(answer.json()["sdp"])
    found = []
    for _ in range(rounds):
        sound = peer.last_sound_s
        while peer.last_sound_s == sound:  # noqa: ASYNC110 - packets have no event
            await asyncio.sleep(0.02)
        await asyncio.sleep(SPEAKS_S)
        at_s = stop(host)
        await asyncio.sleep(SILENT_S)
        found.append((peer.last_sound_s - at_s) * 1000)
    await peer.aclose()
    return found


async def in_the_browser(host: Host, page: Page, rounds: int) -> list[float]:
    """Milliseconds of each round."""
    await page.evaluate(LISTEN)
    found = []
    for _ in range(rounds):
        sounds = f"window.levels.at(-1)?.[1] > {_QUIET}"
        while not await page.evaluate(sounds):  # noqa: ASYNC110 - the page may not be asked to wait
            await asyncio.sleep(0.02)
        await asyncio.sleep(SPEAKS_S)
        at_ms = stop(host) * 1000
        await asyncio.sleep(SILENT_S)
        levels = await page.evaluate("window.levels.splice(0)")
        loud = [at for at, power in levels if power > _QUIET]
        found.append(max(loud) - at_ms)
    return found


async def run(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as name:
        folder = Path(name)
        (folder / "agent.yaml").write_text(json.dumps(AGENT), encoding="utf-8")
        host = Host([load_agent(folder / "agent.yaml")])
        wav = microphone(folder / "microphone.wav", np.zeros(16_000, np.int16), 0.0)
        await host.start()
        try:
            async with serving(host) as url:
                tell("last audible packet", await on_the_wire(host, url, rounds))
                async with chromium(wav) as browser:
                    page = await browser.new_page()
                    await open_page(page, url)
                    await call(page)
                    tell("silence in Chromium", await in_the_browser(host, page, rounds))
        finally:
            await host.drain(0)


def tell(what: str, found: list[float]) -> None:
    print(f"stop to {what}: median {statistics.median(found):.0f} ms, "
          f"{min(found):.0f} to {max(found):.0f} ({len(found)})", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    asyncio.run(run(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
