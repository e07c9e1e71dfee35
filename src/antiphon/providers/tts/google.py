"""Google Cloud Text-to-Speech over gRPC: `TextToSpeech/StreamingSynthesize`.

Wire: https://docs.cloud.google.com/text-to-speech/docs/reference/rpc/google.cloud.texttospeech.v1.
The answers do not say which text they are the sound of, so each segment has a stream of its own,
all on one channel; the next one is begun while the sound of the one before is read. Voices that
stream are Chirp 3: HD and Gemini's. There is no SSML in a stream, and there are no word times.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from antiphon.errors import ProviderError
from antiphon.providers._google_messages import IPA, PCM, voices
from antiphon.providers._google_rpc import ENDED, EOF, KEY_VARIABLE, GoogleRpc, google_address
from antiphon.providers.base import (
    AgentHints,
    Traits,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
)
from antiphon.providers.regions import with_region
from antiphon.providers.secret import Secret
from antiphon.providers.tts.options import CloudVoiceOptions, note_consent, speakable
from antiphon.providers.tts.phones import ipa

NAME = "google"
SERVICE = "texttospeech.googleapis.com"
METHOD = "/google.cloud.texttospeech.v1.TextToSpeech/StreamingSynthesize"
RATE_HZ = 24_000
_USUAL_RATE = 150
_SLOWEST, _FASTEST = 0.25, 2.0


class GoogleTtsOptions(CloudVoiceOptions):
    """Options of `tts: google`."""

    credentials_file: Path | None = Field(
        default=None, description="Key file of a service account; used in place of an API key."
    )
    base_url: str | None = Field(
        default=None, description="The endpoint, such as `https://eu-texttospeech.googleapis.com`."
    )
    voice: str | None = Field(
        default=None,
        min_length=1,
        description="A whole name (`en-US-Chirp3-HD-Aoede`) or, with `model`, a Gemini voice "
        "(`Kore`); by default the Chirp 3 voice Aoede in the agent's language.",
    )
    language: str | None = Field(
        default=None,
        description="What is spoken (`de-AT`); else the voice's, or the agent's.",
    )
    model: str | None = Field(
        default=None, description="For Gemini's voices: `gemini-2.5-flash-tts`."
    )
    prompt: str | None = Field(
        default=None, max_length=4000, description="How a Gemini voice is to speak: tone, emotion."
    )
    voice_cloning_key: Secret | None = Field(
        default=None, description="Key of a cloned voice, as `${VARIABLE}`."
    )
    speed: float = Field(
        default=1.0, ge=0.25, le=2.0, description="1.2 is a fifth faster than the agent's rate."
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return google_address(value)

    @model_validator(mode="after")
    def _clones_are_named(self) -> Self:
        if self.voice_cloning_key is not None and not self.voice_is_cloned:
            raise ValueError("`voice_cloning_key` needs `voice_is_cloned: true` and consent")
        return self


class GoogleTts:
    """Google Cloud's streaming voices, Chirp 3: HD and Gemini (extra `google`)."""

    Options = GoogleTtsOptions
    traits = Traits(
        "cloud", KEY_VARIABLE, ("speed", "style", "cloned voices", "languages", "pronunciations")
    )
    sample_rate_hz = RATE_HZ

    def __init__(self, options: GoogleTtsOptions, hints: AgentHints) -> None:
        self._options, self._hints = options, hints
        url = options.base_url or f"https://{SERVICE}"
        self._rpc = GoogleRpc(NAME, url, SERVICE, options.api_key, options.credentials_file)
        self._voice = options.voice or self._usual_voice()
        self._config = self._request()

    @property
    def model(self) -> str:
        """Google's prices go by the voice's family, which is in its name."""
        return self._options.model or self._voice

    async def start(self) -> None:
        """Find the key and open the channel that all calls share.

        Raises:
            UserFacingError: no key.
        """
        await self._rpc.start(self._options.connect_ms)
        note_consent(NAME, self._voice, self._options)

    async def aclose(self) -> None:
        await self._rpc.aclose()

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; see `Tts.stream`. No word times.

        Raises:
            ProviderError: a stream failed, or its sound stopped coming.
        """
        asked = asyncio.create_task(self._ask(segments))
        try:
            while (answer := await asked) is not None:
                segment, call = answer
                asked = asyncio.create_task(self._ask(segments))
                if call is not None:
                    try:
                        async with aclosing(self._pcm(call)) as chunks:
                            async for pcm in chunks:
                                yield TtsAudio(segment.segment_id, pcm)
                    finally:
                        call.cancel()
                yield TtsSegmentDone(segment.segment_id)
        finally:
            asked.cancel()
            await asyncio.wait([asked])
            if not asked.cancelled() and asked.exception() is None:
                answer = asked.result()
                if answer is not None and answer[1] is not None:
                    answer[1].cancel()

    async def _ask(self, segments: AsyncIterator[TtsSegment]) -> tuple[TtsSegment, Any] | None:
        """Begin the stream of the next segment; None after the last, no stream for silence."""
        segment = await anext(segments, None)
        if segment is None:
            return None
        if not speakable(segment.text):
            return segment, None
        await self._rpc.ready(self._options.connect_ms)
        call = self._rpc.call(METHOD, voices["StreamingSynthesizeResponse"])
        said: dict[str, Any] = {"text": segment.text}
        if self._options.prompt:
            said["prompt"] = self._options.prompt
        try:
            async with asyncio.timeout(self._options.first_audio_ms / 1000):
                await call.write(self._config)
                await call.write(voices["StreamingSynthesizeRequest"](input=said))
                await call.done_writing()
        except TimeoutError:
            raise self._too_late(self._options.first_audio_ms) from None
        except ENDED:
            raise await self._rpc.failure(call) from None
        return segment, call

    async def _pcm(self, call: Any) -> AsyncGenerator[bytes, None]:
        """The sound of a stream in whole samples, each piece within its time."""
        rest, heard = b"", False
        while True:
            within_ms = self._options.idle_ms if heard else self._options.first_audio_ms
            try:
                async with asyncio.timeout(within_ms / 1000):
                    answer = await call.read()
            except TimeoutError:
                raise self._too_late(within_ms) from None
            except ENDED:
                raise await self._rpc.failure(call) from None
            if answer is EOF:
                break
            data = rest + answer.audio_content
            whole = len(data) - len(data) % 2
            rest = data[whole:]
            if whole:
                heard = True
                yield data[:whole]
        if not heard:
            raise ProviderError("no sound for a text", provider=NAME, retryable=True)

    def _usual_voice(self) -> str:
        options = self._options
        if options.model:
            return "Kore"
        return f"{with_region(options.language or self._hints.language)}-Chirp3-HD-Aoede"

    def _request(self) -> Any:
        options, hints = self._options, self._hints
        named = "-".join(self._voice.split("-")[:2]) if self._voice.count("-") > 2 else ""
        language = options.language or named or hints.language
        voice: dict[str, Any] = {"language_code": with_region(language)}
        if options.voice_cloning_key is not None:
            voice["voice_clone"] = {"voice_cloning_key": options.voice_cloning_key.value}
        else:
            voice["name"] = self._voice
        if options.model:
            voice["model_name"] = options.model
        rate = min(_FASTEST, max(_SLOWEST, options.speed * hints.rate / _USUAL_RATE))
        config: dict[str, Any] = {
            "voice": voice,
            "streaming_audio_config": {
                "audio_encoding": PCM,
                "sample_rate_hertz": RATE_HZ,
                "speaking_rate": round(rate, 3),
            },
        }
        # Only these voices take pronunciations, and the agent's are those of English.
        if "Chirp3-HD" in self._voice and language.startswith("en") and hints.pronunciations:
            config["custom_pronunciations"] = {
                "pronunciations": [
                    {"phrase": word, "phonetic_encoding": IPA, "pronunciation": ipa(phones)}
                    for word, phones in hints.pronunciations.items()
                ]
            }
        return voices["StreamingSynthesizeRequest"](streaming_config=config)

    def _too_late(self, within_ms: int) -> ProviderError:
        message = f"no sound within {within_ms / 1000:g} s"
        return ProviderError(message, provider=NAME, retryable=True)
