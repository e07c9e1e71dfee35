"""XTTS v2 behind Coqui's streaming server (https://github.com/coqui-ai/xtts-streaming-server).

`GET /studio_speakers` gives the speakers, each as two arrays that every request repeats; `POST
/clone_speaker` makes such arrays of a recording; `POST /tts_stream` answers with raw s16 PCM at 24
kHz as it is made. Closing the response stops the server's work.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self, cast

import httpx
from pydantic import Field, model_validator

from antiphon.errors import ProviderError, UserFacingError
from antiphon.net.http import open_client, send, status_error, transport_errors
from antiphon.providers.base import AgentHints, Traits, TtsEvent, TtsSegment
from antiphon.providers.tts.http_voice import HttpLimits, HttpVoice
from antiphon.providers.tts.options import VoiceOptions, note_consent

_log = logging.getLogger("antiphon.tts")
_RATE_HZ = 24_000
_LANGUAGES = {"zh": "zh-cn"}
# Sixty speakers of 33,000 numbers each.
_MAX_BYTES = 64 * 1024 * 1024


class XttsOptions(VoiceOptions):
    """Options of an XTTS v2 voice."""

    base_url: str = Field(default="http://127.0.0.1:8000", description="The streaming server.")
    voice: str = Field(
        default="Claribel Dervla", min_length=1, description="One of the studio speakers."
    )
    reference: Path | None = Field(
        default=None,
        description="A WAV file of the voice to copy, sent to the server at the start. It needs "
        "`voice_is_cloned` and `cloned_voice_consent`.",
    )
    language: str | None = Field(
        default=None, description="As the server writes it (`en`, `zh-cn`); else the agent's."
    )
    stream_chunk_size: int = Field(
        default=20, ge=5, le=200, description="Tokens before sound is sent; fewer is sooner."
    )
    connect_ms: int = Field(default=3000, ge=10, le=60_000, description="Longest connecting.")
    speakers_ms: int = Field(
        default=20_000, ge=10, le=120_000, description="Longest wait for the speakers."
    )
    first_audio_ms: int = Field(
        default=5000, ge=10, le=60_000, description="Longest wait for the sound of a segment."
    )
    idle_ms: int = Field(
        default=3000, ge=10, le=60_000, description="Longest wait between two pieces of it."
    )

    @model_validator(mode="after")
    def _copies_are_named(self) -> Self:
        if self.reference is not None and not self.voice_is_cloned:
            raise ValueError("`reference` copies a voice: write `voice_is_cloned: true`, too")
        return self


class XttsTts:
    """XTTS v2 on a server of one's own, with a graphics card: natural, 16 languages, cloned voices.
    Its model's licence allows no commercial use."""

    Options = XttsOptions
    traits = Traits(where="server", can=("languages", "cloned voices"))

    def __init__(self, options: XttsOptions, hints: AgentHints) -> None:
        self._options = options
        main = hints.language.lower().partition("-")[0]
        self._language = options.language or _LANGUAGES.get(main, main)
        self._speaker: bytes | None = None
        self._fetching = asyncio.Lock()
        limits = HttpLimits(options.connect_ms, options.first_audio_ms, options.idle_ms)
        self._http = HttpVoice("xtts", options.base_url, limits, self._request)

    @property
    def sample_rate_hz(self) -> int:
        return _RATE_HZ

    async def start(self) -> None:
        """Open the connection and fetch the speaker. A server that is not there yet is a warning;
        the speaker is then fetched when it first speaks.

        Raises:
            UserFacingError: there is no such speaker or recording.
        """
        note_consent("xtts", self._options.voice, self._options)
        await self._http.start({})
        try:
            self._speaker = await self._fetch_speaker()
        except ProviderError as error:
            _log.warning("tts not ready", extra={"provider": "xtts", "error": str(error)})

    async def aclose(self) -> None:
        await self._http.aclose()

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; see `Tts.stream`. No word times."""
        try:
            async with self._fetching:
                self._speaker = self._speaker or await self._fetch_speaker()
        except UserFacingError as error:
            raise _error(str(error), False) from None
        spoken = cast("AsyncGenerator[TtsEvent, None]", self._http.stream(segments))
        async with aclosing(spoken) as events:
            async for event in events:
                yield event

    def _request(self, client: httpx.AsyncClient, text: str) -> httpx.Request:
        asked = {
            "text": text,
            "language": self._language,
            "add_wav_header": False,
            # A string in the server's own model; newer pydantic takes no number for one.
            "stream_chunk_size": str(self._options.stream_chunk_size),
        }
        # The speaker is written once: its 33,000 numbers would hold the event loop each time.
        content = json.dumps(asked).encode()[:-1] + b"," + (self._speaker or b"")
        headers = {"Content-Type": "application/json"}
        return client.build_request("POST", "tts_stream", content=content, headers=headers)

    async def _fetch_speaker(self) -> bytes:
        """The rest of a request's JSON, from the speaker's first key to the closing brace."""
        options, name = self._options, self._options.voice
        recording = None
        if options.reference is not None:
            recording = await asyncio.to_thread(_read, options.reference)
        client = open_client(options.base_url, connect_ms=options.connect_ms, headers={})
        async with client:
            if recording is None:
                request = client.build_request("GET", "studio_speakers")
            else:
                file = {"wav_file": ("voice.wav", recording, "audio/wav")}
                request = client.build_request("POST", "clone_speaker", files=file)
            raw = await self._ask(client, request)
        return await asyncio.to_thread(_speaker, raw, None if recording else name)

    async def _ask(self, client: httpx.AsyncClient, request: httpx.Request) -> bytes:
        within_ms, body = self._options.speakers_ms, bytearray()
        with transport_errors("xtts", f"the server at {self._options.base_url}"):
            response = await send(client, request, "xtts", within_ms=within_ms)
            try:
                if response.status_code != 200:
                    raise await status_error("xtts", response, within_ms=1000)
                async with asyncio.timeout(within_ms / 1000):
                    async for chunk in response.aiter_bytes():
                        body += chunk
                        if len(body) > _MAX_BYTES:
                            raise _error("speakers of more than 64 MB", False)
            except TimeoutError:
                raise _error(f"no speakers within {within_ms / 1000:g} s", True) from None
            finally:
                await response.aclose()
        return bytes(body)


def _speaker(raw: bytes, name: str | None) -> bytes:
    """On a thread: the arrays of a speaker, or of the only one that there is."""
    try:
        found: Any = json.loads(raw)
        if name is not None:
            if name not in found:
                known = ", ".join(sorted(found)[:60]) or "none"
                raise UserFacingError(f"tts xtts: no speaker `{name}`; the server has {known}.")
            found = found[name]
        arrays = {key: found[key] for key in ("speaker_embedding", "gpt_cond_latent")}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _error("what the server sent is no speaker", False) from None
    return json.dumps(arrays).encode()[1:]


def _read(path: Path) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise UserFacingError(f"tts xtts: the recording {path} cannot be read: {error}") from None


def _error(message: str, retryable: bool) -> ProviderError:
    return ProviderError(message, provider="xtts", retryable=retryable)
