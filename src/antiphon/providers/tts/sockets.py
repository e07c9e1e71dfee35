"""A pool of open WebSockets to one vendor, shared by all responses of an agent.

A response is given a lane: a place on a socket whose messages are told apart from those of others
by a name, or the whole socket where the vendor has no such names. Sockets are opened before they
are needed, and again in the background when they are lost. A lane that is given up before its end
is cancelled at the vendor and keeps its place until the vendor says that it is over: what still
arrives for it is dropped.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

from websockets.exceptions import ConnectionClosed

from antiphon.errors import ProviderError
from antiphon.net.ws import Socket, closed_error, connect

_log = logging.getLogger("antiphon.tts")

MAX_SOCKETS = 64
MAX_INBOX_BYTES = 32 * 1024 * 1024
"""More than this unread in one lane is a fault, here or there."""
END_S = 10.0
"""A cancelled lane whose end the vendor does not confirm makes its socket suspect."""
PROBE_AFTER_S, PROBE_S = 2.0, 0.6
"""A socket that was silent is pinged when it is used; no answer in this time: it is dead."""
LASTS_S = 10.0
_BACKOFF_S = (0.5, 30.0)

Message = dict[str, Any] | bytes


class Wire:
    """How one vendor's sockets behave; a vendor's own differs from this."""

    provider = ""
    lanes = 1
    """At a time on one socket."""
    confirms = False
    """Whether a message tells that a cancelled lane is over."""

    def __init__(self, url: str, within_ms: int) -> None:
        self.url, self.within_ms = url, within_ms
        self.headers: dict[str, str] = {}

    async def open(self) -> Socket:
        """Connect; raises ProviderError."""
        return await connect(
            self.url, self.provider, headers=self.headers, within_ms=self.within_ms
        )

    def address(self, message: Message) -> str | None:
        """The lane that a message is for; None: all of the socket."""
        return None

    def ends(self, message: Message) -> bool:
        """Whether the vendor is done with a cancelled lane after this message."""
        return False

    def cancel(self, lane: str) -> list[dict[str, Any]] | None:
        """What to send when nobody listens any more; None: the socket is to be closed."""
        return None

    def usable(self, spent: deque[float]) -> bool:
        """Whether another lane may begin, by the moments noted with `Lane.spend`."""
        return True


class Lane:
    """One response's place on a socket."""

    def __init__(self, link: _Link) -> None:
        self.name = secrets.token_hex(8)
        self.size = 0
        self.ending = False  # the vendor has been told that no more comes, and will end it
        self._link, self._inbox = link, deque[tuple[int, Message | ProviderError | None]]()
        self._news = asyncio.Event()

    async def send(self, *messages: dict[str, Any], within_ms: int) -> None:
        """Send, in this order. What cannot be sent is a loss, which `receive` tells."""
        await self._link.send(messages, within_ms)

    async def receive(self, until: float | None) -> Message | None:
        """The next message; None after `wake`, and when the loop's clock has passed `until`.

        Raises:
            ProviderError: the socket is lost.
        """
        try:
            async with asyncio.timeout_at(until):
                while not self._inbox:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return None
        size, item = self._inbox.popleft()
        self.size -= size
        if isinstance(item, ProviderError):
            raise item
        return item

    def wake(self) -> None:
        """Let `receive` return."""
        self.put(0, None)

    def spend(self) -> None:
        """Note that something was used of which a socket has only so much a minute."""
        self._link.spent.append(asyncio.get_running_loop().time())

    @property
    def lost(self) -> bool:
        """Whether the socket is gone, or will be."""
        return self._link.retired

    @property
    def usable(self) -> bool:
        """Whether the socket may take another lane."""
        return self._link.usable

    def suspect(self) -> None:
        """It has not answered: the socket gets no new lanes."""
        self._link.retire()

    def put(self, size: int, item: Message | ProviderError | None) -> None:
        self._inbox.append((size, item))
        self.size += size
        self._news.set()


class _Link:
    """One socket and who is on it."""

    def __init__(self, wire: Wire, socket: Socket, lost: Callable[[_Link], None]) -> None:
        self._wire, self._socket, self._lost = wire, socket, lost
        self.lanes: dict[str, Lane | None] = {}  # None: cancelled, not over yet
        self.spent: deque[float] = deque(maxlen=256)
        self.retired = False
        loop = asyncio.get_running_loop()
        self.opened_at = self._heard_at = loop.time()
        self.task = asyncio.create_task(self._read(), name=f"tts-{wire.provider}")
        self.task.add_done_callback(self._on_done)

    @property
    def usable(self) -> bool:
        return not self.retired and self._wire.usable(self.spent)

    @property
    def free(self) -> bool:
        return self.usable and len(self.lanes) < self._wire.lanes

    def take(self) -> Lane:
        lane = Lane(self)
        self.lanes[lane.name] = lane
        return lane

    async def send(self, messages: tuple[dict[str, Any], ...], within_ms: int) -> None:
        try:
            async with asyncio.timeout(within_ms / 1000):
                for message in messages:
                    await self._socket.send(json.dumps(message))
        except TimeoutError:
            self._fail(f"nothing could be sent for {within_ms / 1000:g} s")
        except (ConnectionClosed, OSError):
            # The reader has seen it, too, and knows the closing code.
            return

    async def probe(self) -> None:
        """Find out soon whether anybody is there, when nothing has been heard for a while."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        if asked - self._heard_at < PROBE_AFTER_S:
            return
        try:
            async with asyncio.timeout(PROBE_S):
                pong = cast("asyncio.Future[float]", await self._socket.ping())
        except TimeoutError:
            self._fail("the connection is dead")
        except (ConnectionClosed, OSError):
            return
        else:
            loop.call_later(PROBE_S, self._judge, pong, asked)

    def _judge(self, pong: asyncio.Future[float], asked: float) -> None:
        if not pong.done() and self._heard_at < asked:
            self._fail("the connection is dead")

    async def leave(self, lane: Lane, *, over: bool) -> None:
        """`over`: the vendor has nothing more for it."""
        if self.lanes.get(lane.name) is not lane:
            return
        cancel = [] if over or lane.ending else self._wire.cancel(lane.name)
        if not over and cancel is not None and self._wire.confirms:
            self.lanes[lane.name] = None
            asyncio.get_running_loop().call_later(END_S, self._overdue, lane.name)
        else:
            del self.lanes[lane.name]
        used_up = not self.lanes and not self.usable
        self.retired = self.retired or used_up or (not over and cancel is None)
        if cancel:
            await self.send(tuple(cancel), 500)
        self._close_unused()

    def retire(self) -> None:
        """No new lanes; it is closed when the last one is left."""
        self.retired = True
        self._close_unused()

    def _close_unused(self) -> None:
        if self.retired and all(lane is None for lane in self.lanes.values()):
            self.task.cancel()

    def _overdue(self, name: str) -> None:
        if name in self.lanes:
            self.retire()

    def _fail(self, message: str) -> None:
        self._tell(self._broken(message))
        self.retired = True
        self.task.cancel()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        # A task that is cancelled before it has begun tells nobody and closes nothing.
        self.retired = True
        self._tell(self._broken("closed"))
        self._lost(self)
        self._socket.transport.abort()

    def _tell(self, error: ProviderError) -> None:
        for lane in self.lanes.values():
            if lane is not None:
                lane.put(0, error)

    async def _read(self) -> None:
        try:
            while True:
                self._dispatch(await self._socket.recv())
        except ConnectionClosed as closed:
            self._tell(closed_error(self._wire.provider, closed))
        except OSError as error:
            self._tell(self._broken(str(error)))
        except ProviderError as error:
            self._tell(error)
        except asyncio.CancelledError:
            self._tell(self._broken("closed"))
            raise
        finally:
            self.retired = True
            self._lost(self)
            await self._socket.close()

    def _dispatch(self, raw: str | bytes) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        message: Message
        if isinstance(raw, bytes):
            message = raw
        else:
            try:
                parsed = json.loads(raw)
            except (ValueError, RecursionError):
                raise self._broken("what arrives is not JSON") from None
            if not isinstance(parsed, dict):
                return
            message = parsed
        name = self._wire.address(message)
        for one, lane in list(self.lanes.items()):
            if name is None or one == name:
                if lane is None:
                    if self._wire.ends(message):
                        del self.lanes[one]
                elif lane.size + len(raw) <= MAX_INBOX_BYTES:
                    lane.put(len(raw), message)
                else:
                    lane.put(0, self._broken("more sound than anybody takes"))

    def _broken(self, message: str) -> ProviderError:
        text = f"the connection broke: {message}" if message else "the connection broke"
        return ProviderError(text, provider=self._wire.provider, retryable=True)


class Sockets:
    """The pool. `start` and `aclose` may be repeated.

    Args:
        warm: how many sockets with a free place are kept open.
    """

    def __init__(self, wire: Wire, *, warm: int = 1) -> None:
        self._wire, self._warm = wire, warm
        self._links: list[_Link] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._missing = asyncio.Event()
        self._delay_s = 0.0
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        """Open the first socket. A vendor who is not there yet is a warning, and tried again."""
        await self.aclose()
        self._delay_s = 0.0
        self._missing = asyncio.Event()
        try:
            await self._open()
        except ProviderError as error:
            self._warn(error)
            self._slower()
        self._missing.set()
        self._keeper = asyncio.create_task(self._keep(), name=f"tts-{self._wire.provider}-pool")

    async def aclose(self) -> None:
        keeper, self._keeper = self._keeper, None
        tasks = [*self._tasks, *([keeper] if keeper else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._links.clear()

    async def lane(self) -> Lane:
        """A place on an open socket, or on a new one.

        Raises:
            ProviderError: not started, no connection, or too many of them.
        """
        if self._keeper is None:
            raise ProviderError("not started", provider=self._wire.provider, retryable=False)
        # Where several share a socket, those who come at once wait for one, not for one each.
        async with self._opening if self._wire.lanes > 1 else nullcontext():
            link = next((one for one in self._links if one.free), None)
            if link is None:
                link = await self._open()
            lane = link.take()
        self._missing.set()
        await link.probe()
        return lane

    async def leave(self, lane: Lane, *, over: bool) -> None:
        """Give a lane back; one that is not `over` is cancelled at the vendor."""
        await lane._link.leave(lane, over=over)

    async def _open(self) -> _Link:
        if len(self._links) >= MAX_SOCKETS:
            message = f"{MAX_SOCKETS} connections are in use"
            raise ProviderError(message, provider=self._wire.provider, retryable=True)
        socket = await self._wire.open()
        link = _Link(self._wire, socket, self._on_lost)
        self._links.append(link)
        self._tasks.add(link.task)
        link.task.add_done_callback(self._tasks.discard)
        return link

    def _on_lost(self, link: _Link) -> None:
        if link not in self._links:
            return
        self._links.remove(link)
        lasted_s = asyncio.get_running_loop().time() - link.opened_at
        if lasted_s < LASTS_S and not link.spent:
            self._slower()
        self._missing.set()

    def _slower(self) -> None:
        first, longest = _BACKOFF_S
        self._delay_s = min(longest, max(first, self._delay_s * 2))

    async def _keep(self) -> None:
        """Have as many free sockets as were asked for, without storming a vendor who is down."""
        while True:
            await self._missing.wait()
            self._missing.clear()
            while sum(link.free for link in self._links) < self._warm:
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                try:
                    await self._open()
                except ProviderError as error:
                    self._slower()
                    if not error.retryable:
                        # A wrong key stays wrong: the next response asks again, and tells.
                        self._warn(error)
                        break
                else:
                    self._delay_s = 0.0

    def _warn(self, error: ProviderError) -> None:
        extra = {"provider": self._wire.provider, "error": str(error)}
        _log.warning("tts not ready", extra=extra)
