"""One provider is asked for one thing, and how long it took.

Times are milliseconds of real time. A wait that is over raises `ProviderError`, as a failure of the
provider does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from html import escape
from typing import cast

from antiphon.engine.spoken_text import Segmenter
from antiphon.errors import ProviderError
from antiphon.providers.base import (
    FinalText,
    Llm,
    LlmEvent,
    LlmRequest,
    PartialText,
    SttStream,
    TextDelta,
    Tts,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    Usage,
    Vad,
)
from antiphon.types import FRAME_BYTES, FRAME_MS, ToolCall, Word

PREROLL_MS = 300
"""Sound before the beginning that the detector found, which the recogniser is given, too; as in a
call."""
PADDING_MS = 1200
"""Silence after a recording, in which the detector finds the end of speech."""
DEADLINE_S = 20.0
"""The longest wait for any one result."""
_UTTERANCE = 1
_SILENCE = bytes(FRAME_BYTES)


def _now_ms() -> float:
    return asyncio.get_running_loop().time() * 1000


# ---- what was recorded ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edge:
    """Speech begins or ends at `position_ms` of a recording; the detector told it after `told_ms`
    of sound."""

    speaking: bool
    position_ms: int
    told_ms: int


@dataclass(frozen=True, slots=True)
class Speech:
    """A recording of one turn, 16 kHz mono s16. `text` is what is said, where that is known."""

    name: str
    pcm: bytes
    edges: tuple[Edge, ...] = ()
    text: str = ""

    @property
    def ms(self) -> int:
        return len(self.pcm) * FRAME_MS // FRAME_BYTES

    @property
    def spans(self) -> list[tuple[int, int]]:
        """From and to of each stretch of speech; of all of it, where the detector heard none."""
        begins = [one.position_ms for one in self.edges if one.speaking]
        ends = [one.position_ms for one in self.edges if not one.speaking]
        ends += [self.ms] * (len(begins) - len(ends))
        return list(zip(begins, ends, strict=False)) or [(0, self.ms)]


def frames(pcm: bytes, padding_ms: int = 0) -> list[bytes]:
    """A recording in frames, with silence after it."""
    padded = pcm + _SILENCE * (padding_ms // FRAME_MS)
    whole = [padded[at : at + FRAME_BYTES] for at in range(0, len(padded), FRAME_BYTES)]
    return [one.ljust(FRAME_BYTES, b"\0") for one in whole]


def hear(vad: Vad, name: str, pcm: bytes, text: str = "") -> Speech:
    """What a detector, which has been started, hears in a recording."""
    stream = vad.open()
    found = tuple(
        Edge(edge.speaking, edge.position_ms, number * FRAME_MS)
        for number, frame in enumerate(frames(pcm, PADDING_MS), 1)
        for edge in stream.feed(frame)
    )
    return Speech(name, pcm, found, text)


# ---- recognisers ---------------------------------------------------------------------------


@dataclass(slots=True)
class Understood:
    """What a recogniser made of a recording. `final_ms` counts from the last sound of speech to the
    final text, `told_ms` is the part of it that the detector took; `first_ms` counts from the
    first sound of speech to the first text."""

    text: str = ""
    final_ms: float = 0.0
    told_ms: float = 0.0
    first_ms: float | None = None
    confidence: float = 1.0
    language: str = ""
    words: tuple[Word, ...] = ()
    partials: list[tuple[float, str]] = field(default_factory=list)


async def understand(
    stream: SttStream,
    speech: Speech,
    *,
    name: str = "stt",
    fast: bool = False,
    tell: Callable[[float, str], None] = lambda at_ms, text: None,
) -> Understood:
    """Play a recording to a recogniser, as a call would: with the edges that the detector told, and
    silence after it until the final text is there.

    Args:
        fast: ten times as fast; times then count from when the sound was given.
        tell: takes partial texts, with the milliseconds since the recording began.

    Raises:
        ProviderError: it failed, or gave no final text within `DEADLINE_S`.
    """
    listening = _Listening(stream, speech, tell)
    reading = asyncio.create_task(listening.read())
    try:
        async with asyncio.timeout(speech.ms / 1000 + DEADLINE_S):
            await listening.play(reading, FRAME_MS / (10_000 if fast else 1000))
            await reading
            stream.end(_UTTERANCE)
    except TimeoutError:
        raise ProviderError("no final text in time", provider=name, retryable=True) from None
    finally:
        reading.cancel()
        await asyncio.wait([reading])
        if not reading.cancelled():
            reading.exception()  # of no account where something else went wrong before it
    if listening.final is None:
        raise ProviderError("it ended without a final text", provider=name, retryable=True)
    return listening.result(listening.final)


class _Listening:
    """One recording on its way through a recogniser."""

    def __init__(
        self, stream: SttStream, speech: Speech, tell: Callable[[float, str], None]
    ) -> None:
        self._stream, self._speech, self._tell = stream, speech, tell
        self._begun_ms = 0.0
        self._pushed_ms: list[float] = []  # when each frame was given
        self._partials: list[tuple[float, str]] = []
        self._last = max(1, sum(not one.speaking for one in speech.edges))
        self._final_at = 0.0
        self.final: FinalText | None = None

    async def read(self) -> None:
        """Until the final text of everything."""
        events = cast("AsyncGenerator[object, None]", self._stream.events())
        async with aclosing(events):
            async for event in events:
                if isinstance(event, PartialText) and event.text:
                    self._partial(event.text)
                elif isinstance(event, FinalText) and event.revision >= self._last:
                    self.final, self._final_at = event, _now_ms()
                    return

    def _partial(self, text: str) -> None:
        if not self._partials or self._partials[-1][1] != text:
            at_ms = _now_ms() - self._begun_ms
            self._partials.append((at_ms, text))
            self._tell(at_ms, text)

    async def play(self, reading: asyncio.Task[None], pace_s: float) -> None:
        """Give all of it, and silence, until `reading` is done."""
        stream, edges = self._stream, list(self._speech.edges)
        if not edges:  # nothing was heard: all of it is taken for speech
            edges = [Edge(True, 0, FRAME_MS), Edge(False, self._speech.ms, self._speech.ms)]
        sound = frames(self._speech.pcm)
        self._begun_ms = due_ms = _now_ms()
        begun, revision, number = False, 0, 0
        while not reading.done():
            stream.push(sound[number] if number < len(sound) else _SILENCE)
            number += 1
            self._pushed_ms.append(_now_ms())
            while edges and edges[0].told_ms <= number * FRAME_MS:
                edge = edges.pop(0)
                if edge.speaking and not begun:
                    begun = True
                    late_ms = number * FRAME_MS - edge.position_ms
                    stream.begin(_UTTERANCE, late_ms + PREROLL_MS)
                elif not edge.speaking:
                    revision += 1
                    stream.finalize(_UTTERANCE, revision)
            # What is left after the last end is silence, which is waited for in real time.
            due_ms += (pace_s if edges else FRAME_MS / 1000) * 1000
            await asyncio.sleep(max(0.0, (due_ms - _now_ms()) / 1000))

    def result(self, final: FinalText) -> Understood:
        """What came of it."""
        spans = self._speech.spans
        ended_ms = self._given_ms(spans[-1][1])
        ends = [one.told_ms for one in self._speech.edges if not one.speaking]
        first = self._partials[0][0] if self._partials else None
        spoke_ms = self._given_ms(spans[0][0]) - self._begun_ms
        return Understood(
            final.text,
            max(0.0, self._final_at - ended_ms),
            max(0.0, self._given_ms(ends[-1]) - ended_ms) if ends else 0.0,
            None if first is None else max(0.0, first - spoke_ms),
            final.confidence,
            final.language,
            final.words,
            self._partials,
        )

    def _given_ms(self, position_ms: int) -> float:
        number = min(max(1, -(-position_ms // FRAME_MS)), len(self._pushed_ms))
        return self._pushed_ms[number - 1]


# ---- brains --------------------------------------------------------------------------------


@dataclass(slots=True)
class Answered:
    """What a brain said. `first_ms` is its first text (or tool), `sentence_ms` its first `sentence`
    that a voice can begin with."""

    text: str = ""
    first_ms: float = 0.0
    sentence: str = ""
    sentence_ms: float | None = None
    total_ms: float = 0.0
    tools: tuple[ToolCall, ...] = ()
    usage: Usage | None = None


async def answer(
    llm: Llm,
    request: LlmRequest,
    *,
    name: str = "llm",
    tell: Callable[[str], None] = lambda text: None,
) -> Answered:
    """Ask a brain.

    Raises:
        ProviderError: it failed, had nothing to say, or was not done within `DEADLINE_S`.
    """
    made, segmenter, begun_ms = Answered(), Segmenter(), _now_ms()
    written: list[str] = []
    first_ms: float | None = None

    def spoken(segments: Sequence[str]) -> None:
        if segments and not made.sentence:
            made.sentence, made.sentence_ms = segments[0], _now_ms() - begun_ms

    try:
        async with asyncio.timeout(DEADLINE_S):
            stream = cast("AsyncGenerator[LlmEvent, None]", llm.stream(request))
            async with aclosing(stream):
                async for event in stream:
                    if isinstance(event, Usage):
                        made.usage = event
                        continue
                    first_ms = _now_ms() - begun_ms if first_ms is None else first_ms
                    if isinstance(event, TextDelta):
                        written.append(event.text)
                        tell(event.text)
                        spoken(segmenter.push(event.text))
                    else:
                        made.tools += (event,)
    except TimeoutError:
        raise ProviderError("no whole answer in time", provider=name, retryable=True) from None
    if first_ms is None:
        raise ProviderError("it had nothing to say", provider=name, retryable=True)
    spoken(segmenter.flush())
    made.text, made.first_ms, made.total_ms = "".join(written), first_ms, _now_ms() - begun_ms
    return made


# ---- voices --------------------------------------------------------------------------------


@dataclass(slots=True)
class Spoken:
    """What a voice made of a text: mono s16 PCM at `rate_hz`. `first_ms` is the first sound."""

    pcm: bytes
    rate_hz: int
    first_ms: float
    total_ms: float

    @property
    def audio_ms(self) -> float:
        return len(self.pcm) / 2 / self.rate_hz * 1000


async def speak(tts: Tts, text: str, *, name: str = "tts", first_only: bool = False) -> Spoken:
    """Have a text spoken, as one segment.

    Args:
        first_only: stop at the first sound, as an interruption does.

    Raises:
        ProviderError: it failed, made no sound, or was not done within `DEADLINE_S`.
    """
    pcm, first_ms, begun_ms = bytearray(), None, _now_ms()
    written = f"<speak>{escape(text)}</speak>" if getattr(tts, "takes_ssml", False) else text
    try:
        async with asyncio.timeout(DEADLINE_S):
            stream = cast("AsyncGenerator[TtsEvent, None]", tts.stream(_one(written)))
            async with aclosing(stream):
                async for event in stream:
                    if isinstance(event, TtsAudio) and event.pcm:
                        first_ms = _now_ms() - begun_ms if first_ms is None else first_ms
                        pcm += event.pcm
                        if first_only:
                            break
    except TimeoutError:
        raise ProviderError("not all sound came in time", provider=name, retryable=True) from None
    if first_ms is None:
        raise ProviderError("it made no sound", provider=name, retryable=True)
    return Spoken(bytes(pcm), tts.sample_rate_hz, first_ms, _now_ms() - begun_ms)


async def _one(text: str) -> AsyncIterator[TtsSegment]:
    yield TtsSegment(0, text)
