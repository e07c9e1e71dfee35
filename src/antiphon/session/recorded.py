"""What is said when nothing can be said any more: a sentence that was recorded while it could.

It is made with the agent's own voice when the server starts, kept in the user's cache so that the
next start needs no voice for it, and played whatever text is asked for.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from antiphon.audio.wav import read_pcm
from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers import registry
from antiphon.providers.base import (
    AgentHints,
    Tts,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
)
from antiphon.session.render import RATE_HZ, render

log = logging.getLogger(__name__)

RECORD_DEADLINE_S = 20.0


class RecordedVoice:
    """A voice that knows one sentence. Without a recording it fails, and the call ends silently.

    Args:
        sentence: what it says.
        voices: who is asked to say it, in order; the built-in voice comes after them.
        key: says which voice that is; another key is another recording.
        folder: where recordings are kept; None keeps none.
    """

    sample_rate_hz = RATE_HZ

    def __init__(
        self, sentence: str, voices: Sequence[Tts], key: str, folder: Path | None = None
    ) -> None:
        self._sentence, self._voices = sentence, tuple(voices)
        name = hashlib.sha256(f"{key}\n{sentence}".encode()).hexdigest()[:32]
        self._path = None if folder is None else folder / f"{name}.wav"
        self._pcm = b""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to record, unless there is a recording."""
        self._pcm = await asyncio.to_thread(self._load)
        if not self._pcm:
            self._task = asyncio.create_task(self._record(), name="record")

    async def aclose(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """The recording for the first segment, nothing for the others."""
        if not self._pcm:
            raise ProviderError("nothing is recorded", provider="recorded", retryable=False)
        rest = self._pcm
        async for segment in segments:
            if rest:
                yield TtsAudio(segment.segment_id, rest)
                rest = b""
            yield TtsSegmentDone(segment.segment_id)

    # ---- recording -------------------------------------------------------------------------

    async def _record(self) -> None:
        ways: list[Callable[[], Awaitable[bytes]]]
        ways = [partial(render, voice, self._sentence) for voice in self._voices]
        ways.append(self._say_builtin)
        for say in ways:
            try:
                async with asyncio.timeout(RECORD_DEADLINE_S):
                    self._pcm = await say()
            except (TimeoutError, ProviderError, UserFacingError) as error:
                log.info("the last sentence is not recorded: %s", error or "too late")
            if self._pcm:
                await asyncio.to_thread(self._save)
                return
        log.warning("no voice recorded the sentence for when all voices fail")

    async def _say_builtin(self) -> bytes:
        voice = registry.make("tts", "flite", None, AgentHints())
        await voice.start()
        try:
            return await render(voice, self._sentence)
        finally:
            await voice.aclose()

    def _load(self) -> bytes:
        if self._path is None or not self._path.exists():
            return b""
        try:
            return read_pcm(self._path, RATE_HZ)
        except (OSError, UserFacingError) as error:
            log.info("a recording cannot be read: %s", error)
            return b""

    def _save(self) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partly = self._path.with_suffix(f".{os.getpid()}")
            with wave.open(str(partly), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(RATE_HZ)
                file.writeframes(self._pcm)
            partly.replace(self._path)
        except OSError as error:
            log.info("a recording cannot be kept: %s", error)


def cache_folder() -> Path:
    """Where recordings are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "antiphon" / "recorded"
