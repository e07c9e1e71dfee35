"""What the workers of a server do for each other.

The front gives a new connection to the right worker. Over a connection that is kept, by a browser
or by a proxy, comes also what belongs to another one: that is passed on, and the answer given back.
So each worker answers everything: also for all of them, where one alone would not be the truth.

Plain ASGI around the application; who may ask is judged by the application's own guard, in the
worker that answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from antiphon.observe.gather import merged
from antiphon.server.board import Board
from antiphon.server.first import take_first
from antiphon.server.guard import most_bytes, refuse
from antiphon.server.peers import ASK_S, Absent, Peers
from antiphon.server.route import (
    is_about_a_session,
    may_begin_a_call,
    prefix_of,
    read_json,
    worker_of_body,
    worker_of_target,
)

log = logging.getLogger(__name__)

VOICE = "/api/voice/"
BODY_S = 10.0
METRICS_S = 2.0
STATUS_S = 5.0
OVER = "The call is over: the process that had it has ended. Begin a new one."
AWAY = "The part of the server that answers this is being started; try again shortly."


class Host(Protocol):
    """A supervisor, as far as it is needed here."""

    @property
    def active_calls(self) -> int: ...
    @property
    def has_room(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Paths:
    """Addresses that want more than one worker."""

    new_calls: frozenset[str]
    """A call begins: any worker that has room will do."""
    for_all: frozenset[str]
    """Every worker is to know."""

    @classmethod
    def of(cls, companies: Iterable[str]) -> Paths:
        """Those of a server with these telephone companies."""
        names = tuple(companies)
        return cls(
            frozenset({f"{VOICE}offer", *(f"/{name}/voice" for name in names)}),
            frozenset(f"/{name}/{what}" for name in names for what in ("status", "machine")),
        )


class Rooted:
    """Takes a worker's prefix for where the application is mounted (ASGI's `root_path`). The path
    itself stays whole: telephone companies sign it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and (prefix := prefix_of(scope["path"])):
            scope = {**scope, "root_path": prefix}
        await self._app(scope, receive, send)


class Together:
    """The middleware.

    Args:
        app: of this worker, which takes paths with its prefix and without.
        host: this worker's supervisor.
        board: how busy all are.
        peers: how the others are reached.
        paths: those that want more than one.
    """

    def __init__(
        self, app: ASGIApp, host: Host, board: Board, peers: Peers, paths: Paths
    ) -> None:  # fmt: skip
        self._app, self._host, self._board = app, host, board
        self._peers, self._paths = peers, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, was_chosen = scope["path"], take_first(scope.get("state", {}))
        if path == "/metrics":
            await self._metrics(scope, receive, send)
        elif path == "/readyz":
            await self._readiness(scope, receive, send)
        elif path in self._paths.for_all:
            await self._tell_all(scope, receive, send)
        else:
            await self._route(scope, receive, send, was_chosen)

    # ---- for one of them -----------------------------------------------------------------------

    async def _route(
        self, scope: Scope, receive: Receive, send: Send, was_chosen: bool
    ) -> None:  # fmt: skip
        path = scope["path"]
        worker = worker_of_target(_target(scope).decode("latin-1"))
        taken = Taken(receive)
        body: object = None
        if worker is None and scope["method"] != "GET" and path.startswith(VOICE):
            body = read_json(await taken.whole(most_bytes(path)) or b"")
            worker = worker_of_body(body)
        if worker is not None and worker in self._peers.others:
            await self._pass_on(worker, scope, taken, send, is_last=True)
            return
        if worker is None and path in self._paths.new_calls and not is_about_a_session(body):
            other = self._better(was_chosen)
            if other is not None and await self._pass_on(other, scope, taken, send, is_last=False):
                return
        await self._app(scope, taken.again, send)

    def whose(self, target: str, was_chosen: bool) -> int | None:
        """The other worker that a WebSocket for this target belongs to; None: it is this one's.
        `was_chosen`: by the front, for this handshake."""
        worker = worker_of_target(target)
        if worker is None:
            return self._better(was_chosen) if may_begin_a_call(target) else None
        return worker if worker in self._peers.others else None

    def _better(self, was_chosen: bool) -> int | None:
        """Who had better take a new call."""
        if was_chosen and self._host.has_room:
            # The front knows to whom it has given calls that nobody has reported yet.
            return None
        host, now_s = self._host, asyncio.get_running_loop().time()
        me, calls = self._peers.me, host.active_calls
        other = self._board.better(me, now_s, calls=calls, room=host.has_room)
        if other is not None:
            self._board.sent(other, now_s)
        return other

    async def _pass_on(
        self, worker: int, scope: Scope, taken: Taken, send: Send, *, is_last: bool
    ) -> bool:
        """Have another worker answer. What has failed is said where it `is_last`; otherwise False,
        and nothing was sent."""
        prefix = prefix_of(scope["path"])
        body = await taken.whole(most_bytes(scope["path"].removeprefix(prefix)))
        if body is None:
            # Too long, or it does not come: the application of this worker says so.
            await self._app(scope, taken.again, send)
            return True
        begun = False
        try:
            async with (
                asyncio.timeout(ASK_S),
                self._peers.ask(
                    worker, scope["method"], _target(scope), scope["headers"], body
                ) as answer,
            ):
                begun = True
                await _relay(answer, send)
        except (Absent, httpx.HTTPError, TimeoutError) as error:
            log.warning("worker %d did not answer another one: %s", worker, type(error).__name__)
            if begun:
                # The connection is closed before the end of the answer, which tells the client.
                return True
            if not is_last:
                return False
            about_call = prefix == "" and not scope["path"].startswith("/v1/")
            if about_call and isinstance(error, Absent):
                await refuse(send, 410, "session_error", OVER)
            else:
                await refuse(send, 503, "server_error", AWAY)
        return True

    # ---- for all of them -----------------------------------------------------------------------

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = await captured(self._app, scope, receive)
        if own.status == 200:
            others = self._peers.others
            asked = [self._peers.text(one, "/metrics", METRICS_S) for one in others]
            answers = zip(others, await asyncio.gather(*asked), strict=True)
            texts = {worker: text for worker, text in answers if text is not None}
            texts[self._peers.me] = own.body.decode()
            own.body = (merged(texts) + _starts(self._board)).encode()
        await own.give(send)

    async def _readiness(self, scope: Scope, receive: Receive, send: Send) -> None:
        own = await captured(self._app, scope, receive)
        ready, count = self._board.ready, self._board.count
        if own.status in (200, 503) and ready:
            own.status = 200
            own.body = f"ready: {ready} of {count} workers\n".encode()
            if ready == count:
                own.body = b"ready\n"
        await own.give(send)

    async def _tell_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Only one of them has the call, and the address does not say which."""
        taken = Taken(receive)
        body = await taken.whole(most_bytes(scope["path"]))
        own = await captured(self._app, scope, taken.again)
        await own.give(send)
        if own.status < 300 and body is not None:
            await asyncio.gather(*(self._tell(one, scope, body) for one in self._peers.others))

    async def _tell(self, worker: int, scope: Scope, body: bytes) -> None:
        try:
            async with (
                asyncio.timeout(STATUS_S),
                self._peers.ask(worker, scope["method"], _target(scope), scope["headers"], body),
            ):
                pass
        except (Absent, httpx.HTTPError, TimeoutError) as error:
            log.warning("worker %d was not told: %s", worker, type(error).__name__)


class Taken:
    """A request's body, which is looked at before the application has it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []
        self._whole: bytes | None = None

    async def whole(self, most: int) -> bytes | None:
        """All of it; None: it is longer, or does not come."""
        if self._whole is not None:
            return self._whole
        size = 0
        try:
            async with asyncio.timeout(BODY_S):
                while True:
                    message = await self._receive()
                    self._messages.append(message)
                    if message["type"] != "http.request":
                        return None
                    size += len(message.get("body", b""))
                    if size > most:
                        return None
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            return None
        self._whole = b"".join(message.get("body", b"") for message in self._messages)
        return self._whole

    async def again(self) -> Message:
        """The same once more, and then what follows: an application's `receive`."""
        return self._messages.pop(0) if self._messages else await self._receive()


@dataclass(slots=True)
class Answer:
    """What an application answered."""

    status: int = 500
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def give(self, send: Send) -> None:
        """Send it, with the length that it has now."""
        headers = [one for one in self.headers if one[0].lower() != b"content-length"]
        headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


async def captured(app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    """What the application answers, which is short."""
    answer = Answer()

    async def note(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.status, answer.headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")

    await app(scope, receive, note)
    return answer


async def _relay(answer: httpx.Response, send: Send) -> None:
    drop = {b"connection", b"transfer-encoding", b"keep-alive", b"date"}
    headers = [(name.lower(), value) for name, value in answer.headers.raw]
    headers = [one for one in headers if one[0] not in drop]
    await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
    async for chunk in answer.aiter_raw():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _target(scope: Scope) -> bytes:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path, query = raw.partition(b"?")[0], scope.get("query_string", b"")
    return path + b"?" + query if query else path


def _starts(board: Board) -> str:
    lines = [
        "# HELP antiphon_worker_starts_total How often the front started a worker.",
        "# TYPE antiphon_worker_starts_total counter",
    ]
    lines += [
        f'antiphon_worker_starts_total{{worker="{worker}"}} {float(starts)}'
        for worker, starts in enumerate(board.starts)
    ]
    return "\n".join(lines) + "\n"
