"""Options that recognisers behind a network share."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from antiphon.providers.base import AgentHints, ProviderOptions
from antiphon.providers.secret import Secret


class CloudSttOptions(ProviderOptions):
    """Of a recogniser behind a network. A subclass adds `base_url` and `model`."""

    api_key: Secret | None = Field(
        default=None,
        description="The key, as `${VARIABLE}`; else the vendor's usual variable is used.",
    )
    language: str | None = Field(
        default=None, max_length=40, description="What is spoken (`de`, `en-GB`); the agent's."
    )
    connect_ms: int = Field(default=3000, ge=10, le=60_000, description="Longest connecting.")
    final_ms: int = Field(
        default=1000, ge=50, le=60_000, description="Longest wait for a final text."
    )


class SocketSttOptions(CloudSttOptions):
    """Of a recogniser behind a WebSocket. A subclass gives `base_url` its default."""

    base_url: str = ""

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return is_address(value, "https", "http", "wss", "ws")


def is_address(value: str, *schemes: str) -> str:
    """An address of one of the schemes, for validators.

    Raises:
        ValueError: it is none.
    """
    if urlsplit(value).scheme not in schemes or not urlsplit(value).hostname:
        raise ValueError(f"`{value}` is not an address such as {schemes[0]}://127.0.0.1:8080")
    return value


def websocket_url(base_url: str) -> str:
    """`http` addresses as `ws` ones, without a slash at the end."""
    url = base_url.rstrip("/")
    return url.replace("http", "ws", 1) if url.startswith("http") else url


def keywords(hints: AgentHints, more: tuple[str, ...], limit: int) -> tuple[str, ...]:
    """Words to listen for: those of the options, then the agent's vocabulary, each once."""
    return tuple(dict.fromkeys(word for word in (*more, *hints.vocabulary) if word.strip()))[:limit]
