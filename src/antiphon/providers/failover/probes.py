"""The smallest request that shows that a provider works."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from antiphon.errors import ProviderError
from antiphon.providers.base import (
    FinalText,
    Llm,
    LlmEvent,
    LlmRequest,
    Stt,
    SttEvent,
    Tts,
    TtsAudio,
    TtsEvent,
    TtsSegment,
)
from antiphon.types import FRAME_BYTES, Message

_HELLO = LlmRequest((Message("user", "Say OK."),))
_SILENCE = bytes(FRAME_BYTES)


async def probe_llm(llm: Llm) -> None:
    """A first word. Raises ProviderError."""
    stream = cast("AsyncGenerator[LlmEvent, None]", llm.stream(_HELLO))
    async with aclosing(stream) as events:
        async for _ in events:
            return
    raise ProviderError("no answer", provider="probe", retryable=True)


async def probe_tts(tts: Tts) -> None:
    """A first sound. Raises ProviderError."""

    async def word() -> AsyncIterator[TtsSegment]:
        text = "<speak>Hello.</speak>" if getattr(tts, "takes_ssml", False) else "Hello."
        yield TtsSegment(0, text)

    stream = cast("AsyncGenerator[TtsEvent, None]", tts.stream(word()))
    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, TtsAudio):
                return
    raise ProviderError("no sound", provider="probe", retryable=True)


async def probe_stt(stt: Stt) -> None:
    """A final text of a moment of silence. Raises ProviderError."""
    stream = await stt.open()
    try:
        stream.begin(1, 0)
        for _ in range(10):
            stream.push(_SILENCE)
        stream.finalize(1, 1)
        events = cast("AsyncGenerator[SttEvent, None]", stream.events())
        async with aclosing(events):
            async for event in events:
                if isinstance(event, FinalText):
                    return
    finally:
        await stream.aclose()
    raise ProviderError("no text", provider="probe", retryable=True)
