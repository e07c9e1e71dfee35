"""A recogniser that understands what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, FinalText, PartialText, SttEvent, Traits
from antiphon.providers.scripted.common import Fate, Item, Script, as_text
from antiphon.types import FRAME_MS

_MAX_EVENTS = 256


class ScriptedTranscript(Item):
    """What one utterance is understood as. In a file a plain string means `text`; an empty text
    is an utterance of which nothing was understood."""

    text: str = ""
    confidence: float = Field(default=1.0, ge=0, le=1)
    complete: float | None = Field(default=None, ge=0, le=1)
    """Probability that the utterance ends after these words."""


class ScriptedSttOptions(Script):
    """Options of the scripted recogniser."""

    transcripts: tuple[Annotated[ScriptedTranscript, BeforeValidator(as_text)], ...] = ()
    """What a call's utterances are understood as, in their order. With none, nothing is."""
    after_last: Literal["repeat", "cycle", "empty"] = "cycle"
    """What follows the last transcript: it again, the first again, or nothing understood."""
    partial_every_ms: int = Field(default=0, ge=0)
    """One more word is told as a partial for so much audio of the utterance; 0: no partials."""
    fail_at_utterance: int | None = Field(default=None, ge=0)
    """Number, from 0, of the call's utterance at whose beginning the stream fails for good."""
    hang_at_utterance: int | None = Field(default=None, ge=0)
    """Number, from 0, of the utterance from which on nothing is answered any more."""


class ScriptedStt:
    """Understands what it is told to, whatever is said."""

    Options = ScriptedSttOptions
    traits = Traits(can=("partials",))

    def __init__(self, options: ScriptedSttOptions, hints: AgentHints) -> None:
        self._options = options
        self._streams = 0

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def open(self) -> ScriptedSttStream:
        self._streams += 1
        return ScriptedSttStream(self._options, self._streams - 1)


class ScriptedSttStream:
    """One call's transcription. Time for partials is counted in audio; only finals wait."""

    def __init__(self, options: ScriptedSttOptions, number: int) -> None:
        self._options = options
        self._fate = Fate(options, number)
        self._utterances = -1
        self._open_id: int | None = None
        self._heard_ms = 0
        self._partial_words = 0
        self._results: asyncio.Queue[SttEvent | ProviderError | None] = asyncio.Queue()
        self._waiting: set[asyncio.TimerHandle] = set()
        self._closed = False

    def push(self, pcm: bytes) -> None:
        every_ms = self._options.partial_every_ms
        if self._open_id is None or not every_ms or self._hangs():
            return
        self._heard_ms += FRAME_MS
        words = self._transcript().text.split()
        due = min(len(words), self._heard_ms // every_ms)
        if due > self._partial_words:
            self._partial_words = due
            self._put(PartialText(self._open_id, " ".join(words[:due])))

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        self._utterances += 1
        self._open_id = utterance_id
        self._heard_ms = preroll_ms
        self._partial_words = 0
        if self._utterances:
            self._fate.draw()
        if self._fate.unlucky or self._utterances == self._options.fail_at_utterance:
            self._put(self._fate.failure())

    def finalize(self, utterance_id: int, revision: int) -> None:
        if utterance_id != self._open_id or self._hangs() or self._closed:
            return
        heard = self._transcript()
        final = FinalText(utterance_id, revision, heard.text, heard.confidence, heard.complete)
        delay_s = self._options.first_delay_ms.draw_s(self._fate.rng)
        if delay_s <= 0.0:
            self._put(final)
            return
        loop = asyncio.get_running_loop()
        self._waiting = {handle for handle in self._waiting if handle.when() > loop.time()}
        self._waiting.add(loop.call_later(delay_s, self._deliver, final))

    def end(self, utterance_id: int) -> None:
        if utterance_id == self._open_id:
            self._open_id = None
            self._cancel_waiting()

    async def events(self) -> AsyncIterator[SttEvent]:
        while (result := await self._results.get()) is not None:
            if isinstance(result, ProviderError):
                raise result
            yield result

    async def aclose(self) -> None:
        self._cancel_waiting()
        if not self._closed:
            self._closed = True
            self._results.put_nowait(None)

    def _deliver(self, final: FinalText) -> None:
        if final.utterance_id == self._open_id:
            self._put(final)

    def _put(self, result: SttEvent | ProviderError) -> None:
        # Nobody is reading: an old partial is of no use to anybody, so the oldest result goes.
        if self._results.qsize() >= _MAX_EVENTS:
            self._results.get_nowait()
        if not self._closed:
            self._results.put_nowait(result)

    def _cancel_waiting(self) -> None:
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()

    def _hangs(self) -> bool:
        at = self._options.hang_at_utterance
        return self._fate.stalled or (at is not None and self._utterances >= at)

    def _transcript(self) -> ScriptedTranscript:
        transcripts, after_last = self._options.transcripts, self._options.after_last
        number = self._utterances
        if not transcripts or (number >= len(transcripts) and after_last == "empty"):
            return ScriptedTranscript()
        if after_last == "repeat":
            return transcripts[min(number, len(transcripts) - 1)]
        return transcripts[number % len(transcripts)]
