"""Plivo: the resource `Call` of the REST interface."""

from __future__ import annotations

import base64
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from tests.fakes.host import FakeVendor

AUTH_ID = "MAXXXXXXXXXXXXXXXXXX"


class FakePlivo(FakeVendor):
    def __init__(self) -> None:
        super().__init__()
        self.calls: set[str] = set()
        self.bodies: list[dict[str, Any]] = []

    def routes(self) -> list[BaseRoute]:
        call = f"/v1/Account/{AUTH_ID}/Call/"
        return [
            Route(call, self._dial, methods=["POST"]),
            Route(call + "{uuid}/", self._change, methods=["POST", "DELETE"]),
        ]

    async def _arrived(self, request: Request) -> Response | None:
        body = await request.body()
        noted = self.arrive(request, body)
        self.bodies.append(json.loads(body) if body else {})
        wanted = base64.b64encode(f"{AUTH_ID}:token".encode()).decode()
        if noted.headers.get("authorization") != f"Basic {wanted}":
            return JSONResponse({"error": "could not verify your access level"}, 401)
        return self.refusal()

    async def _dial(self, request: Request) -> Response:
        if (refused := await self._arrived(request)) is not None:
            return refused
        uuid = f"9834029e-58b6-11e1-b8b7-{len(self.calls):012d}"
        self.calls.add(uuid)
        answer = {"api_id": "97ceeb52", "message": "call fired", "request_uuid": uuid}
        return JSONResponse(answer, 201)

    async def _change(self, request: Request) -> Response:
        if (refused := await self._arrived(request)) is not None:
            return refused
        uuid = request.path_params["uuid"]
        if uuid not in self.calls:
            return JSONResponse({"api_id": "x", "error": "call not found"}, 404)
        if request.method == "DELETE":
            self.calls.discard(uuid)
            return Response(status_code=204)
        answer = {"api_id": "x", "message": "call transferred", "call_uuids": [uuid]}
        return JSONResponse(answer, 202)
