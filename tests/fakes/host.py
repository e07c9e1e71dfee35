"""A vendor's host: HTTP and WebSocket on one port of loopback, and everything that can go wrong."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.websockets import WebSocket, WebSocketDisconnect


@dataclass
class Faults:
    """What goes wrong from now on. A fake's handlers ask it; all can be changed while it runs."""

    status: int | None = None
    """HTTP requests and WebSocket handshakes are refused with it."""
    retry_after: str | None = None
    first_ms: int = 0
    """Wait before the first byte or message of each answer."""
    silent: bool = False
    """Half open: what is sent is read, nothing is answered."""
    garbage: bool = False
    """Answers are not what the protocol says."""
    close_after: int | None = None
    """The socket is closed with `close_code` after so many messages from the client."""
    close_code: int = 1011
    close_reason: str = ""
    times: int | None = None
    """For how many connections `status` or `close_after` holds; None: for all."""


@dataclass
class Connection:
    """One request or socket that came in."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes = b""
    received: list[Any] = field(default_factory=list)
    """Messages of a socket: str or bytes."""
    sent: list[Any] = field(default_factory=list)
    closed: bool = False


class FakeVendor:
    """Base of the fakes. A subclass gives `routes()`; `async with` runs it.

    Args:
        tls: serve https and wss with a certificate of its own (`cert_path`), for SDKs that insist.
    """

    def __init__(self, *, tls: Path | None = None) -> None:
        self.faults = Faults()
        self.connections: list[Connection] = []
        self._tls = tls
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0
        self.cert_path: Path | None = None

    def routes(self) -> list[BaseRoute]:
        """Starlette's routes; handlers call `arrive` first."""
        raise NotImplementedError

    @property
    def http_url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def last(self) -> Connection:
        return self.connections[-1]

    async def __aenter__(self) -> Self:
        options: dict[str, Any] = {}
        if self._tls is not None:
            self.cert_path, key_path = make_certificate(self._tls)
            options = {"ssl_certfile": str(self.cert_path), "ssl_keyfile": str(key_path)}
        config = uvicorn.Config(
            Starlette(routes=self.routes()),
            host="127.0.0.1",
            port=0,
            log_level="critical",
            lifespan="off",
            ws="websockets-sansio",
            ws_ping_interval=None,
            timeout_graceful_shutdown=1,
            **options,
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            if self._task.done():
                self._task.result()
            await asyncio.sleep(0.005)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        assert self._task is not None
        self._server.should_exit = True
        self._server.force_exit = True
        await self._task

    # ---- what handlers use -----------------------------------------------------------------

    def arrive(self, connection: HTTPConnection, body: bytes = b"") -> Connection:
        """Note a request or socket."""
        method = connection.method if isinstance(connection, Request) else "WS"
        noted = Connection(
            method,
            connection.url.path,
            list(connection.query_params.multi_items()),
            dict(connection.headers),
            body,
        )
        self.connections.append(noted)
        return noted

    def refusal(self) -> Response | None:
        """The refusal of an HTTP request, when there is to be one."""
        faults = self.faults
        if faults.status is None or faults.times == 0:
            return None
        if faults.times is not None:
            faults.times -= 1
        headers = {"retry-after": faults.retry_after} if faults.retry_after else {}
        return JSONResponse({"error": {"message": "refused"}}, faults.status, headers)

    async def accept(self, socket: WebSocket, **options: Any) -> Connection | None:
        """Accept a socket, or refuse it and return None."""
        noted = self.arrive(socket)
        if (refusal := self.refusal()) is not None:
            await socket.send_denial_response(refusal)
            return None
        await socket.accept(**options)
        return noted

    async def receive(self, socket: WebSocket, noted: Connection) -> str | bytes | None:
        """The client's next message; None when it has left or was sent away."""
        faults = self.faults
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                noted.closed = True
                return None
            data = message["text"] if message.get("text") is not None else message["bytes"]
            noted.received.append(data)
            if faults.close_after is not None and len(noted.received) >= faults.close_after:
                if faults.times is not None:
                    faults.times -= 1
                    faults.close_after = faults.close_after if faults.times else None
                await socket.close(faults.close_code, faults.close_reason)
                noted.closed = True
                return None
            if not faults.silent:
                assert isinstance(data, str | bytes)
                return data

    async def send(self, socket: WebSocket, noted: Connection, data: Any) -> None:
        """Send a message: a dict as JSON, str, or bytes."""
        if not noted.sent and self.faults.first_ms:
            await asyncio.sleep(self.faults.first_ms / 1000)
        noted.sent.append(data)
        try:
            if self.faults.garbage:
                await socket.send_text("{ this is no JSON")
            elif isinstance(data, bytes):
                await socket.send_bytes(data)
            elif isinstance(data, str):
                await socket.send_text(data)
            else:
                await socket.send_json(data)
        except (WebSocketDisconnect, RuntimeError):
            noted.closed = True


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_path, key_path


def trusting(cert_path: Path) -> ssl.SSLContext:
    """A context for clients that trusts only this certificate."""
    return ssl.create_default_context(cafile=str(cert_path))
