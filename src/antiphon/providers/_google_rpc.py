"""Calls to Google's services over gRPC: the channel, the key, and errors as `ProviderError`.

Authentication: https://docs.cloud.google.com/docs/authentication/api-keys-use (`x-goog-api-key`)
and https://google.aip.dev/auth/4111: a service account signs a token for the service itself, with
no request to anybody. Codes: https://grpc.io/docs/guides/status-codes/.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import grpc.aio
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from antiphon.errors import ProviderError, UserFacingError
from antiphon.net.http import is_loopback
from antiphon.providers.secret import Secret

KEY_VARIABLE, FILE_VARIABLE = "GOOGLE_API_KEY", "GOOGLE_APPLICATION_CREDENTIALS"
EOF: Any = grpc.aio.EOF
ENDED = (grpc.RpcError, asyncio.InvalidStateError)
"""What using a call raises that is over; `GoogleRpc.failure` tells why it is."""
TOKEN_S, RENEW_S = 3600, 300
MAX_MESSAGE_BYTES = 8 * 1024 * 1024

_log = logging.getLogger("antiphon.google")
_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
# A stream that was too long or too slow ends with OUT_OF_RANGE or ABORTED; the next one is good.
_REFUSED = frozenset(
    {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNAUTHENTICATED", "PERMISSION_DENIED"}
) | {"NOT_FOUND", "ALREADY_EXISTS", "UNIMPLEMENTED"}


class ServiceAccount:
    """A service account's key file, which signs tokens for one service.

    Raises:
        UserFacingError: the file is missing or is none.
    """

    def __init__(self, path: Path, audience: str) -> None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            self._email, self._key_id = content["client_email"], content["private_key_id"]
            self.project = str(content.get("project_id", ""))
            key = serialization.load_pem_private_key(content["private_key"].encode(), None)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserFacingError(
                f"{path} is no key file of a Google service account ({type(error).__name__}): "
                "make one in the Google Cloud console, under IAM, service accounts, keys"
            ) from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise UserFacingError(f"{path}: the private key is no RSA key")
        self._key, self._audience = key, audience
        self._token, self._until = "", 0.0

    def token(self) -> str:
        """A token that lasts at least five minutes more."""
        now = time.time()
        if now > self._until - RENEW_S:
            self._until = now + TOKEN_S
            head = {"alg": "RS256", "typ": "JWT", "kid": self._key_id}
            claims = {
                "iss": self._email,
                "sub": self._email,
                "aud": self._audience,
                "iat": int(now),
                "exp": int(self._until),
            }
            signed = f"{_encoded(head)}.{_encoded(claims)}"
            signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
            self._token = f"{signed}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"
        return self._token


def _encoded(value: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class GoogleRpc:
    """The channel of one provider to one service. `start` and `aclose` may be repeated.

    Args:
        provider: its registry name.
        url: `https://` and a host; `http://` only on this machine.
        service: the host that tokens are for, such as `speech.googleapis.com`.
        key: the `api_key` of the options.
        file: a service account's key file.
    """

    def __init__(
        self, provider: str, url: str, service: str, key: Secret | None, file: Path | None
    ) -> None:
        self._provider, self._url, self._service = provider, url, service
        self._key, self._file = key, file
        self._account: ServiceAccount | None = None
        self._sent_key: Secret | None = None
        self._channel: Any = None

    @property
    def project(self) -> str:
        """The project of the service account, where there is one."""
        return self._account.project if self._account else ""

    async def start(self, connect_ms: int) -> None:
        """Find the key and open the channel. A service that does not answer is a warning.

        Raises:
            UserFacingError: no key.
        """
        await self.aclose()
        self._find_key()
        parts = urlsplit(self._url)
        options = [
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", connect_ms),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.enable_http_proxy", 0 if is_loopback(self._url) else 1),
        ]
        if parts.scheme == "http":
            self._channel = grpc.aio.insecure_channel(parts.netloc, options)
        else:
            target = parts.netloc if parts.port else f"{parts.netloc}:443"
            self._channel = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options)
        try:
            await self.ready(connect_ms)
        except ProviderError as error:
            extra = {"provider": self._provider, "error": str(error)}
            _log.warning("google not ready", extra=extra)

    async def aclose(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def ready(self, within_ms: int) -> None:
        """Wait for the connection.

        Raises:
            ProviderError: retryable, there is none in time.
        """
        if self._channel is None:
            raise ProviderError("not started", provider=self._provider, retryable=False)
        try:
            async with asyncio.timeout(within_ms / 1000):
                await self._channel.channel_ready()
        except TimeoutError:
            raise ProviderError(
                f"the server at {self._url} does not answer",
                provider=self._provider,
                retryable=True,
            ) from None

    def call(self, path: str, response: Any, routing: str = "") -> Any:
        """Begin a call that streams both ways; see `grpc.aio.StreamStreamCall`.

        Args:
            path: `/package.Service/Method`.
            response: the class of what comes.
            routing: fields of the request that Google routes by, as in a query.
        """
        if self._channel is None:
            raise ProviderError("not started", provider=self._provider, retryable=False)
        begin = self._channel.stream_stream(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        metadata = [("x-goog-request-params", routing)] if routing else []
        if self._sent_key is not None:
            metadata.append(("x-goog-api-key", self._sent_key.value))
        elif self._account is not None:
            metadata.append(("authorization", f"Bearer {self._account.token()}"))
        return begin(metadata=metadata)

    async def failure(self, call: Any) -> ProviderError:
        """Why a call is over. Waits until it is. Where the end met a write on its way, grpc.aio
        says INTERNAL instead of the reason; that is retryable, and the next try has the reason."""
        code, details = await call.code(), str(await call.details() or "")
        if self._sent_key is not None:
            details = details.replace(self._sent_key.value, "(key)")
        if code is grpc.StatusCode.OK:
            return ProviderError("a call ended early", provider=self._provider, retryable=True)
        return ProviderError(
            f"{code.name}: {' '.join(details.split())[:300]}",
            provider=self._provider,
            retryable=code.name not in _REFUSED,
            status=_STATUS.get(code.name),
        )

    def _find_key(self) -> None:
        """What the file names, else what the environment has, which only Google is shown."""
        self._sent_key, self._account = self._key, None
        file, host = self._file, urlsplit(self._url).hostname or ""
        at_google = host.endswith(".googleapis.com")
        if self._key is None and file is None and at_google:
            self._sent_key = Secret.from_env(KEY_VARIABLE)
            path = os.environ.get(FILE_VARIABLE, "").strip()
            file = Path(path) if path and self._sent_key is None else None
        if file is not None:
            self._account = ServiceAccount(file, f"https://{self._service}/")
        elif self._sent_key is None and at_google:
            raise UserFacingError(
                f"{self._provider} needs a key: set {KEY_VARIABLE}, or {FILE_VARIABLE} to the key "
                "file of a service account, or write api_key: ${YOUR_VARIABLE} beside the provider"
            )


def google_address(value: str | None) -> str | None:
    """For validators: https, or http on this machine.

    Raises:
        ValueError: neither.
    """
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.hostname and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(value))
    ):
        return value.rstrip("/")
    raise ValueError(f"`{value}` is not an address such as https://eu-speech.googleapis.com")
