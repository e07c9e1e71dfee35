"""A speech-to-speech model is told one turn, and how long it took to be heard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

from antiphon.bench.ask import DEADLINE_S, Speech, Spoken, Understood, speak, understand
from antiphon.engine.spoken_text import Segmenter
from antiphon.errors import ProviderError
from antiphon.providers.base import (
    LlmEvent,
    LlmRequest,
    Realtime,
    RealtimeCall,
    TextDelta,
)
from antiphon.types import Message


@dataclass(frozen=True, slots=True)
class Conversed:
    """`text_ms` and `sound_ms` count from the last sound of speech, `sound` is that of the first
    sentence of `text`."""

    heard: Understood
    text: str
    text_ms: float
    sound_ms: float
    sound: Spoken


async def converse(
    model: Realtime,
    request: LlmRequest,
    speech: Speech,
    *,
    name: str = "realtime",
    tell: Callable[[str], None] = lambda text: None,
) -> Conversed:
    """One turn in a call of its own; the last message of the request becomes what was understood.

    Raises:
        ProviderError: no connection, or no sound in time.
    """
    call = await model.open(LlmRequest(request.messages[:1], request.tools))
    try:
        heard = await understand(call.stt, speech, name=name)
        ended_ms = _now_ms() - heard.final_ms
        text, text_ms, sound, sound_ms = await _answer(call, request, heard.text, name, tell)
        return Conversed(heard, text, text_ms - ended_ms, sound_ms - ended_ms, sound)
    finally:
        await call.aclose()


def _now_ms() -> float:
    return asyncio.get_running_loop().time() * 1000


async def _answer(
    call: RealtimeCall,
    request: LlmRequest,
    said: str,
    name: str,
    tell: Callable[[str], None],
) -> tuple[str, float, Spoken, float]:
    """Its first sentence, when its text began, and its sound with when that began."""
    asked = LlmRequest((*request.messages[:1], Message("user", said)), request.tools)
    segmenter, text, text_ms = Segmenter(), "", None
    try:
        async with asyncio.timeout(DEADLINE_S):
            stream = cast("AsyncGenerator[LlmEvent, None]", call.llm.stream(asked))
            async with aclosing(stream):
                async for event in stream:
                    if not isinstance(event, TextDelta):
                        continue
                    text_ms = _now_ms() if text_ms is None else text_ms
                    text += event.text
                    tell(event.text)
                    # The answer must stay open while its sound is wanted: closing it cancels.
                    if segments := segmenter.push(event.text):
                        return text, text_ms, *(await _sound(call, segments[0], name))
                if text_ms is not None and (segments := segmenter.flush()):
                    return text, text_ms, *(await _sound(call, segments[0], name))
    except TimeoutError:
        raise ProviderError("no answer in time", provider=name, retryable=True) from None
    raise ProviderError("it had nothing to say", provider=name, retryable=True)


async def _sound(call: RealtimeCall, text: str, name: str) -> tuple[Spoken, float]:
    asked_ms = _now_ms()
    made = await speak(call.tts, text, name=name)
    return made, asked_ms + made.first_ms
