"""Google Cloud Speech-to-Text v2 over gRPC: `google.cloud.speech.v2.Speech/StreamingRecognize`.

Wire: https://docs.cloud.google.com/speech-to-text/docs/reference/rpc/google.cloud.speech.v2. A
stream takes five minutes of audio and has no way to ask for the text so far but its end: a flush
ends it, what is left to tell and the end of its answers follow, and the next audio begins another
on the same channel. Between utterances there is none, because one without audio is ended.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from antiphon.errors import UserFacingError
from antiphon.providers._google_messages import LINEAR16, speech
from antiphon.providers._google_rpc import KEY_VARIABLE, GoogleRpc, google_address
from antiphon.providers.base import AgentHints, SttStream, Traits
from antiphon.providers.regions import with_region
from antiphon.providers.stt._google_wire import GoogleLink, GoogleWire
from antiphon.providers.stt.live import LiveStream
from antiphon.providers.stt.options import CloudSttOptions, keywords
from antiphon.providers.stt.wire import Link, Vendor, Wire
from antiphon.types import INPUT_RATE_HZ

NAME = "google"
SERVICE = "speech.googleapis.com"
MAX_PHRASES = 500


class GoogleSttOptions(CloudSttOptions):
    """Options of `stt: google`."""

    credentials_file: Path | None = Field(
        default=None, description="Key file of a service account; used in place of an API key."
    )
    project: str | None = Field(
        default=None, description="The Google Cloud project; by default the service account's."
    )
    location: str = Field(
        default="global", pattern=r"^[a-z0-9-]+$", description="Where it runs: `eu`, `us-central1`."
    )
    recognizer: str = Field(
        default="_", pattern=r"^[A-Za-z0-9_-]+$", description="A recognizer of the project."
    )
    base_url: str | None = Field(
        default=None, description="The endpoint; by default that of the location."
    )
    model: str = Field(default="latest_long", description="`chirp_3`, `telephony`, `latest_short`.")
    languages: tuple[str, ...] = Field(
        default=(), max_length=3, description="Several, from which Google chooses."
    )
    boost: float = Field(default=10.0, ge=0, le=20, description="Weight of the vocabulary.")
    word_times: bool = Field(
        default=True, description="Ask for words with times; some models do better without."
    )
    profanity_filter: bool = Field(default=False, description="Mask profanities.")

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return google_address(value)


class GoogleStt:
    """Google Cloud Speech-to-Text v2 (extra `google`), streaming, in a region of one's choice."""

    Options = GoogleSttOptions
    traits = Traits(
        "cloud", KEY_VARIABLE, ("partials", "word times", "confidence", "languages", "keywords")
    )

    def __init__(self, options: GoogleSttOptions, hints: AgentHints) -> None:
        self._options, self._hints = options, hints
        region = "" if options.location == "global" else f"{options.location}-"
        url = options.base_url or f"https://{region}{SERVICE}"
        self._rpc = GoogleRpc(NAME, url, SERVICE, options.api_key, options.credentials_file)
        self._config: Any = None

    @property
    def model(self) -> str:
        return self._options.model

    async def start(self) -> None:
        """Find the key and open the channel that all calls share.

        Raises:
            UserFacingError: no key, or no project.
        """
        await self._rpc.start(self._options.connect_ms)
        project = self._options.project or self._rpc.project
        if not project:
            await self._rpc.aclose()
            raise UserFacingError("stt: google needs `project`, the id of the Google Cloud project")
        self._config = self._request(project)

    async def aclose(self) -> None:
        await self._rpc.aclose()

    async def open(self) -> SttStream:
        return LiveStream(Vendor(NAME, self._connect, chunk_ms=40, final_ms=self._options.final_ms))

    async def _connect(self) -> tuple[Link, Wire]:
        await self._rpc.ready(self._options.connect_ms)
        return GoogleLink(self._rpc), GoogleWire(self._config)

    def _request(self, project: str) -> Any:
        options = self._options
        words = keywords(self._hints, (), MAX_PHRASES)
        sets = (
            [
                {
                    "inline_phrase_set": {
                        "phrases": [{"value": word[:100]} for word in words],
                        "boost": options.boost,
                    }
                }
            ]
            if words
            else []
        )
        return speech["StreamingRecognizeRequest"](
            recognizer=f"projects/{project}/locations/{options.location}"
            f"/recognizers/{options.recognizer}",
            streaming_config={
                "config": {
                    "explicit_decoding_config": {
                        "encoding": LINEAR16,
                        "sample_rate_hertz": INPUT_RATE_HZ,
                        "audio_channel_count": 1,
                    },
                    "model": options.model,
                    "language_codes": options.languages
                    or (with_region(options.language or self._hints.language),),
                    "features": {
                        "profanity_filter": options.profanity_filter,
                        "enable_word_time_offsets": options.word_times,
                        "enable_word_confidence": options.word_times,
                        "enable_automatic_punctuation": True,
                    },
                    "adaptation": {"phrase_sets": sets},
                },
                "streaming_features": {"interim_results": True},
            },
        )
