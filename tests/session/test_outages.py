"""Whole calls in real time over vendors' wires, one of which breaks between two turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.assemblyai import AssemblyAiStreaming
from tests.fakes.cartesia import FakeCartesia
from tests.fakes.deepgram_stt import DeepgramListen
from tests.fakes.gemini import FakeGemini
from tests.fakes.host import FakeVendor
from tests.fakes.llm import Answer
from tests.fakes.rime import FakeRime
from tests.support.stage import SILENCE, agent, speech

from antiphon.agent.load import LoadedAgent
from antiphon.observe.metrics import Metrics
from antiphon.session.session import Session
from antiphon.session.supervisor import Supervisor
from antiphon.types import FRAME_BYTES, FRAME_MS, INPUT_RATE_HZ

SAID = "one coffee please"
FIRST, SECOND = "Yes, of course.", "Here is the other one."


class Line:
    """A caller in real time."""

    channel, output_rate_hz, has_audio = "test", INPUT_RATE_HZ, True

    def __init__(self) -> None:
        self.said: list[str] = []
        self.notices: list[dict[str, Any]] = []
        self.closed = ""
        self.session: Session | None = None

    def notify(self, event: dict[str, Any]) -> None:
        self.notices.append(event)
        if event["type"] == "response.output_audio_transcript.done":
            self.said.append(event["transcript"])

    async def close(self, reason: str) -> None:
        self.closed = reason

    def told(self) -> list[str]:
        """What the screen was told, in short."""
        return [f"{one['type']} {one.get('transcript', '')}" for one in self.notices]

    async def pass_time(self, pcm: bytes = b"", ms: int = 0) -> None:
        """Say this, or nothing for so long."""
        frames = [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm), FRAME_BYTES)]
        for frame in frames or [SILENCE] * (ms // FRAME_MS):
            self.frame(frame)
            await asyncio.sleep(FRAME_MS / 1000)

    def frame(self, pcm: bytes = SILENCE) -> bool:
        """20 ms; whether the agent sounds."""
        assert self.session is not None
        self.session.on_audio(pcm)
        return self.session.read_frame() is not None

    async def turn(self) -> str:
        """Say something, and hear the agent out: what was said."""
        await self.pass_time(speech(900))
        count, first_ms, quiet_ms, waited_ms = len(self.said), 0, 0, 0
        while not first_ms or quiet_ms < 400:
            sounds = self.frame()
            waited_ms += FRAME_MS
            if sounds and not first_ms:
                first_ms = waited_ms
            quiet_ms = 0 if sounds else quiet_ms + FRAME_MS
            assert waited_ms < 12_000, f"nothing was heard; {self.told()}"
            await asyncio.sleep(FRAME_MS / 1000)
        return " ".join(self.said[count:])


def chain(vendors: dict[str, FakeVendor]) -> LoadedAgent:
    """Cloud vendors for everything, and others that step in."""

    def at(provider: str, **options: Any) -> dict[str, Any]:
        return {"provider": provider, "base_url": vendors[provider].http_url, **options}

    return agent(
        vad="energy",
        turn_detector=None,
        stt=at("deepgram"),
        llm=at("anthropic"),
        tts=at("cartesia", voice="v"),
        fallback={
            "stt": at("assemblyai"),
            "llm": {**at("gemini"), "base_url": vendors["gemini"].http_url + "/v1"},
            "tts": at("rime", voice="v"),
        },
    )


def silent(vendor: FakeVendor) -> None:
    """Half open: whatever is sent, nothing comes back."""
    vendor.faults.silent = True


def refusing(vendor: FakeVendor) -> None:
    """Gone: sockets are closed, requests refused."""
    vendor.faults.status, vendor.faults.close_after = 503, 1


def stalling(vendor: FakeVendor) -> None:
    assert isinstance(vendor, FakeAnthropic)
    vendor.answers = [Answer("", fails="stall")]


@pytest.mark.parametrize(
    ("broken", "how", "answer"),
    [
        ("deepgram", silent, FIRST),
        ("deepgram", refusing, FIRST),
        ("anthropic", refusing, SECOND),
        ("anthropic", stalling, SECOND),
        ("cartesia", silent, FIRST),
        ("cartesia", refusing, FIRST),
    ],
)
async def test_a_vendor_that_breaks_is_not_noticed_much(
    broken: str, how: Callable[[FakeVendor], None], answer: str
) -> None:
    async with AsyncExitStack() as stack:
        vendors: dict[str, FakeVendor] = {
            "deepgram": DeepgramListen(SAID),
            "assemblyai": AssemblyAiStreaming(SAID),
            "anthropic": FakeAnthropic(Answer(FIRST)),
            "gemini": FakeGemini(Answer(SECOND)),
            "cartesia": FakeCartesia(),
            "rime": FakeRime(),
        }
        for vendor in vendors.values():
            await stack.enter_async_context(vendor)
        metrics = Metrics()
        supervisor = Supervisor([chain(vendors)], metrics=metrics)
        await supervisor.start()
        line = Line()
        line.session = await supervisor.start_call(line)
        await line.pass_time(ms=700)
        said = await line.turn()
        assert FIRST in said
        how(vendors[broken])
        said = await line.turn()
        if "repeat" in said:  # nobody can tell at once that a recogniser is lost that says nothing
            assert broken == "deepgram"
            said = await line.turn()
        assert answer in said
        assert f'provider="{broken}"' in metrics.render().decode()
        line.session.hang_up("the test is over")
        await line.session.wait_closed()
        await supervisor.drain(0)
