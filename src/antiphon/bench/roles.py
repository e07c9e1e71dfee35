"""Who takes part in an item beside the engine: its words, its voice, a brain that is never done.

All of them wait on the event loop, so on stream time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from antiphon.bench.items import UNKNOWN, Item
from antiphon.providers.base import (
    FinalText,
    LlmEvent,
    LlmRequest,
    PartialText,
    Stt,
    SttEvent,
    SttStream,
    TextDelta,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
    Vad,
    VadEdge,
    VadStream,
)
from antiphon.types import FRAME_MS, INPUT_RATE_HZ

FINAL_AFTER_S = 0.25
"""From the detector's stop to the final transcript."""
ANSWER_AFTER_S = 1.0
"""From the decision to the first sound of the answer, in natural calls."""
_PARTIAL_EVERY_S = 0.3
_ANSWER = bytes(INPUT_RATE_HZ // 5 * 2)


@dataclass(frozen=True, slots=True)
class Edge:
    """Speech began or ended, and when that was told; seconds of the stream."""

    speaking: bool
    position_s: float
    told_s: float


class Stage:
    """What the roles of one item know: the time in its stream, and the voice activity so far.

    Args:
        item: what is played.
        lead_s: silence before the item's stream, in the call.
    """

    def __init__(self, item: Item, lead_s: float) -> None:
        self.item, self.lead_s = item, lead_s
        self.edges: list[Edge] = []
        self._loop = asyncio.get_running_loop()
        self._begun_s = self._loop.time()

    def now_s(self) -> float:
        """Seconds since the item's stream began; negative before."""
        return self._loop.time() - self._begun_s - self.lead_s

    def call_at(self, at_s: float, what: Callable[[], None]) -> asyncio.TimerHandle:
        """Do it at a time of the stream."""
        return self._loop.call_at(self._begun_s + self.lead_s + at_s, what)

    async def until(self, at_s: float) -> None:
        """Wait for a time of the stream."""
        await asyncio.sleep(max(0.0, at_s - self.now_s()))


# ---- voice activity ----------------------------------------------------------------------------


class WatchedVad:
    """A detector whose edges are noted."""

    def __init__(self, vad: Vad, stage: Stage) -> None:
        self._vad, self._stage = vad, stage

    async def start(self) -> None:
        """The detector has been started."""

    async def aclose(self) -> None:
        """The detector serves further items."""

    def open(self) -> VadStream:
        return _WatchedVadStream(self._vad.open(), self._stage)


class _WatchedVadStream:
    def __init__(self, stream: VadStream, stage: Stage) -> None:
        self._stream, self._stage = stream, stage

    def feed(self, pcm: bytes) -> Sequence[VadEdge]:
        found = self._stream.feed(pcm)
        for edge in found:
            position_s = edge.position_ms / 1000 - self._stage.lead_s
            self._stage.edges.append(Edge(edge.speaking, position_s, self._stage.now_s()))
        return found


# ---- speech to text ----------------------------------------------------------------------------


class ScriptStt:
    """Understands the item's words when they have been said."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def open(self) -> SttStream:
        return _ScriptStream(self._stage)


class _ScriptStream:
    """Words belong to the utterance that is open when they are said, or that begins after it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._open: int | None = None
        self._first = 0  # word of the utterance
        self._told = ""
        self._final = 0  # words up to the utterance's newest final
        self._begun_s = 0.0
        self._due: list[tuple[float, int, int]] = []  # finals: when, utterance, revision
        self._words: dict[int, tuple[int, int | None]] = {}  # utterance -> first, end
        self._results: deque[SttEvent] = deque()
        self._wake = asyncio.Event()
        self._closed = False

    def push(self, pcm: bytes) -> None:
        now_s = self._stage.now_s()
        for due in [one for one in self._due if one[0] <= now_s]:
            self._due.remove(due)
            text = self._text(due[1])
            self._put(FinalText(due[1], due[2], text))
            if due[1] == self._open:
                self._told, self._final = text, self._said()
        if self._open is None:
            return
        if self._stage.item.words is None and now_s < self._begun_s + _PARTIAL_EVERY_S:
            return
        if (text := self._text(self._open)) != self._told:
            self._told = text
            self._put(PartialText(self._open, text))

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        self._close_utterance()
        self._words[utterance_id] = (self._first, None)
        self._final = self._first
        self._open, self._told, self._begun_s = utterance_id, "", self._stage.now_s()

    def finalize(self, utterance_id: int, revision: int) -> None:
        if utterance_id in self._words:
            edges = self._stage.edges
            stopped = edges and not edges[-1].speaking
            since_s = edges[-1].told_s if stopped else self._stage.now_s()
            at_s = max(since_s + FINAL_AFTER_S, self._stage.now_s())
            self._due.append((at_s, utterance_id, revision))
            # Frames come every 20 ms; the answer need not wait for the next.
            self._stage.call_at(at_s, lambda: None if self._closed else self.push(b""))

    def end(self, utterance_id: int) -> None:
        if utterance_id == self._open:
            self._close_utterance()
        self._words.pop(utterance_id, None)
        self._due = [one for one in self._due if one[1] != utterance_id]

    async def events(self) -> AsyncIterator[SttEvent]:
        while not self._closed:
            while self._results:
                yield self._results.popleft()
            self._wake.clear()
            await self._wake.wait()

    async def aclose(self) -> None:
        self._closed = True
        self._wake.set()

    def _close_utterance(self) -> None:
        """What is said in a pause belongs to the next utterance, as its beginning: the detector has
        not noticed yet that the caller speaks again."""
        if self._open is not None:
            edges = self._stage.edges
            paused = edges and not edges[-1].speaking
            said = self._stage.item.spoken(edges[-1].told_s) if paused else self._said()
            said = max(said, self._final)
            self._words[self._open] = (self._words[self._open][0], said)
            self._first, self._open = said, None

    def _said(self) -> int:
        return self._stage.item.spoken(self._stage.now_s())

    def _text(self, utterance_id: int) -> str:
        words = self._stage.item.words
        if words is None:
            return UNKNOWN
        first, end = self._words[utterance_id]
        return " ".join(word for _, word in words[first : self._said() if end is None else end])

    def _put(self, event: SttEvent) -> None:
        self._results.append(event)
        self._wake.set()


class WaitedStt:
    """A recogniser in another process: while it owes a final transcript, time passes as it does.

    Args:
        outside: says that something is computing elsewhere (`StreamLoop.outside`).
    """

    def __init__(self, stt: Stt, outside: Callable[[], AbstractContextManager[None]]) -> None:
        self._stt, self._outside = stt, outside

    async def start(self) -> None:
        """The recogniser has been started."""

    async def aclose(self) -> None:
        """The recogniser serves further items."""

    async def open(self) -> SttStream:
        with self._outside():
            return _WaitedStream(await self._stt.open(), self._outside)


class _WaitedStream:
    def __init__(
        self, stream: SttStream, outside: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._stream, self._outside = stream, outside
        self._owed: tuple[int, int, AbstractContextManager[None]] | None = None

    def push(self, pcm: bytes) -> None:
        self._stream.push(pcm)

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        # What an utterance that was passed on still owes is waited for.
        self._stream.begin(utterance_id, preroll_ms, over_agent)

    def finalize(self, utterance_id: int, revision: int) -> None:
        self._settle()
        waiting = self._outside()
        waiting.__enter__()
        self._owed = (utterance_id, revision, waiting)
        self._stream.finalize(utterance_id, revision)

    def end(self, utterance_id: int) -> None:
        if self._owed is not None and self._owed[0] == utterance_id:
            self._settle()
        self._stream.end(utterance_id)

    async def events(self) -> AsyncIterator[SttEvent]:
        try:
            async for event in self._stream.events():
                if isinstance(event, FinalText):
                    self._answered(event)
                yield event
        finally:
            self._settle()

    async def aclose(self) -> None:
        self._settle()
        await self._stream.aclose()

    def _answered(self, final: FinalText) -> None:
        if self._owed is not None and self._owed[:2] == (final.utterance_id, final.revision):
            self._settle()

    def _settle(self) -> None:
        if self._owed is not None:
            waiting, self._owed = self._owed[2], None
            waiting.__exit__(None, None, None)


# ---- brain and voice ---------------------------------------------------------------------------


class SlowLlm:
    """Its answer does not become audible: the caller may go on, and then it was one turn.

    In a natural call, where the caller's other turns follow, it comes after a second and is short.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        if self._stage.item.kind != "eot_natural":
            await asyncio.Event().wait()
        await asyncio.sleep(ANSWER_AFTER_S)
        yield TextDelta("Okay.")


class ItemTts:
    """Speaks the item's agent at its time, and after that nothing, for ever."""

    sample_rate_hz = INPUT_RATE_HZ

    def __init__(self, stage: Stage, voice: bytes, from_s: float) -> None:
        self._stage, self._voice, self._from_s = stage, voice, from_s

    async def start(self) -> None:
        """Nothing to load."""

    async def aclose(self) -> None:
        """Nothing to release."""

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        voice, self._voice = self._voice, b""
        async for segment in segments:
            if voice:
                # Between two frames, so that the next one is the first that is heard.
                await self._stage.until(self._from_s - FRAME_MS / 2000)
            elif self._stage.item.kind == "eot_natural":
                voice = _ANSWER
            else:
                await asyncio.Event().wait()
            yield TtsAudio(segment.segment_id, voice)
            yield TtsSegmentDone(segment.segment_id)
            voice = b""
