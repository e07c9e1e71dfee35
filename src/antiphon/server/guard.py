"""What stands before every request: who may ask, how much they may send, what browsers are told.

Plain ASGI, because a WebSocket has to pass the same guard as a request.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.observe.metrics import Metrics
from antiphon.server.settings import ServerSettings

MAX_BODY_BYTES = 64 * 1024
LONGER_BODIES = {"/v1/campaigns": 5 * 1024 * 1024}
"""Paths whose bodies may be longer."""
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

# 'self' covers the WebSocket of the same host (CSP 3 section 6.7.2.8). No inline script, no inline
# style, no outside address: a caption is the only foreign text here, and it is never markup.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob: mediastream:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class BodyTooLarge(Exception):
    """The request's body is longer than any of ours."""


class Guard:
    """The middleware.

    A page elsewhere must not reach the agent of a server on the visitor's own machine, so a
    request that names an origin must name this server's. Another name for 127.0.0.1 in somebody
    else's DNS would pass that test; so a server that only this machine can reach also wants to be
    called by a local name.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings, metrics: Metrics) -> None:
        self._app = app
        self._settings = settings
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        refusal = self._refusal(Headers(scope=scope), path)
        if scope["type"] == "websocket":
            if refusal:
                await send({"type": "websocket.close", "code": 1008, "reason": refusal[:100]})
                return
            await self._app(scope, receive, send)
            return
        await self._http(scope, receive, send, refusal)

    async def _http(
        self, scope: Scope, receive: Receive, send: Send, refusal: str | None
    ) -> None:  # fmt: skip
        received = 0
        answered = False
        most = most_bytes(scope["path"])

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > most:
                    raise BodyTooLarge
            return message

        async def secured_send(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if refusal:
            await refuse(secured_send, 403, "origin_error", refusal)
            return
        if _declared_length(Headers(scope=scope)) > most:
            await refuse(secured_send, 413, "invalid_request_error", _too_large(most))
            return
        try:
            await self._app(scope, limited_receive, secured_send)
        except BodyTooLarge:
            if not answered:
                await refuse(secured_send, 413, "invalid_request_error", _too_large(most))

    def _refusal(self, headers: Headers, path: str) -> str | None:
        """The sentence for whoever may not ask; None for who may."""
        host = headers.get("host", "")
        if self._settings.is_local and not self._is_ours(_name(host), path):
            self._metrics.call_refused("origin")
            return (
                f"This server only answers to localhost, not to {_name(host)[:60]!r}. "
                "Start it with --host to reach it by another name."
            )
        origin = headers.get("origin")
        if origin is None or origin in self._settings.allowed_origins:
            return None
        # Behind a proxy that ends TLS the scheme differs; the name and the port are what counts.
        if origin.partition("://")[2].lower() == host.lower():
            return None
        self._metrics.call_refused("origin")
        return "Pages of other sites may not use this server; open its own page."

    def _is_ours(self, name: str, path: str) -> bool:
        """Whether a server that only this machine can reach answers to a name."""
        if name in LOCAL_NAMES:
            return True
        public = self._settings.public_name
        return bool(public) and name == public and path.startswith(self._settings.public_paths)


def most_bytes(path: str) -> int:
    """How long the body of a request may be."""
    return LONGER_BODIES.get(path, MAX_BODY_BYTES)


def _too_large(most: int) -> str:
    return f"The request is too large; {most // 1024} KiB are allowed."


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _declared_length(headers: Headers) -> int:
    value = headers.get("content-length", "0")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else 0


async def refuse(send: Send, status: int, kind: str, message: str) -> None:
    """Answer with an error."""
    body = json.dumps({"error": {"type": kind, "message": message}}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
