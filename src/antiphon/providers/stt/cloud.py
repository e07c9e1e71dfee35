"""What recognisers behind a WebSocket share: an address, a key, and a stream for each call."""

from __future__ import annotations

from typing import Any, ClassVar

from antiphon.providers.base import AgentHints, SttStream
from antiphon.providers.secret import Secret, vendor_key
from antiphon.providers.stt.live import LiveStream
from antiphon.providers.stt.options import SocketSttOptions
from antiphon.providers.stt.wire import Link, Vendor, Wire


class CloudStt:
    """Base of them. A subclass says `NAME`, `KEY_VARIABLE`, `VENDOR_URL` and, in `LIVE`, what else
    `Vendor` is to know; and it connects."""

    NAME: ClassVar[str]
    KEY_VARIABLE: ClassVar[str]
    VENDOR_URL: ClassVar[str]
    LIVE: ClassVar[dict[str, Any]] = {}

    def __init__(self, options: SocketSttOptions, hints: AgentHints) -> None:
        self._cloud = options
        self._hints = hints
        self._key: Secret | None = options.api_key
        self.model: str = getattr(options, "model", None) or ""

    async def start(self) -> None:
        """Check the key. Each call has a connection of its own, opened when the call begins.

        Raises:
            UserFacingError: there is no key, and the vendor is asked.
        """
        self._key = vendor_key(
            self._cloud.api_key,
            self.KEY_VARIABLE,
            f"stt: {self.NAME}",
            url=self._cloud.base_url,
            vendor_url=self.VENDOR_URL,
        )

    async def aclose(self) -> None:
        """Nothing is held between calls."""

    async def open(self) -> SttStream:
        return LiveStream(
            Vendor(self.NAME, self._connect, final_ms=self._cloud.final_ms, **self.LIVE)
        )

    async def _connect(self) -> tuple[Link, Wire]:
        """A connection that is ready for audio. Raises ProviderError."""
        raise NotImplementedError

    def _authorization(self, scheme: str = "Bearer") -> dict[str, str]:
        """The usual header, where there is a key."""
        return {"Authorization": f"{scheme} {self._key.value}"} if self._key else {}
