"""whisper.cpp's own server: `whisper-server -m MODEL`, which transcribes one request at a time.

Wire: https://github.com/ggml-org/whisper.cpp/tree/master/examples/server. It answers errors with
the status of a success.
"""

from __future__ import annotations

from pydantic import Field, field_validator

from antiphon.providers.base import AgentHints, ProviderOptions, SttStream, Traits
from antiphon.providers.stt._whisper_http import WhisperServer
from antiphon.providers.stt.openai_batch import MAX_KEYWORDS, MAX_PROMPT_CHARS, prompt_of
from antiphon.providers.stt.options import is_address, keywords
from antiphon.providers.stt.segmented import SegmentedStream, Transcript


class WhisperCppOptions(ProviderOptions):
    """Options of `stt: whisper-cpp`."""

    base_url: str = Field(default="http://127.0.0.1:8080", description="The server.")
    path: str = Field(default="inference", description="Its `--inference-path`.")
    language: str | None = Field(
        default=None, max_length=40, description="What is spoken, or `auto`; the agent's."
    )
    prompt: str = Field(
        default="", max_length=MAX_PROMPT_CHARS, description="What the talk is about."
    )
    temperature: float = Field(default=0.0, ge=0, le=1, description="Randomness.")
    connect_ms: int = Field(default=2000, ge=10, le=60_000, description="Longest connecting.")
    final_ms: int = Field(
        default=5000, ge=50, le=60_000, description="Longest wait for the text of an utterance."
    )
    interim_ms: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Transcribe also after so much new audio, for partial texts; 0: not.",
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return is_address(value, "http", "https")


class WhisperCppStt:
    """A whisper.cpp server (`whisper-server`) of one's own, utterance by utterance."""

    Options = WhisperCppOptions
    traits = Traits("server", "", ("word times", "confidence", "languages", "keywords", "partials"))

    def __init__(self, options: WhisperCppOptions, hints: AgentHints) -> None:
        self._options = options
        self._server = WhisperServer("whisper-cpp", options.base_url, connect_ms=options.connect_ms)
        self._fields = {
            "response_format": "verbose_json",
            "temperature": str(options.temperature),
            "language": (options.language or hints.language).partition("-")[0],
        }
        if prompt := prompt_of(options.prompt, keywords(hints, (), MAX_KEYWORDS)):
            self._fields["prompt"] = prompt

    async def start(self) -> None:
        await self._server.start({}, "")

    async def aclose(self) -> None:
        await self._server.aclose()

    async def open(self) -> SttStream:
        options = self._options
        return SegmentedStream(
            "whisper-cpp",
            self._transcribe,
            final_ms=options.final_ms,
            interim_ms=options.interim_ms,
        )

    async def _transcribe(self, pcm: bytes) -> Transcript:
        path, within_ms = self._options.path.lstrip("/"), self._options.final_ms
        return await self._server.transcribe(path, pcm, self._fields, within_ms)
