"""Vonage: the Voice REST interface, which demands a token of the application's key."""

from __future__ import annotations

import json
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from tests.fakes.host import FakeVendor

APPLICATION = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"


def make_key() -> tuple[str, str]:
    """A private RSA key and its public one, both PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


class FakeVonage(FakeVendor):
    """Args:
    public_key: of the application; tokens that another key signed are refused.
    """

    def __init__(self, public_key: str) -> None:
        super().__init__()
        self._public_key = public_key
        self.claims: list[dict[str, Any]] = []
        self.bodies: list[dict[str, Any]] = []
        self.calls: set[str] = set()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/calls", self._dial, methods=["POST"]),
            Route("/v1/calls/{uuid}", self._change, methods=["PUT"]),
        ]

    async def _arrived(self, request: Request) -> Response | None:
        body = await request.body()
        noted = self.arrive(request, body)
        kind, _, token = noted.headers.get("authorization", "").partition(" ")
        try:
            claims = jwt.decode(token, self._public_key, algorithms=["RS256"])
        except jwt.InvalidTokenError:
            return JSONResponse({"title": "Unauthorized", "detail": "Invalid Token"}, 401)
        if kind != "Bearer" or claims["application_id"] != APPLICATION:
            return JSONResponse({"title": "Unauthorized"}, 401)
        self.claims.append(claims)
        self.bodies.append(json.loads(body))
        return self.refusal()

    async def _dial(self, request: Request) -> Response:
        if (refused := await self._arrived(request)) is not None:
            return refused
        uuid = f"63f61863-4a51-4f6b-86e1-{len(self.calls):012d}"
        self.calls.add(uuid)
        answer = {"uuid": uuid, "status": "started", "direction": "outbound"}
        return JSONResponse({**answer, "conversation_uuid": "CON-1"}, 201)

    async def _change(self, request: Request) -> Response:
        if (refused := await self._arrived(request)) is not None:
            return refused
        uuid = request.path_params["uuid"]
        if uuid not in self.calls:
            return JSONResponse({"type": "NOT_FOUND", "error_title": "Not Found"}, 404)
        if self.bodies[-1]["action"] == "hangup":
            self.calls.discard(uuid)
        return Response(status_code=204)
