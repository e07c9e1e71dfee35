"""Azure's neural voices: SSML in, over a pool of WebSockets or by POST, sound out as it is made.

POST: https://learn.microsoft.com/azure/ai-services/speech-service/rest-text-to-speech; elements:
https://learn.microsoft.com/azure/ai-services/speech-service/speech-synthesis-markup-voice.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import escape
from typing import Literal
from urllib.parse import quote

import httpx
from pydantic import Field, field_validator

from antiphon.providers import _azure
from antiphon.providers.base import AgentHints, Traits, TtsEvent, TtsSegment
from antiphon.providers.regions import with_region
from antiphon.providers.stt.options import is_address
from antiphon.providers.tts._azure_socket import FORMAT, AzureDialect, AzureWire
from antiphon.providers.tts._azure_socket import PATH as SOCKET_PATH
from antiphon.providers.tts.http_voice import HttpLimits, HttpVoice
from antiphon.providers.tts.options import CloudVoiceOptions, note_consent, socket_url, speakable
from antiphon.providers.tts.phones import ipa
from antiphon.providers.tts.socket_voice import SocketLimits, SocketVoice
from antiphon.providers.tts.sockets import Sockets

NAME = "azure"
PATH = "cognitiveservices/v1"

_USUAL_RATE = 150
_TAG = re.compile(r"<[^>]*>")
# A voice inside the voice is refused, and the segment is a document already.
_OUTER = re.compile(r"</?(?:speak|voice)\b[^>]*>")


class AzureTtsOptions(CloudVoiceOptions):
    """Options of `tts: azure`."""

    region: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]+$",
        description=f"Of the Speech resource (`westeurope`); else `{_azure.REGION_VARIABLE}`.",
    )
    base_url: str | None = Field(
        default=None, description="The server; by default that of the region."
    )
    voice: str = Field(
        default="en-US-AvaMultilingualNeural",
        min_length=1,
        description="A voice's whole name, also an HD voice's (`en-US-Ava:DragonHDLatestNeural`).",
    )
    language: str | None = Field(
        default=None, description="What a multilingual voice speaks (`de-DE`); else the agent's."
    )
    style: str | None = Field(
        default=None, description="`cheerful`, `empathetic`, `customerservice`: what it offers."
    )
    style_degree: float | None = Field(
        default=None, ge=0.01, le=2, description="How much of the style; 1 is as usual."
    )
    role: str | None = Field(default=None, description="Whose part it plays: `YoungAdultFemale`.")
    pitch: str | None = Field(
        default=None, pattern=r"^[+-]?[\w.%]+$", description="`+5%`, `high`, `-2st`."
    )
    speed: float = Field(
        default=1.0, ge=0.5, le=2.0, description="1.2 is a fifth faster than the agent's rate."
    )
    lexicon_url: str | None = Field(
        default=None, description="A pronunciation lexicon (PLS) at a public https address."
    )
    deployment_id: str | None = Field(default=None, description="Of a custom voice's endpoint.")
    transport: Literal["websocket", "http"] = Field(
        default="websocket", description="`http` is a request for each segment; no word times."
    )
    warm_sockets: int = Field(
        default=2, ge=1, le=16, description="Open sockets that are kept free for what comes next."
    )
    speaker_profile_id: str | None = Field(
        default=None, description="Of a personal voice, with `voice: DragonLatestNeural`."
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return None if value is None else is_address(value, "https", "http")


class AzureTts:
    """Azure's neural voices, with SSML, styles and roles."""

    Options = AzureTtsOptions
    traits = Traits(
        "cloud",
        _azure.KEY_VARIABLE,
        (
            *("ssml", "word times", "speed", "style", "emotion"),
            *("cloned voices", "languages", "pronunciations"),
        ),
    )
    takes_ssml = True
    sample_rate_hz = 24_000

    def __init__(self, options: AzureTtsOptions, hints: AgentHints) -> None:
        self._options = options
        self._language = with_region(options.language or hints.language)
        self._rate = min(2.0, max(0.5, options.speed * hints.rate / _USUAL_RATE))
        self._pronounced = dict(hints.pronunciations) if self._language[:2] == "en" else {}
        service = "tts" if options.deployment_id is None else "voice"
        self._url = _azure.endpoint(service, options.base_url, options.region)
        limits = HttpLimits(options.connect_ms, options.first_audio_ms, options.idle_ms)
        self._http = HttpVoice(NAME, self._url, limits, self._build)
        self._headers: dict[str, str] = {}
        self._sockets = Sockets(
            AzureWire(self._address, options.connect_ms), warm=options.warm_sockets
        )
        self._spoken = SocketVoice(
            NAME,
            self._sockets,
            SocketLimits.of(options),
            lambda _: AzureDialect(self._document),
        )
        words = "|".join(re.escape(escape(word)) for word in self._pronounced)
        self._find = re.compile(rf"\b({words})\b", re.IGNORECASE) if words else None
        self._ipa = {escape(word).lower(): ipa(p) for word, p in self._pronounced.items()}

    @property
    def model(self) -> str:
        """Azure's prices go by the kind of voice, which is in its name."""
        return self._options.voice

    async def start(self) -> None:
        """Open a connection.

        Raises:
            UserFacingError: no key, or no region.
        """
        self._headers = _azure.headers("tts: azure", self._url, self._options.api_key)
        note_consent(NAME, self._options.voice, self._options)
        if self._options.transport == "websocket":
            await self._sockets.start()
            return
        more = {"X-Microsoft-OutputFormat": FORMAT, "User-Agent": "antiphon"}
        await self._http.start(self._headers | more, warm_path="cognitiveservices/voices/list")

    async def aclose(self) -> None:
        await self._sockets.aclose()
        await self._http.aclose()

    def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; see `Tts.stream`."""
        if self._options.transport == "websocket":
            return self._spoken.stream(_sayable(segments))
        return self._http.stream(_sayable(segments))

    def _address(self) -> tuple[str, dict[str, str]]:
        query = {"deploymentId": self._options.deployment_id}
        return socket_url(self._url, SOCKET_PATH, query), self._headers

    def _build(self, client: httpx.AsyncClient, text: str) -> httpx.Request:
        path = PATH
        if self._options.deployment_id is not None:
            path += f"?deploymentId={quote(self._options.deployment_id, safe='')}"
        headers = {"Content-Type": "application/ssml+xml"}
        content = self._document(text).encode()
        return client.build_request("POST", path, content=content, headers=headers)

    def _document(self, segment: str) -> str:
        """What Azure wants around a segment."""
        options = self._options
        said = _OUTER.sub("", segment) if segment.startswith("<speak") else escape(segment)
        if self._find is not None and "<" not in said:
            said = self._find.sub(self._phoneme, said)
        if abs(self._rate - 1) > 0.01 or options.pitch:
            pitch = _attribute("pitch", options.pitch)
            said = f'<prosody rate="{self._rate:.2f}"{pitch}>{said}</prosody>'
        if options.style or options.role:
            how = _attribute("style", options.style) + _attribute("role", options.role)
            how += _attribute("styledegree", options.style_degree)
            said = f"<mstts:express-as{how}>{said}</mstts:express-as>"
        if "Multilingual" in options.voice or "DragonHD" in options.voice:
            said = f'<lang xml:lang="{self._language}">{said}</lang>'
        if options.speaker_profile_id:
            profile = _attribute("speakerProfileId", options.speaker_profile_id)
            said = f"<mstts:ttsembedding{profile}>{said}</mstts:ttsembedding>"
        if options.lexicon_url:
            said = f"<lexicon{_attribute('uri', options.lexicon_url)}/>{said}"
        return (
            '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" '
            f'xmlns:mstts="https://www.w3.org/2001/mstts" xml:lang="{self._language}">'
            f"<voice{_attribute('name', options.voice)}>{said}</voice></speak>"
        )

    def _phoneme(self, found: re.Match[str]) -> str:
        phones = self._ipa[found[1].lower()]
        return f'<phoneme alphabet="ipa" ph="{phones}">{found[1]}</phoneme>'


def _attribute(name: str, value: object) -> str:
    return "" if value is None else f' {name}="{escape(str(value))}"'


async def _sayable(segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsSegment]:
    """Segments without anything to say have no text, whatever their tags."""
    async for segment in segments:
        said = speakable(_TAG.sub("", segment.text)) or "<break" in segment.text
        yield segment if said else TtsSegment(segment.segment_id, "")
