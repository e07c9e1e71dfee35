"""One call's seat at a speech-to-speech model, with the agent's cascade beside it.

To the engine the model is the first recogniser, the first brain and the first voice; the cascade's
are the next ones, which take over when it fails. Text that the model cannot be made to say is
spoken by the cascade's voice in its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from html import escape
from typing import Any, cast

from antiphon.agent.load import LoadedAgent
from antiphon.agent.prompt import system_message
from antiphon.agent.telephone import line_tools
from antiphon.audio.resample import LiveResampler
from antiphon.channels.base import Call, Telephone
from antiphon.errors import ProviderError
from antiphon.providers.base import (
    EndOfTurn,
    FinalText,
    LlmEvent,
    LlmRequest,
    Realtime,
    RealtimeCall,
    Stt,
    SttEvent,
    SttStream,
    Tts,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
)
from antiphon.providers.failover.breaker import ALONE, Breaker, Breakers
from antiphon.providers.failover.stt import FailoverStt
from antiphon.session.providers import Providers
from antiphon.session.thinker import END_CALL

log = logging.getLogger(__name__)

FINAL_MS = 60_000
"""The model's ears answer by themselves, or when the turn ends; the engine has deadlines."""
PAUSE_MS = 500
"""Where the model ended the turns and is lost, a pause as long as this ends them."""


def seated(agent: LoadedAgent, providers: Providers, call: Call) -> Providers:
    """The providers of one call: with the model first, where the agent has one. A call without
    audio is answered by the cascade."""
    realtime = providers.realtime
    if realtime is None:
        return providers
    if not call.has_audio:
        return replace(
            providers,
            llms=(providers.llms[0], *providers.llms),
            voices=(providers.voices[0], *providers.voices),
        )
    seat = Seat(realtime, LlmRequest((system_message(agent.config),), _tools(agent, call)))
    cascade: Stt = providers.stt
    if realtime.decides_turns:
        cascade = _PausingStt(cascade)
    group = Breakers([Breaker(name, ALONE, _no_probe) for name in ("realtime", "stt")])

    def report(number: int, error: ProviderError) -> None:
        log.warning("%s is lost: %s", group[number].name, error)

    return replace(
        providers,
        stt=FailoverStt((_SeatStt(seat), cascade), group, FINAL_MS, report, 0),
        llms=(_SeatLlm(seat), *providers.llms),
        voices=(_SeatVoice(seat, providers.voices[0]), *providers.voices),
    )


def _tools(agent: LoadedAgent, call: Call) -> tuple[Any, ...]:
    line = line_tools(agent.config, isinstance(call, Telephone))
    return (*(tool.spec for tool in agent.tools), *line, END_CALL)


async def _no_probe() -> None:
    """Nothing is probed in a call."""


class Seat:
    """The model's part in one call; `call` is None before it is opened and when it cannot be."""

    def __init__(self, realtime: Realtime, request: LlmRequest) -> None:
        self._realtime, self._request = realtime, request
        self._opened = False
        self.rate_hz: int | None = None  # of its voice
        self.call: RealtimeCall | None = None

    async def open(self) -> RealtimeCall:
        """Connect, once in a call.

        Raises:
            ProviderError: no connection, or there was one.
        """
        if self._opened:
            raise self.lost()
        self._opened = True
        self.call = await self._realtime.open(self._request)
        self.rate_hz = self.call.tts.sample_rate_hz
        return self.call

    async def close(self) -> None:
        """Leave."""
        call, self.call = self.call, None
        if call is not None:
            await call.aclose()

    def lost(self) -> ProviderError:
        """What is said of it when it is asked for and not there."""
        return ProviderError("it is not connected", provider="realtime", retryable=True)


class _SeatStt:
    """Its ears, as a recogniser. Opening it opens the call, closing its stream closes that."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    async def start(self) -> None:
        """Its provider is started already."""

    async def aclose(self) -> None:
        """Its provider is closed elsewhere."""

    async def open(self) -> SttStream:
        call = await self._seat.open()
        return _SeatStream(self._seat, call.stt)


class _SeatStream:
    def __init__(self, seat: Seat, stream: SttStream) -> None:
        self._seat, self._stream = seat, stream
        self.push, self.begin = stream.push, stream.begin
        self.finalize, self.end, self.events = stream.finalize, stream.end, stream.events

    async def aclose(self) -> None:
        await self._seat.close()


class _SeatLlm:
    """Its brain."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    async def start(self) -> None:
        """Its provider is started already."""

    async def aclose(self) -> None:
        """Its provider is closed elsewhere."""

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        call = self._seat.call
        if call is None:
            raise self._seat.lost()
        stream = cast("AsyncGenerator[LlmEvent, None]", call.llm.stream(request))
        async with aclosing(stream) as events:
            async for event in events:
                yield event


class _SeatVoice:
    """Its voice, and that of the cascade for what it cannot be made to say."""

    def __init__(self, seat: Seat, other: Tts) -> None:
        self._seat, self._other = seat, other

    @property
    def sample_rate_hz(self) -> int:
        return self._seat.rate_hz or self._other.sample_rate_hz

    async def start(self) -> None:
        """Its provider is started already."""

    async def aclose(self) -> None:
        """Its provider is closed elsewhere."""

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        async for segment in segments:
            async with aclosing(self._sound(segment)) as events:
                async for event in events:
                    yield event

    def _sound(self, segment: TtsSegment) -> AsyncGenerator[TtsEvent, None]:
        voice: Any = None if self._seat.call is None else self._seat.call.tts
        if voice is not None and voice.owns(segment.text):
            return cast("AsyncGenerator[TtsEvent, None]", voice.stream(_one(segment)))
        if voice is not None and voice.can_say():
            return self._asked(voice, segment)
        return self._said(segment)

    async def _asked(self, voice: Tts, segment: TtsSegment) -> AsyncGenerator[TtsEvent, None]:
        """A sentence that the model is asked to say; when it refuses, the cascade says it."""
        begun = False
        stream = cast("AsyncGenerator[TtsEvent, None]", voice.stream(_one(segment)))
        try:
            async with aclosing(stream) as events:
                async for event in events:
                    begun = begun or isinstance(event, TtsAudio)
                    yield event
            return
        except ProviderError as error:
            if begun:
                raise
            log.warning("the model did not say a sentence, the voice beside it does: %s", error)
        async with aclosing(self._said(segment)) as events:
            async for event in events:
                yield event

    async def _said(self, segment: TtsSegment) -> AsyncGenerator[TtsEvent, None]:
        """A segment by the cascade's voice, at the model's rate."""
        other, text = self._other, segment.text
        if getattr(other, "takes_ssml", False):
            text = f"<speak>{escape(text)}</speak>"
        resampler = LiveResampler(other.sample_rate_hz, self.sample_rate_hz)
        stream = other.stream(_one(TtsSegment(segment.segment_id, text)))
        async with aclosing(cast("AsyncGenerator[TtsEvent, None]", stream)) as events:
            async for event in events:
                if isinstance(event, TtsAudio):
                    event = replace(event, pcm=resampler.push(event.pcm))
                elif isinstance(event, TtsSegmentDone):
                    yield TtsAudio(segment.segment_id, resampler.flush())
                yield event


async def _one(segment: TtsSegment) -> AsyncIterator[TtsSegment]:
    yield segment


class _PausingStt:
    """The cascade's recogniser for an agent whose model ended the turns: a pause ends them now."""

    def __init__(self, stt: Stt) -> None:
        self._stt = stt

    async def start(self) -> None:
        """It is started already."""

    async def aclose(self) -> None:
        """It is closed elsewhere."""

    async def open(self) -> SttStream:
        return _PausingStream(await self._stt.open())


class _PausingStream:
    def __init__(self, stream: SttStream) -> None:
        self._stream = stream
        self.push = stream.push
        self._timer: asyncio.TimerHandle | None = None
        self._events: asyncio.Queue[SttEvent | ProviderError | None] = asyncio.Queue(1000)
        self._task = asyncio.create_task(self._read(), name="pausing stt")

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        self._wait(None)
        self._stream.begin(utterance_id, preroll_ms, over_agent)

    def finalize(self, utterance_id: int, revision: int) -> None:
        self._wait(None)
        self._stream.finalize(utterance_id, revision)

    def end(self, utterance_id: int) -> None:
        self._wait(None)
        self._stream.end(utterance_id)

    async def events(self) -> AsyncIterator[SttEvent]:
        while (event := await self._events.get()) is not None:
            if isinstance(event, ProviderError):
                raise event
            yield event

    async def aclose(self) -> None:
        self._wait(None)
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._stream.aclose()

    async def _read(self) -> None:
        try:
            async for event in self._stream.events():
                await self._events.put(event)
                if isinstance(event, FinalText) and event.text:
                    self._wait(event.utterance_id)
            await self._events.put(None)
        except ProviderError as error:
            await self._events.put(error)

    def _wait(self, utterance_id: int | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if utterance_id is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(PAUSE_MS / 1000, self._over, utterance_id)

    def _over(self, utterance_id: int) -> None:
        if not self._events.full():
            self._events.put_nowait(EndOfTurn(utterance_id, "final"))
