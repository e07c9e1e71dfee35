"""Google's Gemini Live API.

Wire: google-genai 3.4 (`google.genai.live`, `types.Live*`), https://ai.google.dev/api/live.
The engine takes the turns: automatic activity detection is off, `activityEnd` asks for the answer,
and speech does not interrupt the model by itself (`NO_INTERRUPTION`). The history cannot be
corrected, so that the model is told what was heard of an answer before the next one. There are no
names of answers: they come one after the other, in the order in which they were asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from antiphon.net.ws import Socket
from antiphon.providers.base import AgentHints, LlmRequest, RealtimeCall, Traits
from antiphon.providers.llm._gemini_schema import to_gemini
from antiphon.providers.realtime.call import VendorCall
from antiphon.providers.realtime.connecting import message, opened, ws_address
from antiphon.providers.realtime.gemini_wire import NAME, GeminiWire, content
from antiphon.providers.realtime.sending import (
    encoded,
)
from antiphon.providers.realtime.wire import (
    RealtimeOptions,
    Vendor,
    Wire,
)
from antiphon.providers.secret import vendor_key
from antiphon.types import Message

URL = "https://generativelanguage.googleapis.com"
KEY_VARIABLE = "GEMINI_API_KEY"
_METHOD = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


class GeminiLiveOptions(RealtimeOptions):
    """Options of `realtime: gemini`."""

    base_url: str = Field(default=URL, description="The server.")
    model: str = Field(
        default="gemini-2.5-flash-native-audio-preview-12-2025", description="The model."
    )
    voice: str = Field(default="Kore", description="The model's voice.")
    transcript_ms: int = Field(
        default=500,
        ge=0,
        le=10_000,
        description="Longest wait for what the caller said in writing; the model hears it anyway.",
    )
    extra_setup: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of the `setup` message."
    )


class GeminiLive:
    """Gemini Live: Google's model that hears and speaks."""

    Options = GeminiLiveOptions
    traits = Traits(where="cloud", key=KEY_VARIABLE, can=("tools", "interruptions", "typed text"))
    decides_turns = False

    def __init__(self, options: GeminiLiveOptions, hints: AgentHints) -> None:
        self._options, self._hints = options, hints
        self._url = ws_address(options.base_url) + _METHOD
        self._headers: dict[str, str] = {}

    @property
    def model(self) -> str:
        return self._options.model

    async def start(self) -> None:
        """Check the key."""
        given = self._options
        key = vendor_key(
            given.api_key, KEY_VARIABLE, "realtime: gemini", url=given.base_url, vendor_url=URL
        )
        self._headers = {"x-goog-api-key": key.value} if key else {}

    async def aclose(self) -> None:
        """Nothing is kept between calls."""

    async def open(self, request: LlmRequest) -> RealtimeCall:
        """Connect for one call; see `Realtime.open`."""
        options = self._options
        vendor = Vendor(
            NAME,
            self._connect,
            first_ms=options.first_ms,
            idle_ms=options.idle_ms,
            connect_ms=options.connect_ms,
            transcript_ms=options.transcript_ms,
        )
        return VendorCall(vendor, request, *await self._connect(request, ()))

    async def _connect(self, request: LlmRequest, known: Sequence[Message]) -> tuple[Socket, Wire]:
        async def greet(socket: Socket) -> Wire:
            await socket.send(encoded({"setup": self._setup(request)}))
            while "setupComplete" not in await message(socket, NAME):
                pass
            if known:
                await socket.send(encoded(content(known)))
            return GeminiWire()

        within_ms = self._options.connect_ms
        return await opened(self._url, NAME, greet, headers=self._headers, within_ms=within_ms)

    def _setup(self, request: LlmRequest) -> dict[str, Any]:
        voice = {"prebuiltVoiceConfig": {"voiceName": self._options.voice}}
        speech: dict[str, Any] = {"voiceConfig": voice}
        if "-" in self._hints.language:
            speech["languageCode"] = self._hints.language
        instructions = "\n\n".join(m.content for m in request.messages if m.role == "system")
        setup: dict[str, Any] = {
            "model": f"models/{self._options.model.removeprefix('models/')}",
            "generationConfig": {"responseModalities": ["AUDIO"], "speechConfig": speech},
            "realtimeInputConfig": {
                "automaticActivityDetection": {"disabled": True},
                "activityHandling": "NO_INTERRUPTION",
            },
            "inputAudioTranscription": {},
            "outputAudioTranscription": {},
        }
        if instructions:
            setup["systemInstruction"] = {"parts": [{"text": instructions}]}
        if request.tools:
            declared = []
            for one in request.tools:
                function: dict[str, Any] = {"name": one.name, "description": one.description}
                if one.parameters.get("properties"):
                    function["parameters"] = to_gemini(one.parameters)
                declared.append(function)
            setup["tools"] = [{"functionDeclarations": declared}]
        return {**setup, **self._options.extra_setup}
