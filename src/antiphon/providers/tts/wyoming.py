"""Any voice that speaks Wyoming, the protocol of Home Assistant's voice services: Piper, Kokoro,
espeak-ng and others have servers of it (https://github.com/OHF-Voice/wyoming).

Each segment has a connection of its own, which is closed to cancel it: the protocol knows no other
way. What `describe` tells at the start chooses the language. The rate of the sound is known only
when it comes, so that all sound is brought to one rate here.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from typing import Any

from pydantic import Field

from antiphon.audio.resample import LiveResampler
from antiphon.errors import ProviderError
from antiphon.net import wyoming
from antiphon.providers.base import (
    AgentHints,
    ProviderOptions,
    Traits,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
)
from antiphon.providers.tts.options import speakable

_log = logging.getLogger("antiphon.tts")


class WyomingTtsOptions(ProviderOptions):
    """Options of a voice behind Wyoming."""

    base_url: str = Field(
        default="tcp://127.0.0.1:10200",
        description="`tcp://HOST:PORT` or `unix:///PATH`; 10200 is where Piper listens.",
    )
    voice: str | None = Field(
        default=None,
        description="One of the server's voices; else its own choice for the language.",
    )
    speaker: str | None = Field(
        default=None, description="Of a voice with several speakers, beside `voice`."
    )
    language: str | None = Field(
        default=None, description="Without a `voice`: such as `de`; else the agent's."
    )
    sample_rate_hz: int = Field(
        default=22_050,
        ge=8000,
        le=48_000,
        multiple_of=50,
        description="What comes out; sound of another rate is resampled.",
    )
    connect_ms: int = Field(default=3000, ge=10, le=60_000, description="Longest connecting.")
    first_audio_ms: int = Field(
        default=5000, ge=10, le=60_000, description="Longest wait for the sound of a segment."
    )
    idle_ms: int = Field(
        default=3000, ge=10, le=60_000, description="Longest wait between two pieces of it."
    )


class WyomingTts:
    """Any Wyoming voice server, such as those of Home Assistant. Without word times, which are
    found in the sound."""

    Options = WyomingTtsOptions
    traits = Traits(where="server", can=("languages", "speakers"))

    def __init__(self, options: WyomingTtsOptions, hints: AgentHints) -> None:
        self._options = options
        self._language = options.language or hints.language
        self._voice: dict[str, str] = {}
        if options.voice is not None:
            self._voice = {"name": options.voice}
            if options.speaker is not None:
                self._voice["speaker"] = options.speaker
        self._started = False

    @property
    def sample_rate_hz(self) -> int:
        return self._options.sample_rate_hz

    async def start(self) -> None:
        """Ask the server what it has. One that is not there yet is a warning."""
        self._started = True
        try:
            self._choose(await self._describe())
        except ProviderError as error:
            _log.warning("tts not ready", extra={"provider": "wyoming", "error": str(error)})

    async def aclose(self) -> None:
        self._started = False

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; see `Tts.stream`. No word times."""
        async for segment in segments:
            if speakable(segment.text):
                async with aclosing(self._speak(segment.text)) as chunks:
                    async for pcm in chunks:
                        yield TtsAudio(segment.segment_id, pcm)
            yield TtsSegmentDone(segment.segment_id)

    async def _speak(self, text: str) -> AsyncGenerator[bytes, None]:
        options = self._options
        if not self._started:
            raise _error("not started")
        connection = await self._open()
        try:
            asked: dict[str, Any] = {"text": " ".join(text.split())}
            if self._voice:
                asked["voice"] = self._voice
            await connection.send("synthesize", asked, within_ms=options.connect_ms)
            resampler: LiveResampler | None = None
            while True:
                within_ms = options.idle_ms if resampler else options.first_audio_ms
                event = await connection.recv(within_ms=within_ms)
                if event.type == "audio-stop":
                    break
                if event.type != "audio-chunk" or not event.payload:
                    continue
                rate_hz = _rate_hz(event.data, len(event.payload))
                if resampler is None:
                    resampler = LiveResampler(rate_hz, options.sample_rate_hz)
                elif resampler.in_hz != rate_hz:
                    raise _error(f"sound that changes from {resampler.in_hz} to {rate_hz} Hz")
                if pcm := resampler.push(event.payload):
                    yield pcm
            if resampler is None:
                raise _error("no sound for a text", retryable=True)
            if pcm := resampler.flush():
                yield pcm
        finally:
            await connection.aclose()

    async def _open(self) -> wyoming.Connection:
        options = self._options
        return await wyoming.open(options.base_url, "wyoming", within_ms=options.connect_ms)

    async def _describe(self) -> Mapping[str, Any]:
        connection, within_ms = await self._open(), self._options.connect_ms
        try:
            await connection.send("describe", within_ms=within_ms)
            while True:
                event = await connection.recv(within_ms=within_ms)
                if event.type == "info":
                    return event.data
        finally:
            await connection.aclose()

    def _choose(self, info: Mapping[str, Any]) -> None:
        """Ask for the agent's language in the server's spelling, where it has it; name no language
        to a server that has not: some would refuse it."""
        voices = list(_voices(info))
        if not voices:
            _log.warning("the Wyoming server has no voice", extra={"url": self._options.base_url})
        if self._options.voice is not None:
            if self._options.voice not in [voice.get("name") for voice in voices]:
                extra = {"voice": self._options.voice, "url": self._options.base_url}
                _log.warning("the Wyoming server does not list this voice", extra=extra)
            return
        languages = [one for voice in voices for one in _strings(voice.get("languages"))]
        wanted = _plain(self._language)
        main = wanted.partition("-")[0]
        same = [one for one in languages if _plain(one) == wanted]
        same += [one for one in languages if _plain(one).partition("-")[0] == main]
        self._voice = {"language": same[0]} if same else {}


def _voices(info: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The voices of all programs of an `info`, whatever else is in it."""
    for program in _dicts(info.get("tts")):
        yield from _dicts(program.get("voices"))


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _strings(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _plain(language: str) -> str:
    return language.replace("_", "-").lower()


def _rate_hz(data: Mapping[str, Any], size: int) -> int:
    """The rate of a chunk, which must be whole samples of mono s16 PCM."""
    rate, width, channels = (data.get(key) for key in ("rate", "width", "channels"))
    if not isinstance(rate, int) or not 4000 <= rate <= 192_000 or (width, channels) != (2, 1):
        found = f"{rate} Hz, {width} bytes, {channels} channels"
        raise _error(f"sound of {found[:60]} instead of mono 16 bit")
    if size % 2:
        raise _error("half a sample")
    return rate


def _error(message: str, retryable: bool = False) -> ProviderError:
    return ProviderError(message, provider="wyoming", retryable=retryable)
