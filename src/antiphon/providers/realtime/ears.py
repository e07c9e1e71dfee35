"""The recogniser's side of a speech-to-speech model: the caller's sound goes in, the model's
transcript of it comes out.

The model understands the sound, not the transcript, which may come late. So the engine is not kept
waiting for it: after `transcript_ms` it is given what is known, or `UNHEARD` where that is nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from antiphon.errors import ProviderError
from antiphon.providers.base import EndOfTurn, FinalText, PartialText, SttEvent
from antiphon.providers.realtime.ledger import Utterance
from antiphon.providers.realtime.wire import Frame, Heard, Vendor, Wire
from antiphon.types import FRAME_MS

UNHEARD = "(speech)"
"""Stands for words that the model has heard and nobody has written down yet."""
PREROLL_MS = 3000
_SURELY_MS = 700
"""Sound over the agent's voice that is shorter and has no transcript is no turn."""
_MAX_EVENTS = 1000
_MAX_UTTERANCES = 50


class Ears:
    """An `SttStream`. `wire` gives the connection's protocol, None while there is none; `send`
    sends."""

    def __init__(
        self,
        vendor: Vendor,
        wire: Callable[[], Wire | None],
        send: Callable[[Sequence[Frame]], None],
    ) -> None:
        self._vendor, self._wire, self._send = vendor, wire, send
        self._ring: deque[bytes] = deque(maxlen=PREROLL_MS // FRAME_MS)
        self._events: asyncio.Queue[SttEvent | ProviderError | None] = asyncio.Queue(_MAX_EVENTS)
        self._utterance: Utterance | None = None
        self._since: deque[Utterance] = deque(maxlen=_MAX_UTTERANCES)  # the last answer
        self._texts: dict[int, str] = {}  # of the utterance under way, by mark
        self._final: set[int] = set()  # marks whose text is final
        self._fed_ms = 0
        self._said_ms = 0  # of it up to the newest pause
        self._revision: int | None = None  # asked for and not answered
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0  # when it is answered in any case
        self._marks = 0
        self._error: ProviderError | None = None

    # ---- what the session asks for (SttStream) ---------------------------------------------

    def push(self, pcm: bytes) -> None:
        self._ring.append(pcm)
        wire = self._wire()
        if self._error is not None:
            raise self._error
        if wire is not None and (self._vendor.decides or self._utterance is not None):
            self._fed_ms += FRAME_MS
            self._send(wire.audio(pcm))

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        if self._utterance is not None:
            self.end(self._utterance.utterance_id)
        self._utterance = Utterance(utterance_id, over_agent)
        self._since.append(self._utterance)
        self._texts, self._final, self._fed_ms = {}, set(), 0
        wire = self._wire()
        if wire is None:
            self._utterance.lost = True
        elif not self._vendor.decides:
            self._send(wire.begin())
            frames = min(len(self._ring), -(-preroll_ms // FRAME_MS))
            for pcm in list(self._ring)[len(self._ring) - frames :]:
                self._fed_ms += FRAME_MS
                self._send(wire.audio(pcm))

    def finalize(self, utterance_id: int, revision: int) -> None:
        utterance, wire = self._utterance, self._wire()
        if utterance is None or utterance.utterance_id != utterance_id:
            return
        self._revision, self._said_ms = revision, self._fed_ms
        if self._vendor.decides:
            # The vendor's word for it ends the turn; an answer now would end it without.
            return
        if wire is not None:
            frames = wire.pause(self._marks + 1)
            if frames is not None:
                self._marks += 1
                utterance.marks.append(self._marks)
                self._send(frames)
        if not self._answer_if_known():
            self._due = 0.0
            self._wait(self._vendor.transcript_ms)

    def end(self, utterance_id: int) -> None:
        utterance, wire = self._utterance, self._wire()
        if utterance is None or utterance.utterance_id != utterance_id:
            return
        self._utterance, self._revision = None, None
        self._wait(None)
        if wire is not None and not self._vendor.decides:
            self._send(wire.rest())

    async def events(self) -> AsyncIterator[SttEvent]:
        while (event := await self._events.get()) is not None:
            if isinstance(event, ProviderError):
                raise event
            yield event

    async def aclose(self) -> None:
        self._wait(None)
        self._tell(None)

    # ---- the connection's side -------------------------------------------------------------

    def take(self) -> list[Utterance]:
        """The utterances that ended since the last answer; from now on they are the past."""
        taken = [one for one in self._since if one is not self._utterance]
        self._since = deque((one for one in self._since if one is self._utterance), _MAX_UTTERANCES)
        return taken

    def lost(self) -> None:
        """The connection is gone, with all that it was told."""
        for one in self._since:
            one.lost = True
            one.marks.clear()
        if self._revision is not None and not self._vendor.decides:
            self._answer()

    def found(self, wire: Wire) -> None:
        """There is another connection: the utterance under way is sent once more, as far as it is
        there."""
        utterance = self._utterance
        if utterance is None or self._vendor.decides:
            return
        frames = min(len(self._ring), self._fed_ms // FRAME_MS)
        utterance.lost = self._fed_ms > PREROLL_MS
        self._texts, self._final, self._fed_ms = {}, set(), frames * FRAME_MS
        self._send(wire.begin())
        for pcm in list(self._ring)[len(self._ring) - frames :]:
            self._send(wire.audio(pcm))

    def fail(self, error: ProviderError) -> None:
        """There will be no other connection."""
        self._error = error
        self._tell(error)

    def heard(self, told: Heard) -> None:
        """Words."""
        utterance = self._utterance
        if utterance is None or (told.mark is not None and told.mark not in utterance.marks):
            return
        mark = told.mark or 0
        before = self._texts.get(mark, "") if told.more else ""
        self._texts[mark] = before + told.text
        if told.final:
            self._final.add(mark)
        text = self._text()
        if text and (not utterance.told or utterance.told[-1] != text):
            utterance.told.append(text)
            self._tell(PartialText(utterance.utterance_id, text))
        if self._revision is None or self._vendor.decides or self._answer_if_known():
            return
        if not self._vendor.marks and text:
            self._wait(self._vendor.settled_ms)

    def turn_over(self) -> None:
        """The vendor has decided so."""
        if self._utterance is not None:
            if self._revision is not None:
                self._answer()
            self._tell(EndOfTurn(self._utterance.utterance_id, "final"))

    # ---- transcripts -----------------------------------------------------------------------

    def _text(self) -> str:
        parts = (self._texts[mark].strip() for mark in sorted(self._texts))
        return " ".join(part for part in parts if part)

    def _answer_if_known(self) -> bool:
        """Answer at once when nothing more will be said of what was asked for."""
        utterance = self._utterance
        assert utterance is not None
        marks = utterance.marks
        if self._vendor.marks and all(mark in self._final for mark in marks):
            self._answer()
            return True
        return False

    def _answer(self) -> None:
        utterance, revision = self._utterance, self._revision
        if utterance is None or revision is None:
            return
        self._wait(None)
        self._revision = None
        text = self._text()
        sure = not utterance.over_agent or self._said_ms >= _SURELY_MS
        known = self._vendor.marks and all(mark in self._final for mark in utterance.marks)
        if not text and not known and sure and not self._vendor.decides:
            text = UNHEARD
        if text:
            utterance.told.append(text)
        self._tell(FinalText(utterance.utterance_id, revision, text))

    def _wait(self, ms: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if ms is not None:
            loop = asyncio.get_running_loop()
            at = loop.time() + ms / 1000
            self._due = min(self._due, at) if self._due else at
            self._timer = loop.call_at(min(at, self._due), self._answer)

    def _tell(self, event: SttEvent | ProviderError | None) -> None:
        """When nobody reads, the oldest is dropped."""
        if self._events.full():
            self._events.get_nowait()
        self._events.put_nowait(event)
