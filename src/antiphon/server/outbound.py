"""Outbound calls and campaigns as an API, for programs of whoever runs the server.

    POST /v1/calls   GET /v1/calls   GET /v1/calls/{id}   POST /v1/calls/{id}/hangup
    POST /v1/campaigns   GET /v1/campaigns   GET /v1/campaigns/{id}   .../results.csv
    POST /v1/campaigns/{id}/pause, /resume, /cancel

Every request carries `Authorization: Bearer` and the key of `ANTIPHON_API_KEY`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import ClientDisconnect

from antiphon.errors import AntiphonError, CapacityError, ProviderError, UserFacingError
from antiphon.phone.campaign import Campaigns
from antiphon.phone.campaign_csv import MAX_COLUMNS, MAX_VALUE_CHARS, read_list, results_text
from antiphon.phone.campaign_store import NAME, Campaign, Store
from antiphon.phone.campaign_thread import StoreThread
from antiphon.phone.config import OutboundConfig
from antiphon.phone.dialer import Dialer
from antiphon.phone.dialer_record import Order, OutboundLine, Refused, Taken

KEY_VARIABLE = "ANTIPHON_API_KEY"
MAX_KEYS = 10_000
"""Idempotency keys whose answers are remembered; that a call was made is remembered for a day."""
MAX_KEY_CHARS = 200
MAX_LIST_REQUESTS = 2
"""Lists that are read at the same time; others wait."""
BODY_TIMEOUT_S, LIST_TIMEOUT_S = 10.0, 60.0
RESULT_ROWS = 1_000

_Text = Annotated[str, StringConstraints(max_length=MAX_VALUE_CHARS)]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,59}$")]


class CallOrder(BaseModel):
    """Body of `POST /v1/calls`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: str = Field(max_length=100)
    agent: str | None = Field(default=None, max_length=100)
    variables: dict[_Name, _Text] = Field(default={}, max_length=MAX_COLUMNS)


class CampaignOrder(BaseModel):
    """Query of `POST /v1/campaigns`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="", max_length=100)
    agent: str | None = Field(default=None, max_length=100)
    pace_per_minute: float = Field(default=10, ge=0.01, le=600)
    at_once: int = Field(default=5, ge=1, le=1000)
    retries: int = Field(default=0, ge=0, le=10)
    retry_after_minutes: float = Field(default=30, ge=1, le=10_080)


class ApiError(AntiphonError):
    """A request that is answered with an error.

    Args:
        fields: besides `type` and `message`, such as `rule`.
    """

    def __init__(self, status: int, kind: str, message: str, **fields: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.fields = status, kind, fields


Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Ordered:
    order: CallOrder
    task: asyncio.Task[Answer]


class Outbound:
    """The dialer, its campaigns and their store, from start to end.

    Raises:
        ConfigError: a setting of `outbound` has no meaning.
    """

    def __init__(
        self,
        config: OutboundConfig,
        line: OutboundLine,
        agent_named: Callable[[str | None], str],
        folder: Path,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.store = StoreThread(folder / NAME)
        self.dialer = Dialer(config, line, self.store, agent_named, now)
        self.campaigns = Campaigns(self.store, self.dialer, now)
        self.agent_named = agent_named
        self.problem_of: Callable[[Order], str] = lambda order: ""
        """What is wrong with an order by the agent's file, as a sentence."""
        self.reading = asyncio.Semaphore(MAX_LIST_REQUESTS)
        self._keys: OrderedDict[str, _Ordered] = OrderedDict()
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Raises UserFacingError where the store cannot be used."""
        await self.campaigns.start()
        self._running = [
            asyncio.create_task(self.dialer.run(), name="dialer"),
            asyncio.create_task(self.campaigns.run(), name="campaigns"),
        ]

    async def aclose(self) -> None:
        """Call nobody any more, end what goes on, and write it down."""
        for task in self._running:
            task.cancel()
        self.campaigns.ready = False
        await self.dialer.aclose()
        await self.campaigns.aclose()
        await self.store.aclose()

    async def order(self, order: CallOrder, key: str) -> Answer:
        """Make a call; with a key at most one, whose answer is given again."""
        known = self._keys.get(key)
        if known is not None:
            if known.order != order:
                message = "this Idempotency-Key was used for another order; take a new one"
                raise ApiError(422, "idempotency_error", message)
            return await asyncio.shield(known.task)
        # Whoever goes away meanwhile does not stop a call half-way.
        task = asyncio.create_task(self._place(order, key), name="outbound-call")
        if key:
            self._keys[key] = _Ordered(order, task)
            if len(self._keys) > MAX_KEYS:
                self._keys.popitem(last=False)
        return await asyncio.shield(task)

    async def _place(self, order: CallOrder, key: str) -> Answer:
        try:
            placed = Order(order.to, order.agent, dict(order.variables))
            if problem := self.problem_of(placed):
                raise UserFacingError(problem)
            record = await self.dialer.place(placed, key=key)
        except Taken:
            call_id = await self.store.do(lambda store: store.key_used(key))
            message = (
                "a call was made with this Idempotency-Key before the server was started again; "
                "what became of it is not known"
            )
            return _error(409, "idempotency_error", message, call_id=call_id or "")
        except ProviderError as error:
            # It counts as made: somebody may have been called.
            return _error(502, "line_error", str(error))
        except Refused as refused:
            self._keys.pop(key, None)
            rule, call_id = refused.refusal.rule, refused.record.id
            status = 429 if rule in ("per_number", "per_hour", "at_once") else 403
            status = 400 if rule == "bad_number" else status
            message = str(refused.refusal)
            return _error(status, "refused", message, rule=rule, call_id=call_id)
        except UserFacingError as error:
            self._keys.pop(key, None)
            if isinstance(error, CapacityError):
                return _error(503, "capacity_error", str(error))
            return _error(400, "invalid_request_error", str(error))
        return 201, record.shown()


def add_outbound(app: FastAPI, outbound: Outbound | None, api_key: str | None) -> None:
    """Add the routes. Without `outbound` they say what to set up."""
    guarded = APIRouter(prefix="/v1", dependencies=[Depends(_keeper(api_key))])
    given = _given(outbound)
    _add_calls(guarded, given)
    _add_campaigns(guarded, given)
    app.include_router(guarded)
    app.add_exception_handler(ApiError, _answered)


def _given(outbound: Outbound | None) -> Callable[[], Outbound]:
    def give() -> Outbound:
        if outbound is None:
            message = "This server makes no calls; set up `outbound` in phone.yaml."
            raise ApiError(404, "not_configured", message)
        return outbound

    return give


def _keeper(api_key: str | None) -> Callable[[Request], None]:
    expected = (api_key or "").strip().encode()

    def check(request: Request) -> None:
        if not expected:
            message = f"Set {KEY_VARIABLE} where the server runs; whoever knows it may call people."
            raise ApiError(403, "no_api_key", message)
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), expected)
        if scheme.lower() != "bearer" or not same:
            message = f"Send `Authorization: Bearer` and the key of {KEY_VARIABLE}."
            raise ApiError(401, "authentication_error", message)

    return check


def _add_calls(router: APIRouter, given: Callable[[], Outbound]) -> None:
    @router.post("/calls")
    async def make(request: Request) -> Response:
        outbound = given()
        order = CallOrder.model_validate_json(await _body(request, BODY_TIMEOUT_S))
        status, answer = await outbound.order(order, _key(request))
        headers = {"Location": f"/v1/calls/{answer['id']}"} if status == 201 else {}
        return JSONResponse(answer, status, headers=headers)

    @router.get("/calls")
    async def calls(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        return {"calls": [record.shown() for record in given().dialer.list(limit)]}

    @router.get("/calls/{call_id}")
    async def call(call_id: str) -> dict[str, Any]:
        record = given().dialer.get(call_id)
        if record is None:
            raise ApiError(404, "not_found", "There is no such call.")
        return record.shown()

    @router.post("/calls/{call_id}/hangup")
    async def hang_up(call_id: str) -> dict[str, Any]:
        record = await given().dialer.hang_up(call_id)
        if record is None:
            raise ApiError(404, "not_found", "There is no such call.")
        return record.shown()


def _add_campaigns(router: APIRouter, given: Callable[[], Outbound]) -> None:
    @router.post("/campaigns")
    async def make(request: Request) -> Response:
        outbound = _ready(given())
        if "csv" not in (kind := request.headers.get("content-type", "text/csv")):
            message = f"Send the list itself as text/csv, as with --data-binary, not {kind[:60]}."
            raise ApiError(415, "invalid_request_error", message)
        order = CampaignOrder.model_validate(dict(request.query_params))
        try:
            agent = outbound.agent_named(order.agent)
        except CapacityError:
            agent = order.agent or ""
        async with outbound.reading:
            data = await _body(request, LIST_TIMEOUT_S)
            made = await _make_campaign(outbound, order, agent, data, _key(request))
        return JSONResponse(made, 201, headers={"Location": f"/v1/campaigns/{made['id']}"})

    @router.get("/campaigns")
    async def campaigns(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
        return {"campaigns": await given().campaigns.listed(limit)}

    @router.get("/campaigns/{campaign_id}")
    async def progress(campaign_id: str) -> dict[str, Any]:
        return await _shown(given(), campaign_id)

    @router.get("/campaigns/{campaign_id}/results.csv")
    async def results(campaign_id: str) -> Response:
        outbound = given()
        await _shown(outbound, campaign_id)
        name = f'attachment; filename="{campaign_id}.csv"'
        return StreamingResponse(
            _results(outbound, campaign_id),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": name},
        )

    async def change(campaign_id: str, state: Any) -> dict[str, Any]:
        outbound = _ready(given())
        shown = await _shown(outbound, campaign_id)
        if not await outbound.campaigns.set_state(campaign_id, state):
            raise ApiError(409, "over", f"This campaign is over: it is {shown['state']}.")
        return await _shown(outbound, campaign_id)

    @router.post("/campaigns/{campaign_id}/pause")
    async def pause(campaign_id: str) -> dict[str, Any]:
        return await change(campaign_id, "paused")

    @router.post("/campaigns/{campaign_id}/resume")
    async def resume(campaign_id: str) -> dict[str, Any]:
        return await change(campaign_id, "running")

    @router.post("/campaigns/{campaign_id}/cancel")
    async def cancel(campaign_id: str) -> dict[str, Any]:
        return await change(campaign_id, "canceled")


async def _make_campaign(
    outbound: Outbound, order: CampaignOrder, agent: str, data: bytes, key: str
) -> dict[str, Any]:
    # The same key gives the same name, so that a repeated request finds the first one's campaign.
    name = hashlib.sha256(key.encode()).hexdigest()[:24] if key else secrets.token_hex(12)
    campaign_id = f"campaign_{name}"
    if key and (known := await outbound.campaigns.shown(campaign_id)) is not None:
        return known
    rows, duplicates = await asyncio.to_thread(read_list, data)
    campaign = Campaign(
        id=campaign_id,
        name=order.name or campaign_id,
        agent=agent,
        pace=order.pace_per_minute,
        at_once=order.at_once,
        retries=order.retries,
        retry_after_s=order.retry_after_minutes * 60,
    )
    await outbound.campaigns.add(campaign, rows, duplicates)
    return await _shown(outbound, campaign_id)


async def _results(outbound: Outbound, campaign_id: str) -> AsyncIterator[str]:
    after = -1
    while True:
        rows = await outbound.store.do(partial(_page, campaign_id, after))
        yield results_text(rows, head=after < 0)
        if len(rows) < RESULT_ROWS:
            return
        after = rows[-1][0]


def _page(campaign_id: str, after: int, store: Store) -> list[tuple[Any, ...]]:
    return store.results(campaign_id, after, RESULT_ROWS)


def _ready(outbound: Outbound) -> Outbound:
    if not outbound.campaigns.ready:
        message = "Another process runs the campaigns of this data folder; ask that one."
        raise ApiError(503, "not_here", message)
    return outbound


async def _shown(outbound: Outbound, campaign_id: str) -> dict[str, Any]:
    shown = await outbound.campaigns.shown(campaign_id)
    if shown is None:
        raise ApiError(404, "not_found", "There is no such campaign.")
    return shown


def _key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "").strip()
    if len(key) > MAX_KEY_CHARS:
        message = f"An Idempotency-Key has at most {MAX_KEY_CHARS} characters."
        raise ApiError(400, "invalid_request_error", message)
    return key


async def _body(request: Request, within_s: float) -> bytes:
    try:
        async with asyncio.timeout(within_s):
            return await request.body()
    except TimeoutError:
        message = "The request took too long to arrive."
        raise ApiError(408, "invalid_request_error", message) from None
    except ClientDisconnect:
        message = "The request was not sent to its end."
        raise ApiError(400, "invalid_request_error", message) from None


def _error(status: int, kind: str, message: str, **fields: str) -> Answer:
    return status, {"error": {"type": kind, "message": message, **fields}}


async def _answered(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    headers: Mapping[str, str] = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    status, body = _error(error.status, error.kind, str(error), **error.fields)
    return JSONResponse(body, status, headers=dict(headers))
