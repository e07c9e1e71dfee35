"""Exotel: `Calls/connect`."""

from __future__ import annotations

import base64
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from tests.fakes.host import FakeVendor


class FakeExotel(FakeVendor):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[list[tuple[str, str]]] = []

    def routes(self) -> list[BaseRoute]:
        return [Route("/v1/Accounts/acme/Calls/connect.json", self._dial, methods=["POST"])]

    async def _dial(self, request: Request) -> Response:
        noted = self.arrive(request, await request.body())
        self.forms.append(parse_qsl(noted.body.decode()))
        if noted.headers.get("authorization") != "Basic " + base64.b64encode(b"key:token").decode():
            return JSONResponse({"RestException": {"Status": 401, "Message": "denied"}}, 401)
        if (refused := self.refusal()) is not None:
            return refused
        return JSONResponse({"Call": {"Sid": "80bfbec2", "Status": "in-progress"}})
