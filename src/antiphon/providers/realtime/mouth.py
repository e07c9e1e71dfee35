"""The voice's side of a speech-to-speech model: segments of text go in, and the model's own sound
for them comes out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Protocol

from rapidfuzz import fuzz

from antiphon.errors import ProviderError
from antiphon.providers.base import TtsAudio, TtsEvent, TtsSegment, TtsSegmentDone
from antiphon.providers.realtime.answer import Answer, letters
from antiphon.providers.realtime.wire import Vendor

log = logging.getLogger("antiphon.realtime")

_EXACT = 85.0


class Speaking(Protocol):
    """What a voice needs of its call."""

    rate_hz: int
    vendor: Vendor

    def owner(self, text: str) -> Answer | None: ...
    def can_say(self) -> bool: ...
    def speak(self, text: str) -> Answer: ...
    def stop(self, answer: Answer) -> None: ...
    def error(self, message: str, retryable: bool) -> ProviderError: ...


class Mouth:
    """A `Tts`. Text that is not of the model's answer it is asked to say word for word."""

    def __init__(self, call: Speaking) -> None:
        self._call = call

    @property
    def sample_rate_hz(self) -> int:
        return self._call.rate_hz

    async def start(self) -> None:
        """The call is connected already."""

    async def aclose(self) -> None:
        """The call is closed elsewhere."""

    def owns(self, text: str) -> bool:
        """Whether this is the next thing that the model itself says."""
        return self._call.owner(text) is not None

    def can_say(self) -> bool:
        """Whether the model can be made to say something that is not its own, now."""
        return self._call.can_say()

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak; see `Tts.stream`. Stopped in the middle of an answer, the answer is cancelled.

        Raises:
            ProviderError: the connection was lost, the answer failed, or no sound came in time.
        """
        async for segment in segments:
            answer = self._call.owner(segment.text)
            if answer is not None:
                sound = self._own(answer, segment)
            elif not letters(segment.text):
                sound = _nothing(segment)
            else:
                sound = self._asked(segment)
            async with aclosing(sound):
                async for event in sound:
                    yield event

    async def _own(self, answer: Answer, segment: TtsSegment) -> AsyncGenerator[TtsEvent, None]:
        """The part of an answer's sound that belongs to a segment."""
        end = answer.find(segment.text)
        assert end is not None
        span = answer.begin(end)
        finished = reached = False
        try:
            while True:
                version = answer.version
                # Past its likely end nothing is taken before it is known whether more is to be
                # said: if so it belongs to that, if not to this.
                if not reached or (answer.written and answer.is_last(span)):
                    pcm, reached = answer.take(span)
                    if pcm:
                        yield TtsAudio(segment.segment_id, pcm)
                if answer.error is not None:
                    raise answer.error
                if reached and (answer.whole or not answer.is_last(span)):
                    break
                await self._wait(answer, version)
            answer.finish(span)
            finished = True
            yield TtsSegmentDone(segment.segment_id)
        finally:
            if not finished:
                self._call.stop(answer)

    async def _asked(self, segment: TtsSegment) -> AsyncGenerator[TtsEvent, None]:
        """Sound that the model makes of a text that is not its own."""
        answer = self._call.speak(segment.text)
        finished = False
        try:
            while True:
                version = answer.version
                if answer.pcm:
                    pcm = bytes(answer.pcm[: len(answer.pcm) // 2 * 2])
                    del answer.pcm[: len(pcm)]
                    yield TtsAudio(segment.segment_id, pcm)
                elif answer.error is not None:
                    raise answer.error
                elif answer.whole:
                    break
                else:
                    await self._wait(answer, version)
            finished = True
            if not answer.total_bytes and not answer.cut_off:
                raise self._call.error("the model did not say what it was asked to", True)
            if fuzz.ratio(letters(segment.text), letters(answer.text)) < _EXACT:
                log.warning("the model changed a sentence that it was to say word for word")
            yield TtsSegmentDone(segment.segment_id)
        finally:
            if not finished:
                self._call.stop(answer)

    async def _wait(self, answer: Answer, version: int) -> None:
        within_ms = self._call.vendor.idle_ms
        try:
            async with asyncio.timeout(within_ms / 1000):
                await answer.changed(version)
        except TimeoutError:
            raise self._call.error(f"no sound within {within_ms} ms", True) from None


async def _nothing(segment: TtsSegment) -> AsyncGenerator[TtsEvent, None]:
    yield TtsSegmentDone(segment.segment_id)
