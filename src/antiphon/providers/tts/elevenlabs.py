"""ElevenLabs: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input

One socket is shared by up to five responses, each a context of its own. Every piece of sound comes
with the characters that are spoken in it, by which it is given to its segment to the sample.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field

from antiphon.errors import ProviderError
from antiphon.providers.base import AgentHints, Traits, TtsEvent, TtsSegment
from antiphon.providers.secret import vendor_key
from antiphon.providers.tts.options import CloudVoiceOptions, note_consent, pace, socket_url
from antiphon.providers.tts.socket_voice import Dialect, SocketLimits, SocketVoice
from antiphon.providers.tts.sockets import Lane, Message, Sockets, Wire
from antiphon.providers.tts.spelled import Spelled

URL = "https://api.elevenlabs.io"
# Of a sixth context the vendor closes the socket, and with it the five others.
CONTEXTS = 5
_SOFT = ("rate_limit", "busy", "too_many", "max_active", "internal", "timeout", "temporar")


_Dictionary = Annotated[str, Field(pattern=r"^[^:\s]+:[^:\s]+$")]


class ElevenLabsOptions(CloudVoiceOptions):
    """Options of `tts: elevenlabs`."""

    voice: str = Field(
        default="JBFqnCBsd6RMkjVDRZzb",
        min_length=1,
        description="The voice's id, that of a cloned voice included.",
    )
    model: str = Field(default="eleven_flash_v2_5", description="The model.")
    base_url: str = Field(default=URL, description="The server.")
    sample_rate_hz: Literal[16_000, 22_050, 24_000, 44_100] = Field(
        default=24_000, description="Rate of the sound; 44100 needs a larger plan."
    )
    language: str | None = Field(
        default=None,
        description="Two letters; else the agent's, for models that can be told (`v2_5`, `v3`).",
    )
    stability: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="High: even. Low: lively. The voice's own when absent.",
    )
    similarity_boost: float | None = Field(
        default=None, ge=0, le=1, description="How close to keep to the original voice."
    )
    style: float | None = Field(
        default=None, ge=0, le=1, description="How much to exaggerate the voice's style; slower."
    )
    use_speaker_boost: bool | None = Field(
        default=None, description="Likeness for some more delay."
    )
    speed: float | None = Field(default=None, ge=0.7, le=1.2, description="1.0 is as usual.")
    pronunciation_dictionaries: tuple[_Dictionary, ...] = Field(
        default=(),
        max_length=3,
        description="Dictionaries kept there, each as `ID:VERSION_ID`.",
    )


class ElevenLabsTts:
    """ElevenLabs voices, cloned ones included, in 32 languages; over a socket that is shared and
    kept warm. Word times are exact."""

    Options = ElevenLabsOptions
    traits = Traits(
        "cloud",
        "ELEVENLABS_API_KEY",
        (
            "word times",
            "speed",
            "style",
            "cloned voices",
            "languages",
            "pronunciation dictionaries",
        ),
    )

    def __init__(self, options: ElevenLabsOptions, hints: AgentHints) -> None:
        self._options = options
        self._speed = pace(options.speed, hints, 0.7, 1.2)
        self._wire = _Wire(options, _language(options, hints))
        self._sockets = Sockets(self._wire)
        self._voice = SocketVoice(
            "elevenlabs", self._sockets, SocketLimits.of(options), self._context
        )

    @property
    def sample_rate_hz(self) -> int:
        return self._options.sample_rate_hz

    @property
    def model(self) -> str:
        return self._options.model

    async def start(self) -> None:
        """Open a socket.

        Raises:
            UserFacingError: no key.
        """
        options = self._options
        key = vendor_key(
            options.api_key,
            self.traits.key,
            "elevenlabs",
            url=options.base_url,
            vendor_url=URL,
        )
        self._wire.headers = {"xi-api-key": key.value} if key else {}
        note_consent("elevenlabs", options.voice, options)
        await self._sockets.start()

    async def aclose(self) -> None:
        await self._sockets.aclose()

    def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; see `Tts.stream`."""
        return self._voice.stream(segments)

    def _context(self, lane: Lane) -> _Context:
        return _Context(lane, self._options, self._speed)


def _language(options: ElevenLabsOptions, hints: AgentHints) -> str | None:
    if options.language is not None:
        return options.language
    told = any(part in options.model for part in ("_v2_5", "_v3", "_v4"))
    return hints.language.partition("-")[0] if told else None


class _Wire(Wire):
    provider, lanes, confirms = "elevenlabs", CONTEXTS, True

    def __init__(self, options: ElevenLabsOptions, language: str | None) -> None:
        url = socket_url(
            options.base_url,
            f"v1/text-to-speech/{quote(options.voice, safe='')}/multi-stream-input",
            {
                "model_id": options.model,
                "output_format": f"pcm_{options.sample_rate_hz}",
                "language_code": language,
                # Segments are whole phrases, which need no gathering.
                "auto_mode": True,
                "sync_alignment": True,
                "inactivity_timeout": 180,
            },
        )
        super().__init__(url, options.connect_ms)

    def address(self, message: Message) -> str | None:
        if isinstance(message, bytes):
            return None
        name = message.get("contextId") or message.get("context_id")
        return str(name) if name else None

    def ends(self, message: Message) -> bool:
        return not isinstance(message, bytes) and bool(message.get("isFinal"))

    def cancel(self, lane: str) -> list[dict[str, Any]]:
        return [{"context_id": lane, "close_context": True}]


class _Context(Dialect):
    """One context: the text of a response, and whose sound is whose."""

    def __init__(self, lane: Lane, options: ElevenLabsOptions, speed: float | None) -> None:
        self._lane, self._name, self._options = lane, lane.name, options
        self._speed = speed
        self._begun = False
        self._spelled = Spelled(options.sample_rate_hz)
        self.over = False

    def write(self, segment: TtsSegment) -> list[dict[str, Any]]:
        # A text ends in a space there; an empty one would be no text.
        say = {"context_id": self._name, "text": segment.text.strip() + " ", "flush": True}
        self._spelled.write(segment)
        if self._begun:
            return [say]
        self._begun = True
        return [self._first(), say]

    def _first(self) -> dict[str, Any]:
        options = self._options
        names = ("stability", "similarity_boost", "style", "use_speaker_boost")
        asked = {"speed": self._speed, **{name: getattr(options, name) for name in names}}
        settings = {name: value for name, value in asked.items() if value is not None}
        first: dict[str, Any] = {"context_id": self._name, "text": " "}
        if settings:
            first["voice_settings"] = settings
        if options.pronunciation_dictionaries:
            first["pronunciation_dictionary_locators"] = [
                _locator(one) for one in options.pronunciation_dictionaries
            ]
        return first

    def finish(self) -> list[dict[str, Any]]:
        self._spelled.finish()
        self._lane.ending = True
        # What has been flushed is still spoken, and `isFinal` follows it.
        return [{"context_id": self._name, "close_context": True}]

    def keep_alive(self) -> list[dict[str, Any]]:
        return [{"context_id": self._name, "text": ""}]

    def take(self, message: Message) -> list[TtsEvent]:
        if isinstance(message, bytes):
            return []
        if message.get("error"):
            raise _error(message)
        events: list[TtsEvent] = []
        if audio := message.get("audio"):
            alignment = message.get("alignment")
            times = alignment if isinstance(alignment, dict) else {}
            events = self._spelled.take(
                base64.b64decode(audio),
                times.get("chars") or (),
                times.get("charStartTimesMs") or (),
                times.get("charDurationsMs") or (),
            )
        if message.get("isFinal"):
            self.over = True
            events += self._spelled.end()
        return events


def _locator(written: str) -> dict[str, str]:
    name, _, version = written.partition(":")
    return {"pronunciation_dictionary_id": name, "version_id": version}


def _error(message: dict[str, Any]) -> ProviderError:
    what, said = str(message["error"]), str(message.get("message") or "")
    soft = any(part in f"{what} {said}".lower() for part in _SOFT)
    text = f"{what}: {said}" if said else what
    return ProviderError(text[:300], provider="elevenlabs", retryable=soft)
