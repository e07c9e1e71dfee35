"""ElevenLabs Agents: an agent that is configured there, behind one connection.

Wire: elevenlabs 2.78 (`elevenlabs.conversational_ai.conversation`),
https://elevenlabs.io/docs/agents-platform/api-reference/agents-platform/websocket.
ElevenLabs decides when the caller is done, and answers by itself; an answer that began before the
engine asks for it waits. It cannot be told what to say, so that the agent's own sentences are
spoken by the agent's `tts`. The end of an answer is not told: it is where no more comes, and where
the times of its characters, if the agent sends them, say that all of it has been spoken.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from pydantic import Field

from antiphon.errors import ProviderError
from antiphon.net.http import open_client, read_body, send, status_error, transport_errors
from antiphon.net.ws import Socket
from antiphon.providers.base import AgentHints, LlmRequest, RealtimeCall, Traits
from antiphon.providers.realtime.call import VendorCall
from antiphon.providers.realtime.connecting import message, opened, ws_address
from antiphon.providers.realtime.elevenlabs_wire import NAME, ElevenLabsWire, context
from antiphon.providers.realtime.sending import encoded
from antiphon.providers.realtime.wire import (
    RealtimeOptions,
    Vendor,
    Wire,
)
from antiphon.providers.secret import Secret, vendor_key
from antiphon.types import Message

URL = "https://api.elevenlabs.io"
KEY_VARIABLE = "ELEVENLABS_API_KEY"
_PATH = "/v1/convai/conversation"


class ElevenLabsAgentOptions(RealtimeOptions):
    """Options of `realtime: elevenlabs`."""

    base_url: str = Field(default=URL, description="The server.")
    agent_id: str = Field(description="The agent, as ElevenLabs calls it.")
    voice: str | None = Field(default=None, description="Another voice than the agent's.")
    override: bool = Field(
        default=True,
        description="Send the persona and the language, and no first message; the agent's security "
        "settings at ElevenLabs must allow these overrides. False: its own prompt counts.",
    )
    quiet_ms: int = Field(
        default=700,
        ge=100,
        le=5000,
        description="An answer is over when nothing more has come of it for so long.",
    )


class ElevenLabsAgent:
    """ElevenLabs Agents: an agent that is configured at ElevenLabs."""

    Options = ElevenLabsAgentOptions
    traits = Traits(where="cloud", key=KEY_VARIABLE, can=("tools", "end of turn"))
    decides_turns = True

    def __init__(self, options: ElevenLabsAgentOptions, hints: AgentHints) -> None:
        self._options, self._hints = options, hints
        ws_address(options.base_url)  # is it one?
        self._key: Secret | None = None

    @property
    def model(self) -> str:
        return "agents"

    async def start(self) -> None:
        """Check the key."""
        given = self._options
        self._key = vendor_key(
            given.api_key, KEY_VARIABLE, "realtime: elevenlabs", url=given.base_url, vendor_url=URL
        )

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
            says=False,
            quiet_ms=options.quiet_ms,
        )
        return VendorCall(vendor, request, *await self._connect(request, ()))

    async def _connect(self, request: LlmRequest, known: Sequence[Message]) -> tuple[Socket, Wire]:
        async def greet(socket: Socket) -> Wire:
            await socket.send(encoded(self._initiation(request)))
            while (event := await message(socket, NAME)).get("type") != (
                "conversation_initiation_metadata"
            ):
                pass
            wire = ElevenLabsWire(event["conversation_initiation_metadata_event"])
            if known:
                await socket.send(encoded(context(known)))
            return wire

        within_ms = self._options.connect_ms
        return await opened(await self._address(), NAME, greet, headers={}, within_ms=within_ms)

    async def _address(self) -> str:
        """Where the conversation is: signed for an agent that is not public."""
        options, agent = self._options, quote(self._options.agent_id, safe="")
        if self._key is None:
            return f"{ws_address(options.base_url)}{_PATH}?agent_id={agent}"
        headers = {"xi-api-key": self._key.value}
        base_url = ws_address(options.base_url).replace("ws", "http", 1)
        client = open_client(base_url, connect_ms=options.connect_ms, headers=headers)
        within_ms = options.connect_ms
        try:
            with transport_errors(NAME, f"the server at {base_url}"):
                path = f"{_PATH}/get-signed-url?agent_id={agent}".removeprefix("/")
                request = client.build_request("GET", path)
                response = await send(client, request, NAME, within_ms=within_ms)
                try:
                    if response.status_code != 200:
                        raise await status_error(NAME, response, within_ms=1000)
                    body = await read_body(response, NAME, within_ms=within_ms)
                finally:
                    await response.aclose()
            return str(json.loads(body)["signed_url"])
        except (ValueError, LookupError, TypeError):
            raise ProviderError("no signed address", provider=NAME, retryable=True) from None
        finally:
            await client.aclose()

    def _initiation(self, request: LlmRequest) -> dict[str, Any]:
        override: dict[str, Any] = {}
        if self._options.override:
            prompt = "\n\n".join(m.content for m in request.messages if m.role == "system")
            override["agent"] = {
                "prompt": {"prompt": prompt},
                "first_message": "",
                "language": self._hints.language.partition("-")[0],
            }
        if self._options.voice:
            override["tts"] = {"voice_id": self._options.voice}
        return {
            "type": "conversation_initiation_client_data",
            "conversation_config_override": override,
            "dynamic_variables": {},
        }
