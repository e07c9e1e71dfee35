"""Azure Speech over its WebSocket protocol.

Wire: the Universal Speech Protocol, as Microsoft's own library 1.53 speaks it, and
https://github.com/MicrosoftDocs/azure-docs (articles/cognitive-services/Speech, WebSocket
protocol). A flush ends the audio of a turn; the rest of its text and `turn.end` follow, and the
next audio is another turn on the same socket.
"""

from __future__ import annotations

import secrets
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic import Field, field_validator

from antiphon.net.ws import closed_errors
from antiphon.net.ws import connect as ws_connect
from antiphon.providers import _azure
from antiphon.providers.base import AgentHints, SttStream, Traits
from antiphon.providers.regions import with_region
from antiphon.providers.stt._azure_wire import NAME, AzureLink, AzureWire
from antiphon.providers.stt.live import LiveStream
from antiphon.providers.stt.options import CloudSttOptions, is_address, keywords, websocket_url
from antiphon.providers.stt.wire import Link, Vendor, Wire
from antiphon.types import INPUT_RATE_HZ

PATH = "/speech/recognition/conversation/cognitiveservices/v1"
MAX_SESSION_MS = 9 * 60_000
"""A connection is closed after ten minutes, and after three without audio."""
MAX_PHRASES = 500


class AzureSttOptions(CloudSttOptions):
    """Options of `stt: azure`."""

    region: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]+$",
        description=f"Of the Speech resource (`westeurope`); else `{_azure.REGION_VARIABLE}`.",
    )
    base_url: str | None = Field(
        default=None, description="The server; by default that of the region."
    )
    model: str = Field(
        default="conversation", description="What the price book calls it; nothing is sent."
    )
    endpoint_id: str | None = Field(default=None, description="Of a custom speech model.")
    profanity: Literal["masked", "removed", "raw"] = Field(
        default="raw", description="What becomes of profanities."
    )

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        return None if value is None else is_address(value, "wss", "ws", "https", "http")


class AzureStt:
    """Azure Speech, streaming, in the region of one's resource."""

    Options = AzureSttOptions
    traits = Traits(
        "cloud",
        _azure.KEY_VARIABLE,
        ("partials", "word times", "confidence", "languages", "keywords"),
    )

    def __init__(self, options: AzureSttOptions, hints: AgentHints) -> None:
        self._options, self._hints = options, hints
        self._headers: dict[str, str] = {}
        self._url = ""

    @property
    def model(self) -> str:
        return self._options.model

    async def start(self) -> None:
        """Check the key and the region. Each call has a connection of its own.

        Raises:
            UserFacingError: no key, or no region.
        """
        options = self._options
        base = _azure.endpoint("stt", options.base_url, options.region)
        self._headers = _azure.headers("stt: azure", base, options.api_key)
        query = {
            "language": with_region(options.language or self._hints.language),
            "format": "detailed",
            "wordLevelTimestamps": "true",
            "wordLevelConfidence": "true",
            "profanity": options.profanity,
        }
        if options.endpoint_id is not None:
            query["cid"] = options.endpoint_id
        self._url = f"{websocket_url(base)}{PATH}?{urlencode(query)}"

    async def aclose(self) -> None:
        """Nothing is held between calls."""

    async def open(self) -> SttStream:
        return LiveStream(
            Vendor(
                NAME,
                self._connect,
                chunk_ms=100,
                final_ms=self._options.final_ms,
                max_session_ms=MAX_SESSION_MS,
            )
        )

    async def _connect(self) -> tuple[Link, Wire]:
        socket = await ws_connect(
            self._url,
            NAME,
            headers={**self._headers, "X-ConnectionId": secrets.token_hex(16)},
            subprotocols=("USP",),
            within_ms=self._options.connect_ms,
        )
        try:
            with closed_errors(NAME):
                await socket.send(_azure.text_message("speech.config", _config()))
        except BaseException:
            socket.transport.abort()
            raise
        return AzureLink(socket), AzureWire(self._context())

    def _context(self) -> dict[str, Any]:
        language = with_region(self._options.language or self._hints.language)
        words = keywords(self._hints, (), MAX_PHRASES)
        context: dict[str, Any] = {
            "phraseDetection": {"language": language},
            "phraseOutput": {
                "format": "Detailed",
                "detailed": {"options": ["WordTimings", "WordConfidence"]},
            },
        }
        if words:
            items = [{"Text": word} for word in words]
            context["dgi"] = {"Groups": [{"Type": "Generic", "Items": items}], "bias": 1.0}
        return context


def _config() -> dict[str, Any]:
    """What the service asks of its clients: who they are, and what the audio is."""
    source = {"type": "Stream", "samplerate": str(INPUT_RATE_HZ), "bitspersample": "16"}
    return {"context": _azure.client() | {"audio": {"source": source | {"channelcount": "1"}}}}
