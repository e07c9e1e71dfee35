"""Telnyx: the TeXML REST commands, and a key that signs webhooks.

Answers as https://developers.telnyx.com/api-reference/texml-rest-commands shows them, with the
`call_sid` that the live service adds.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from tests.fakes.host import FakeVendor


class TelnyxSigner:
    """Signs as Telnyx does: Ed25519 over `timestamp|body`."""

    def __init__(self, seed: int = 1) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.public_key = base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def headers(self, body: bytes, at_s: int) -> dict[str, str]:
        signature = self._key.sign(str(at_s).encode() + b"|" + body)
        return {
            "telnyx-signature-ed25519": base64.b64encode(signature).decode(),
            "telnyx-timestamp": str(at_s),
        }


class FakeTelnyx(FakeVendor):
    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, dict[str, Any]] = {}
        self.bodies: list[dict[str, Any]] = []

    def routes(self) -> list[BaseRoute]:
        account = "/v2/texml/Accounts/{account}/Calls"
        return [
            Route(account, self._dial, methods=["POST"]),
            Route(account + "/{call}", self._update, methods=["POST"]),
        ]

    async def _arrived(self, request: Request) -> Response | None:
        body = await request.body()
        noted = self.arrive(request, body)
        self.bodies.append(json.loads(body))
        if noted.headers.get("authorization") != "Bearer key":
            return JSONResponse({"errors": [{"code": "10009", "title": "Unauthorized"}]}, 401)
        return self.refusal()

    async def _dial(self, request: Request) -> Response:
        if (refused := await self._arrived(request)) is not None:
            return refused
        body = self.bodies[-1]
        sid = f"v3:{len(self.calls)}"
        self.calls[sid] = body
        answer = {"from": body["From"], "to": body["To"], "status": "queued"}
        return JSONResponse(answer if self.faults.garbage else {**answer, "call_sid": sid})

    async def _update(self, request: Request) -> Response:
        if (refused := await self._arrived(request)) is not None:
            return refused
        sid = request.path_params["call"]
        if sid not in self.calls:
            return JSONResponse({"errors": [{"code": "90018", "title": "has ended"}]}, 422)
        if self.bodies[-1].get("Status") == "completed":
            del self.calls[sid]
        return JSONResponse({"sid": sid, "status": "completed"})
