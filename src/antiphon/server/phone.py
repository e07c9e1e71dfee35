"""The webhooks and media streams of telephone companies, as routes: the same for each of them.

    POST /{company}/voice             somebody calls: connect the call to our stream
    WS   /{company}/media             the stream
    POST /{company}/status, /machine  what became of a call; an answering machine
    POST /{company}/transfer/{call}   what came of passing a caller on
    POST /{company}/answered/{call}   the person is there
    POST /{company}/whisper/{call}, /accept/{call}   what the person hears first, and answers

Every request is verified first; one that is forged, stale or sent twice is answered with 403.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request, Response, WebSocket
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from antiphon.channels.base import TransferResult
from antiphon.channels.phone.extras import Meanwhile, Orders
from antiphon.channels.phone.vendor import BadMessage, Document, Forged, Webhook
from antiphon.errors import CapacityError
from antiphon.server.body import read_body
from antiphon.server.phone_service import PhoneService

MAX_FIELDS = 500
METHODS = ["GET", "POST"]

Answer = Callable[[Webhook, str], "Document | None"]


def add_phone(app: FastAPI, service: PhoneService) -> None:
    """Add the routes of every company."""
    for name in service.companies:
        _add_company(app, service, name)


def _add_company(app: FastAPI, service: PhoneService, name: str) -> None:
    hooks = Hooks(service, name)
    for path, answer in (
        ("voice", hooks.voice),
        ("status", hooks.status),
        ("machine", hooks.status),
        ("transfer/{call}", hooks.transfer),
        ("answered/{call}", hooks.answered),
        ("whisper/{call}", hooks.whisper),
        ("accept/{call}", hooks.accept),
    ):
        route = _route(service, name, answer)
        app.add_api_route(f"/{name}/{path}", route, methods=METHODS, include_in_schema=False)

    @app.websocket(f"/{name}/media")
    async def media(websocket: WebSocket) -> None:
        try:
            await service.serve(websocket, name, _webhook(service, websocket, "GET", b""))
        except Forged as error:
            service.metrics.phone_request_refused(name, error.why)
            # Before it was accepted: the handshake is answered with 403.
            await websocket.close()


def _route(
    service: PhoneService, name: str, answer: Answer
) -> Callable[[Request], Awaitable[Response]]:
    async def route(request: Request) -> Response:
        hook = _webhook(service, request, request.method, await read_body(request))
        try:
            service.companies[name].vendor.verify(hook)
            document = answer(hook, request.path_params.get("call", ""))
        except Forged as error:
            service.metrics.phone_request_refused(name, error.why)
            raise HTTPException(403, f"This request is not accepted: {error.why}.") from None
        except BadMessage as error:
            raise HTTPException(400, f"This request is not understood: {error}.") from None
        if document is None:
            return Response(status_code=204)
        return Response(document.body, headers={"Content-Type": document.content_type})

    return route


class Hooks:
    """What a company's verified webhooks are answered with; None: nothing."""

    def __init__(self, service: PhoneService, name: str) -> None:
        self._service, self._name = service, name
        self._vendor = service.companies[name].vendor

    def voice(self, hook: Webhook, _: str) -> Document | None:
        service, vendor = self._service, self._vendor
        if isinstance(vendor, Orders) and (ordered := vendor.ordered(hook)) is not None:
            return ordered
        facts = vendor.incoming(hook)
        agent = service.agent_for(self._name, facts.called)
        try:
            service.host.check(agent or None)
        except CapacityError as error:
            service.metrics.call_refused(error.reason)
            return vendor.refuse(str(error))
        return vendor.answer(service.stream_for(agent, facts, self._name))

    def status(self, hook: Webhook, _: str) -> Document | None:
        try:
            self._service.told(self._vendor.status(hook))
        except BadMessage:
            # Companies tell much that nobody asked for, and repeat what is not taken.
            return None
        return None

    def transfer(self, hook: Webhook, call_id: str) -> Document | None:
        call = self._service.call(call_id)
        if isinstance(self._vendor, Meanwhile):
            if call is not None and self._vendor.answered(hook):
                call.transferred(TransferResult("connected"))
            if (document := self._vendor.meanwhile(hook)) is not None:
                return document
        result = self._vendor.transfer_result(hook)
        if call is None or call.ended:
            return self._vendor.refuse("")
        call.transferred(result)
        if result.outcome == "connected":
            return self._vendor.refuse("")
        stream = self._service.stream_for("", call.facts, self._name, resume=call_id)
        return self._vendor.answer(stream)

    def answered(self, hook: Webhook, call_id: str) -> Document | None:
        call = self._service.call(call_id)
        there = not isinstance(self._vendor, Meanwhile) or self._vendor.answered(hook)
        if call is not None and there:
            call.transferred(TransferResult("connected"))
        return None

    def whisper(self, hook: Webhook, call_id: str) -> Document | None:
        accept_url = self._service.url(self._name, f"accept/{call_id}")
        return self._vendor.whisper(self._service.whisper(call_id), accept_url)

    def accept(self, hook: Webhook, call_id: str) -> Document | None:
        call = self._service.call(call_id)
        accepted = getattr(self._vendor, "accepted", None)
        if call is not None and (accepted is None or accepted(hook)):
            call.transferred(TransferResult("connected"))
        return self._vendor.accept(hook)


def _webhook(service: PhoneService, asked: HTTPConnection, method: str, body: bytes) -> Webhook:
    base, headers = service.public_url, {key.lower(): one for key, one in asked.headers.items()}
    if isinstance(asked, WebSocket):
        base = "ws" + base.removeprefix("http")
    query = asked.url.query
    path = asked.scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or asked.url.path
    form: tuple[tuple[str, str], ...] = ()
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        text = body.decode("utf-8", "replace")
        try:
            form = tuple(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError:
            raise HTTPException(400, "There are too many fields.") from None
    url = base + path + (f"?{query}" if query else "")
    return Webhook(method, url, headers, body, form, time.time())
