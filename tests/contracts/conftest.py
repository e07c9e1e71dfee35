"""Which implementations each contract is run on. A provider joins by a line here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.assemblyai import AssemblyAiStreaming
from tests.fakes.azure_speech import AzureSpeech
from tests.fakes.cartesia import FakeCartesia
from tests.fakes.deepgram_stt import DeepgramListen
from tests.fakes.deepgram_tts import FakeDeepgramTts
from tests.fakes.elevenlabs_stt import Scribe
from tests.fakes.elevenlabs_tts import FakeElevenLabsTts
from tests.fakes.gemini import FakeGemini
from tests.fakes.google_speech import GoogleSpeech
from tests.fakes.host import FakeVendor
from tests.fakes.openai_llm import FakeChat, FakeResponses
from tests.fakes.openai_stt import OpenAiTranscription
from tests.fakes.openai_tts import FakeOpenAiTts
from tests.fakes.piper import FakePiper
from tests.fakes.rime import FakeRime
from tests.fakes.speechmatics import SpeechmaticsRealtime
from tests.fakes.whisper_cpp import WhisperCpp
from tests.fakes.wyoming import one_second_voice
from tests.fakes.xtts import FakeXtts
from tests.support import made_models, tiny_models

from antiphon.providers.base import AgentHints, Llm, Stt, Tts, TurnDetector, Vad


def base_url(fake: FakeVendor) -> dict[str, Any]:
    """Where most adapters are told to look for their vendor."""
    return {"base_url": fake.http_url}


def v1_url(fake: FakeVendor) -> dict[str, Any]:
    """The address of a vendor whose paths begin with a version."""
    return {"base_url": f"{fake.http_url}/v1"}


@dataclass(frozen=True)
class Candidate:
    """A provider by its class's path, made when a test needs it, so that what is not installed
    fails one test and not the collection. `fake` stands for its vendor, and `place` gives the
    options that lead to it; `options` alone lead to a port where nobody listens. `models` makes
    what it loads, and gives the options that name it."""

    path: str
    options: dict[str, Any] = field(default_factory=dict)
    hints: AgentHints = field(default_factory=AgentHints)
    fake: Callable[[], FakeVendor] | None = None
    place: Callable[[FakeVendor], dict[str, Any]] = base_url
    models: Callable[[], dict[str, Any]] = dict

    def make(self, **more: Any) -> Any:
        module, _, name = self.path.partition(":")
        provider = getattr(__import__(module, fromlist=[name]), name)
        options = self.options | self.models() | more
        return provider(provider.Options.model_validate(options), self.hints)


VADS = [
    Candidate(f"antiphon.providers.vad.{name}")
    for name in ("silero:SileroVad", "webrtc:WebrtcVad", "energy:EnergyVad")
]
VADS += [Candidate("antiphon.providers.vad.webrtc:WebrtcVad", {"frame_ms": 30})]
TURNS = [
    Candidate("antiphon.providers.turn.prosody:ProsodyTurn"),
    Candidate("antiphon.providers.turn.phrases:PhraseTurn"),
    Candidate(
        "antiphon.providers.turn.smart_turn:SmartTurn", models=tiny_models.smart_turn_options
    ),
]
TTSS = [
    Candidate("antiphon.providers.tts.flite:FliteTts"),
    Candidate("antiphon.providers.scripted:ScriptedTts"),
]
TTSS += [
    Candidate(f"antiphon.providers.tts.{name}", {"base_url": "http://127.0.0.1:9"}, fake=fake)
    for name, fake in (
        ("cartesia:CartesiaTts", FakeCartesia),
        ("deepgram:DeepgramTts", FakeDeepgramTts),
        ("elevenlabs:ElevenLabsTts", FakeElevenLabsTts),
        ("rime:RimeTts", FakeRime),
    )
]
TTSS += [
    Candidate(
        "antiphon.providers.tts.openai:OpenAiTts",
        {"base_url": "http://127.0.0.1:9"},
        fake=FakeOpenAiTts,
        place=v1_url,
    )
]
LLMS = [Candidate("antiphon.providers.scripted:ScriptedLlm", {"replies": ["Yes, of course."]})]
STTS = [Candidate("antiphon.providers.scripted:ScriptedStt", {"transcripts": ["yes please"]})]

NOBODY = "http://127.0.0.1:9"
STTS += [
    Candidate(
        "antiphon.providers.stt.openai:OpenAiStt",
        {"base_url": NOBODY},
        fake=OpenAiTranscription,
        place=v1_url,
    ),
    Candidate(
        "antiphon.providers.stt.openai_batch:OpenAiBatchStt",
        {"base_url": NOBODY},
        fake=OpenAiTranscription,
        place=v1_url,
    ),
    Candidate(
        "antiphon.providers.stt.whisper_cpp:WhisperCppStt", {"base_url": NOBODY}, fake=WhisperCpp
    ),
    Candidate(
        "antiphon.providers.stt.google:GoogleStt",
        {"base_url": NOBODY, "project": "p", "connect_ms": 100},
        fake=GoogleSpeech,
    ),
    Candidate("antiphon.providers.stt.azure:AzureStt", {"base_url": NOBODY}, fake=AzureSpeech),
]
STTS += [
    Candidate(
        f"antiphon.providers.stt.{name}", {"base_url": NOBODY, "final_ms": 150}, fake=listening
    )
    for name, listening in (
        ("assemblyai:AssemblyAiStt", AssemblyAiStreaming),
        ("deepgram:DeepgramStt", DeepgramListen),
        ("deepgram_flux:FluxStt", DeepgramListen),
        ("elevenlabs:ElevenLabsStt", Scribe),
        ("speechmatics:SpeechmaticsStt", SpeechmaticsRealtime),
    )
]
TTSS += [
    Candidate(
        "antiphon.providers.tts.google:GoogleTts",
        {"base_url": NOBODY, "connect_ms": 100},
        fake=GoogleSpeech,
    ),
    Candidate("antiphon.providers.tts.azure:AzureTts", {"base_url": NOBODY}, fake=AzureSpeech),
]

STTS += [
    Candidate("antiphon.providers.stt.faster_whisper:FasterWhisperStt", models=made_models.whisper),
    Candidate("antiphon.providers.stt.sherpa_onnx:SherpaStt", models=made_models.sherpa),
]

TTSS += [
    Candidate("antiphon.providers.tts.piper:PiperTts", models=tiny_models.piper_options),
    Candidate("antiphon.providers.tts.piper:PiperTts", {"base_url": NOBODY}, fake=FakePiper),
    Candidate("antiphon.providers.tts.kokoro:KokoroTts", models=tiny_models.kokoro_options),
    Candidate("antiphon.providers.tts.espeak_ng:EspeakTts"),
    Candidate("antiphon.providers.tts.xtts:XttsTts", {"base_url": NOBODY}, fake=FakeXtts),
    Candidate(
        "antiphon.providers.tts.wyoming:WyomingTts",
        {"base_url": "tcp://127.0.0.1:9"},
        fake=one_second_voice,
        place=lambda fake: {"base_url": f"tcp://127.0.0.1:{fake.port}"},
    ),
]


def two_models(fake: FakeVendor) -> dict[str, Any]:
    """The address of both models of a router."""
    place = {"provider": "openai", "model": "m", **v1_url(fake)}
    return {"fast": place, "large": {**place, "model": "l"}}


LLMS += [
    Candidate(
        f"antiphon.providers.llm.{name}",
        {"base_url": NOBODY, "model": "m"},
        fake=FakeChat,
        place=v1_url,
    )
    for name in (
        "openai:OpenAiLlm",
        *(f"compatible:{one}Llm" for one in ("Groq", "Together", "Mistral", "Ollama", "Vllm")),
        *(f"compatible:{one}Llm" for one in ("LlamaServer", "LmStudio")),
    )
]
LLMS += [
    Candidate(f"antiphon.providers.llm.{name}", {"base_url": NOBODY}, fake=fake, place=place)
    for name, fake, place in (
        ("openai_responses:OpenAiResponsesLlm", FakeResponses, v1_url),
        ("anthropic:AnthropicLlm", FakeAnthropic, base_url),
        ("gemini:GeminiLlm", FakeGemini, v1_url),
    )
]
LLMS += [
    Candidate(
        "antiphon.providers.llm.router:RouterLlm",
        {
            "fast": {"provider": "openai", "base_url": NOBODY},
            "large": {"provider": "openai", "base_url": NOBODY},
        },
        fake=FakeChat,
        place=two_models,
    )
]


REALTIMES = [
    Candidate(f"antiphon.providers.realtime.{name}", {"base_url": NOBODY, **options})
    for name, options in (
        ("openai:OpenAiRealtime", {}),
        ("gemini:GeminiLive", {}),
        ("deepgram:DeepgramAgent", {}),
        ("elevenlabs:ElevenLabsAgent", {"agent_id": "a"}),
    )
]
"""Their calls are tested in tests/providers/test_realtime.py."""


def _name(candidate: Candidate) -> str:
    return candidate.path.partition(":")[2]


async def _run(candidate: Candidate) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:
        more = {}
        if candidate.fake is not None:
            more = candidate.place(await stack.enter_async_context(candidate.fake()))
        provider = candidate.make(**more)
        await provider.start()
        yield provider
        await provider.aclose()


@pytest.fixture(params=VADS, ids=_name)
async def vad(request: pytest.FixtureRequest) -> AsyncIterator[Vad]:
    async for provider in _run(request.param):
        yield provider


@pytest.fixture(params=TURNS, ids=_name)
async def turn(request: pytest.FixtureRequest) -> AsyncIterator[TurnDetector]:
    async for provider in _run(request.param):
        yield provider


@pytest.fixture(params=TTSS, ids=_name)
async def tts(request: pytest.FixtureRequest) -> AsyncIterator[Tts]:
    async for provider in _run(request.param):
        yield provider


@pytest.fixture(params=LLMS, ids=_name)
async def llm(request: pytest.FixtureRequest) -> AsyncIterator[Llm]:
    async for provider in _run(request.param):
        yield provider


@pytest.fixture(params=STTS, ids=_name)
async def stt(request: pytest.FixtureRequest) -> AsyncIterator[Stt]:
    async for provider in _run(request.param):
        yield provider


@pytest.fixture(params=VADS + TURNS + TTSS + LLMS + STTS + REALTIMES, ids=_name)
def candidate(request: pytest.FixtureRequest) -> Candidate:
    assert isinstance(request.param, Candidate)
    return request.param
