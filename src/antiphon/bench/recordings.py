"""What providers are given to hear: recordings, or sentences that a voice says."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from antiphon.agent.config import ProviderChoice
from antiphon.agent.load import LoadedAgent
from antiphon.audio.resample import resample_file
from antiphon.audio.wav import read_pcm
from antiphon.bench.ask import Speech, hear, speak
from antiphon.errors import UserFacingError
from antiphon.providers import registry
from antiphon.types import INPUT_RATE_HZ

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus")
BUILT_IN = ProviderChoice(provider="flite")
_LEAD_MS, _TAIL_MS = 400, 200
_WORDS = range(4, 13)
_GENERAL = (
    "Hello, could you please help me?",
    "What time do you open tomorrow morning?",
    "I would like to make an appointment for Friday.",
    "How much does that cost all together?",
    "Can you tell me a little more about it?",
    "Yes please, that would be very kind of you.",
    "I'm calling about the letter that I got yesterday.",
    "No thank you, I think that was everything.",
)


def examples(agent: LoadedAgent, count: int) -> list[str]:
    """Things that callers of this agent say, always the same.

    Raises:
        UserFacingError: it is spoken to in another language, and has no flow that would know.
    """
    known = [one for one in agent.hints.sentences if len(one.split()) in _WORDS]
    if not known and not agent.config.language.startswith("en"):
        raise UserFacingError(
            f"nobody knows what callers say to it in `{agent.config.language}`: name recordings"
        )
    drawn = random.Random(1)
    pool = known or list(_GENERAL)
    return drawn.sample(pool, count) if count <= len(pool) else drawn.choices(pool, k=count)


def voice_of(agent: LoadedAgent) -> ProviderChoice:
    """Who says the examples: the built-in voice, or the agent's where that one cannot."""
    return BUILT_IN if agent.config.language.startswith("en") else agent.config.tts


async def spoken(agent: LoadedAgent, texts: Sequence[str]) -> list[Speech]:
    """Sentences as the voice says them.

    Raises:
        UserFacingError: the voice or the agent's detector cannot run here.
        ProviderError: the voice failed.
    """
    choice = voice_of(agent)
    async with AsyncExitStack() as stack:
        vad = registry.make("vad", agent.config.vad.provider, agent.config.vad.options)
        tts = registry.make("tts", choice.provider, choice.options, agent.hints)
        for one in (vad, tts):
            stack.push_async_callback(one.aclose)
            await one.start()
        made = []
        for text in texts:
            sound = await speak(tts, text, name=choice.provider)
            made.append(hear(vad, text, _at_input_rate(sound.pcm, sound.rate_hz), text))
        return made


async def recorded(agent: LoadedAgent, paths: Sequence[Path]) -> list[Speech]:
    """Recordings, each a turn; of a folder, all in it.

    Raises:
        UserFacingError: there is none, or one cannot be read.
    """
    files: list[Path] = []
    for path in paths:
        inside = sorted(one for one in path.glob("*") if one.suffix.lower() in SUFFIXES)
        if path.is_dir() and not inside:
            raise UserFacingError(f"{path}: no recording is in this folder ({', '.join(SUFFIXES)})")
        files += inside if path.is_dir() else [path]
    vad = registry.make("vad", agent.config.vad.provider, agent.config.vad.options)
    try:
        await vad.start()
        return [hear(vad, one.name, read_pcm(one, INPUT_RATE_HZ)) for one in files]
    finally:
        await vad.aclose()


def _at_input_rate(pcm: bytes, rate_hz: int) -> bytes:
    """With the silence around it that a caller leaves."""
    import numpy as np

    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / 32768
    made = np.clip(resample_file(samples, rate_hz, INPUT_RATE_HZ) * 32768, -32768, 32767)
    lead, tail = (bytes(ms * INPUT_RATE_HZ // 1000 * 2) for ms in (_LEAD_MS, _TAIL_MS))
    return lead + bytes(made.astype("<i2").tobytes()) + tail
