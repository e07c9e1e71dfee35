"""A host of files: ranges, validators, and connections that break in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from tests.fakes.host import FakeVendor


class FakeFiles(FakeVendor):
    """`files` are served by their paths, without the leading slash.

    `cuts` are lengths: each answer to come is cut after so many bytes. `etag` is every file's.
    `ranges`: whether parts can be asked for.
    """

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        super().__init__()
        self.files = files or {}
        self.cuts: list[int] = []
        self.etag = '"one"'
        self.ranges = True
        self.redirects: dict[str, str] = {}

    def routes(self) -> list[BaseRoute]:
        return [Route("/{path:path}", self._get)]

    async def _get(self, request: Request) -> Response:
        self.arrive(request)
        if (refusal := self.refusal()) is not None:
            return refusal
        if self.faults.first_ms or self.faults.silent:
            await asyncio.sleep(30 if self.faults.silent else self.faults.first_ms / 1000)
        path = request.path_params["path"]
        if path in self.redirects:
            return RedirectResponse(self.redirects[path])
        if path not in self.files:
            return Response(status_code=404)
        data, begin, status = self.files[path], 0, 200
        headers = {"etag": self.etag} if self.etag else {}
        asked = request.headers.get("range")
        if asked and self.ranges and request.headers.get("if-range") == self.etag:
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(data):
                return Response(None, 416, {"content-range": f"bytes */{len(data)}"})
            status = 206
            headers["content-range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        headers["content-length"] = str(len(data) - begin)
        cut = self.cuts.pop(0) if self.cuts else None
        return StreamingResponse(self._body(data[begin:], cut), status, headers)

    async def _body(self, data: bytes, cut: int | None) -> AsyncIterator[bytes]:
        whole = data if cut is None else data[:cut]
        for start in range(0, len(whole), 65_536):
            yield whole[start : start + 65_536]
        if cut is not None:
            await asyncio.sleep(0.02)
            raise ConnectionResetError("cut")
