"""OpenAI's transcription of recordings, and servers that imitate it: Groq, speaches, whisper.cpp.

Wire: https://platform.openai.com/docs/api-reference/audio/createTranscription.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from antiphon.providers.base import AgentHints, SttStream, Traits
from antiphon.providers.secret import vendor_key
from antiphon.providers.stt._whisper_http import WhisperServer
from antiphon.providers.stt.options import CloudSttOptions, is_address, keywords
from antiphon.providers.stt.segmented import SegmentedStream, Transcript

OPENAI_URL = "https://api.openai.com/v1"
MAX_PROMPT_CHARS = 800
"""Whisper reads the last 224 tokens of a prompt."""
MAX_KEYWORDS = 100


class OpenAiBatchOptions(CloudSttOptions):
    """Options of `stt: openai-batch`."""

    base_url: str = Field(default=OPENAI_URL, description="The server, with `/v1`.")
    model: str = Field(
        default="gpt-4o-transcribe",
        min_length=1,
        description="`whisper-1` and other Whisper models also tell word times. OpenAI has "
        "announced that its own of today stop on 2027-02-26; then `gpt-transcribe`.",
    )
    prompt: str = Field(
        default="", max_length=MAX_PROMPT_CHARS, description="What the talk is about."
    )
    word_times: bool | None = Field(
        default=None, description="Ask for them; by default of models named `whisper`."
    )
    temperature: float | None = Field(
        default=None, ge=0, le=1, description="Randomness; the server's when absent."
    )
    final_ms: int = Field(
        default=3000, ge=50, le=60_000, description="Longest wait for the text of an utterance."
    )
    interim_ms: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Transcribe also after so much new audio, for partial texts, each of which is "
        "paid for; 0: not.",
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return is_address(value, "https", "http")


class OpenAiBatchStt:
    """OpenAI's transcription of files, or a server like it (Groq, speaches), by utterance."""

    Options = OpenAiBatchOptions
    traits = Traits(
        "cloud", "OPENAI_API_KEY", ("word times", "confidence", "languages", "keywords", "partials")
    )

    def __init__(self, options: OpenAiBatchOptions, hints: AgentHints) -> None:
        self._options, self._hints = options, hints
        self._server = WhisperServer(
            "openai-batch", options.base_url, connect_ms=options.connect_ms
        )
        self._fields = self._request()

    @property
    def model(self) -> str:
        return self._options.model

    async def start(self) -> None:
        """Check the key and open a connection.

        Raises:
            UserFacingError: there is no key, and OpenAI is asked.
        """
        url = self._options.base_url
        key = vendor_key(
            self._options.api_key, "OPENAI_API_KEY", "stt: openai-batch", url=url,
            vendor_url=OPENAI_URL,
        )  # fmt: skip
        await self._server.start({"Authorization": f"Bearer {key.value}"} if key else {}, "models")

    async def aclose(self) -> None:
        await self._server.aclose()

    async def open(self) -> SttStream:
        options = self._options
        return SegmentedStream(
            "openai-batch",
            self._transcribe,
            final_ms=options.final_ms,
            interim_ms=options.interim_ms,
        )

    async def _transcribe(self, pcm: bytes) -> Transcript:
        within_ms = self._options.final_ms
        return await self._server.transcribe("audio/transcriptions", pcm, self._fields, within_ms)

    def _request(self) -> dict[str, Any]:
        options, model = self._options, self._options.model
        timed = options.word_times if options.word_times is not None else "whisper" in model.lower()
        fields: dict[str, Any] = {
            "model": model,
            "response_format": "verbose_json" if timed else "json",
        }
        language = (options.language or self._hints.language).partition("-")[0]
        if language != "auto":
            fields["language"] = language
        if timed:
            fields["timestamp_granularities[]"] = ["word", "segment"]
        elif model.startswith("gpt-4o") and "diarize" not in model:
            fields["include[]"] = ["logprobs"]
        if options.temperature is not None:
            fields["temperature"] = str(options.temperature)
        words = keywords(self._hints, (), MAX_KEYWORDS)
        if model.startswith("gpt-transcribe"):
            fields["keywords[]"] = list(words)
            words = ()
        if prompt := prompt_of(options.prompt, words):
            fields["prompt"] = prompt
        return fields


def prompt_of(text: str, words: tuple[str, ...]) -> str:
    """A prompt that also names the words, which makes their spelling more likely."""
    named = ", ".join(words)
    while len(named) > MAX_PROMPT_CHARS:
        named = named.rpartition(", ")[0]
    return " ".join(part for part in (text.strip(), f"{named}." if named else "") if part)
