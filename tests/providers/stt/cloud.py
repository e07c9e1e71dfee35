"""The recognisers in the cloud, each with the fake of its vendor, for the tests here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.assemblyai import AssemblyAiStreaming
from tests.fakes.deepgram_stt import DeepgramListen
from tests.fakes.ear import ListeningVendor
from tests.fakes.elevenlabs_stt import Scribe
from tests.fakes.speechmatics import SpeechmaticsRealtime
from tests.support.stt_talk import read_final

from antiphon.providers.base import AgentHints, PartialText, SttStream
from antiphon.providers.secret import Secret
from antiphon.providers.stt.assemblyai import AssemblyAiStt
from antiphon.providers.stt.deepgram import DeepgramStt
from antiphon.providers.stt.deepgram_flux import FluxStt
from antiphon.providers.stt.elevenlabs import ElevenLabsStt
from antiphon.providers.stt.speechmatics import SpeechmaticsStt

LOUD = b"\x10\x27" * 320
QUIET = bytes(640)
HINTS = AgentHints("en", vocabulary=("Antiphon", "olives"))


@dataclass(frozen=True)
class Cloud:
    name: str
    stt: Any
    fake: Callable[[], ListeningVendor]
    error: dict[str, Any] = field(default_factory=dict)
    """A message that says that something is wrong for now."""
    greets: bool = True

    async def start(self, fake: ListeningVendor, **options: Any) -> Any:
        """A recogniser that talks to the fake."""
        given = {"base_url": fake.http_url, "api_key": Secret("key-1"), **options}
        stt = self.stt(self.stt.Options.model_validate(given), HINTS)
        await stt.start()
        return stt


DEEPGRAM = Cloud(
    "deepgram", DeepgramStt, DeepgramListen,
    {"type": "Error", "variant": "DATA", "description": "broken for now"}, greets=False,
)  # fmt: skip
FLUX = Cloud(
    "deepgram-flux", FluxStt, DeepgramListen,
    {"type": "Error", "sequence_id": 3, "code": "INTERNAL", "description": "broken for now"},
)  # fmt: skip
ASSEMBLYAI = Cloud(
    "assemblyai", AssemblyAiStt, AssemblyAiStreaming,
    {"type": "Error", "error_code": 3005, "error": "broken for now"},
)  # fmt: skip
ELEVENLABS = Cloud(
    "elevenlabs", ElevenLabsStt, Scribe,
    {"message_type": "queue_overflow", "error": "broken for now"},
)  # fmt: skip
SPEECHMATICS = Cloud(
    "speechmatics", SpeechmaticsStt, SpeechmaticsRealtime,
    {"message": "Error", "type": "job_error", "reason": "broken for now"},
)  # fmt: skip
CLOUDS = (DEEPGRAM, FLUX, ASSEMBLYAI, ELEVENLABS, SPEECHMATICS)


def talk(stream: SttStream, words: float, silence_ms: int = 0) -> None:
    """Say so many words of the fake's script, of 300 ms each, and be silent."""
    for _ in range(round(words * 15)):
        stream.push(LOUD)
    for _ in range(silence_ms // 20):
        stream.push(QUIET)


async def partials(stream: SttStream, count: int) -> list[str]:
    """The next partial texts."""
    found: list[str] = []
    async for event in stream.events():
        if isinstance(event, PartialText):
            found.append(event.text)
        if len(found) == count:
            return found
    raise AssertionError(f"closed after {found}")


async def final_text(stream: SttStream) -> str:
    return (await read_final(stream))[0].text
