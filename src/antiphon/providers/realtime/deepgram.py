"""Deepgram's Voice Agent: recogniser, brain and voice behind one connection.

Wire: deepgram-sdk 7.17 (`deepgram.agent.v1`), https://developers.deepgram.com/docs/voice-agent.
Deepgram decides when the caller is done, and answers by itself; an answer that began before the
engine asks for it waits. Its history cannot be corrected: it is told of the past only when a
conversation begins, or begins again after a connection was lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from antiphon.net.ws import Socket
from antiphon.providers.base import AgentHints, LlmRequest, RealtimeCall, Traits
from antiphon.providers.realtime.call import VendorCall
from antiphon.providers.realtime.connecting import message, opened, ws_address
from antiphon.providers.realtime.deepgram_wire import NAME, RATE_HZ, DeepgramWire, failure
from antiphon.providers.realtime.sending import encoded, functions
from antiphon.providers.realtime.wire import (
    RealtimeOptions,
    Vendor,
    Wire,
)
from antiphon.providers.secret import vendor_key
from antiphon.types import INPUT_RATE_HZ, Message

URL = "https://agent.deepgram.com"
KEY_VARIABLE = "DEEPGRAM_API_KEY"


class DeepgramAgentOptions(RealtimeOptions):
    """Options of `realtime: deepgram`."""

    base_url: str = Field(default=URL, description="The server.")
    model: str = Field(default="gpt-4o-mini", description="The brain.")
    model_provider: str = Field(
        default="open_ai", description="Whose it is: `open_ai`, `anthropic`, `google`, `groq`."
    )
    listen: str = Field(
        default="nova-3", description="The recogniser; `flux-...` takes turns best."
    )
    voice: str = Field(default="aura-2-thalia-en", description="The voice.")
    extra_settings: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of the `agent` settings."
    )


class DeepgramAgent:
    """Deepgram Voice Agent: recogniser, brain and voice behind one connection."""

    Options = DeepgramAgentOptions
    traits = Traits(where="cloud", key=KEY_VARIABLE, can=("tools", "end of turn", "exact text"))
    decides_turns = True

    def __init__(self, options: DeepgramAgentOptions, hints: AgentHints) -> None:
        self._options, self._hints = options, hints
        self._url = ws_address(options.base_url) + "/v1/agent/converse"
        self._headers: dict[str, str] = {}

    @property
    def model(self) -> str:
        return "voice-agent"

    async def start(self) -> None:
        """Check the key."""
        given = self._options
        key = vendor_key(
            given.api_key, KEY_VARIABLE, "realtime: deepgram", url=given.base_url, vendor_url=URL
        )
        self._headers = {"Authorization": f"Token {key.value}"} if key else {}

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
            decides=True,
        )
        return VendorCall(vendor, request, *await self._connect(request, ()))

    async def _connect(self, request: LlmRequest, known: Sequence[Message]) -> tuple[Socket, Wire]:
        async def greet(socket: Socket) -> Wire:
            await _told(socket, "Welcome")
            await socket.send(encoded(self._settings(request, known)))
            await _told(socket, "SettingsApplied")
            return DeepgramWire()

        within_ms = self._options.connect_ms
        return await opened(self._url, NAME, greet, headers=self._headers, within_ms=within_ms)

    def _settings(self, request: LlmRequest, known: Sequence[Message]) -> dict[str, Any]:
        options, hints = self._options, self._hints
        listen: dict[str, Any] = {"type": "deepgram", "model": options.listen}
        if options.listen.startswith("flux"):
            listen["version"] = "v2"
        elif hints.language:
            listen["language"] = hints.language
        if hints.vocabulary:
            listen["keyterms"] = list(hints.vocabulary[:100])
        think: dict[str, Any] = {
            "provider": {"type": options.model_provider, "model": options.model},
            "prompt": "\n\n".join(m.content for m in request.messages if m.role == "system"),
        }
        if request.tools:
            think["functions"] = functions(request.tools)
        agent: dict[str, Any] = {
            "listen": {"provider": listen},
            "think": think,
            "speak": {"provider": {"type": "deepgram", "model": options.voice}},
        }
        history = [
            {"type": "History", "role": one.role, "content": one.content}
            for one in known
            if one.role in ("user", "assistant") and one.content
        ]
        if history:
            agent["context"] = {"messages": history}
        return {
            "type": "Settings",
            "audio": {
                "input": {"encoding": "linear16", "sample_rate": INPUT_RATE_HZ},
                "output": {"encoding": "linear16", "sample_rate": RATE_HZ, "container": "none"},
            },
            "agent": {**agent, **options.extra_settings},
        }


async def _told(socket: Socket, wanted: str) -> None:
    """Wait for a message; an error in its place is one."""
    while (event := await message(socket, NAME)).get("type") != wanted:
        if event.get("type") == "Error":
            raise failure(event, retryable=False)
