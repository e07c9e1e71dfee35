"""What Azure's recogniser and voices share: where they are, the key, and the messages.

Regions: https://learn.microsoft.com/azure/ai-services/speech-service/regions. Messages are those of
the Universal Speech Protocol: headers, an empty line and a body; a binary one begins with the
length of its headers in two bytes, and has no empty line.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.secret import Secret, vendor_key

KEY_VARIABLE, REGION_VARIABLE = "AZURE_SPEECH_KEY", "AZURE_SPEECH_REGION"
KEY_HEADER = "Ocp-Apim-Subscription-Key"


def endpoint(service: str, base_url: str | None, region: str | None) -> str:
    """The address of `stt`, `tts` or `voice` (https), without a slash at the end; empty when
    neither an address nor a region is known."""
    if base_url is not None:
        return base_url.rstrip("/")
    region = region or os.environ.get(REGION_VARIABLE, "").strip()
    return f"https://{region}.{service}.speech.microsoft.com" if region else ""


def headers(provider: str, url: str, given: Secret | None) -> dict[str, str]:
    """What says who asks. The environment's key is sent to Microsoft's own hosts only.

    Raises:
        UserFacingError: no key, or no region.
    """
    if not url:
        raise UserFacingError(
            f"{provider} needs to know where your Speech resource is: write `region:` (westeurope, "
            f"eastus, ...) beside the provider, or set {REGION_VARIABLE}"
        )
    host = urlsplit(url).hostname or ""
    own = url if host.endswith(".speech.microsoft.com") else "https://speech.microsoft.com"
    key = vendor_key(given, KEY_VARIABLE, provider, url=url, vendor_url=own)
    return {KEY_HEADER: key.value} if key else {}


@dataclass(frozen=True, slots=True)
class Received:
    """A message of the service."""

    path: str
    request_id: str
    body: dict[str, Any]
    sound: bytes = b""


def text_message(path: str, body: Any, request_id: str = "") -> str:
    """A message of SSML, which is text, or else of JSON."""
    kind = "application/ssml+xml" if isinstance(body, str) else "application/json"
    content = body if isinstance(body, str) else json.dumps(body)
    return f"{_headers(path, request_id, kind)}\r\n{content}"


def audio_message(request_id: str, pcm: bytes, kind: str = "") -> bytes:
    """A binary message; one without audio ends the turn's."""
    head = _headers("audio", request_id, kind).encode()
    return len(head).to_bytes(2, "big") + head + pcm


def _fields(head: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.split("\r\n"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _headers(path: str, request_id: str, kind: str) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = {"X-Timestamp": now, "Path": path, "Content-Type": kind, "X-RequestId": request_id}
    return "".join(f"{name}:{value}\r\n" for name, value in fields.items() if value)


def received(frame: str | bytes, provider: str) -> Received:
    """Read a message.

    Raises:
        ProviderError: it is none.
    """
    if isinstance(frame, bytes):
        size = int.from_bytes(frame[:2], "big") + 2
        fields = _fields(frame[2:size].decode("utf-8", "replace"))
        if "path" in fields:
            return Received(fields["path"], fields.get("x-requestid", ""), {}, frame[size:])
        raise ProviderError("a message of another protocol", provider=provider, retryable=True)
    head, gap, body = frame.partition("\r\n\r\n")
    fields = _fields(head)
    try:
        content = json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError):
        content = None
    if not gap or "path" not in fields or not isinstance(content, dict):
        raise ProviderError("a message of another protocol", provider=provider, retryable=True)
    return Received(fields["path"], fields.get("x-requestid", ""), content)


def client() -> dict[str, Any]:
    """Who is asking, for `speech.config`."""
    system = {"name": "Antiphon", "version": "1.0.0", "lang": "Python"}
    return {
        "system": system,
        "os": {"platform": platform.system(), "name": platform.system(), "version": "1"},
    }
