"""The recogniser processes, as the event loop sees them: one non-blocking socket each, no tasks.

A process that dies, or leaves a final unanswered, is replaced at once and its streams say their
utterances again from their own buffers. Only a process that keeps dying makes its streams fail.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from antiphon.errors import ProviderError

log = logging.getLogger(__name__)

MAX_OUTBOX_BYTES = 8 << 20
"""About 4 minutes of speech of one caller: a process this far behind is stuck."""
ANSWER_WITHIN_S = 5.0
"""A final takes 0.1 s. A process that has not answered by then is stuck, and is replaced."""
FAILURES, FAILURES_WITHIN_S = 3, 20.0
"""This many deaths within this time, and the streams are told that it is no use."""
START_WITHIN_S = 30.0


class Listener(Protocol):
    """A stream, as its process needs it."""

    def on_event(self, event: dict[str, Any]) -> None: ...
    def replay(self) -> bytes:
        """What a new process must be told to take the utterance over."""
        ...

    def fail(self, error: ProviderError) -> None: ...


class Process:
    """One recogniser process, restarted when it dies."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._arguments = json.dumps(options)
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._inbox = bytearray()
        self._outbox = bytearray()
        self._deaths: deque[float] = deque(maxlen=FAILURES)
        self._waiting: dict[int, asyncio.TimerHandle] = {}
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self.streams: dict[int, Listener] = {}
        self._spawn()

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "antiphon.providers.stt._pocketsphinx_worker"),
                    *(str(theirs.fileno()), self._arguments),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._socket = ours
        self._inbox.clear()
        self._outbox.clear()
        self._loop.add_reader(ours.fileno(), self._read)

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def wait_ready(self) -> None:
        """Until it has loaded its model. Raises ProviderError."""
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), START_WITHIN_S)
        except TimeoutError:
            raise ProviderError(
                "a recogniser process did not start", provider="pocketsphinx", retryable=True
            ) from None

    # ---- to the process --------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send without waiting. Raises ProviderError when the process is gone for good."""
        if self._socket is None:
            raise ProviderError(
                "the recogniser process keeps failing", provider="pocketsphinx", retryable=True
            )
        if not self._outbox:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # It died; the reader sees that too, and replays what we keep.
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.add_writer(self._socket.fileno(), self._write)
        self._outbox += data
        if len(self._outbox) > MAX_OUTBOX_BYTES:
            self._kill("does not read")

    def _write(self) -> None:
        if self._socket is None:
            return
        try:
            sent = self._socket.send(self._outbox)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._outbox)
        del self._outbox[:sent]
        if not self._outbox:
            self._loop.remove_writer(self._socket.fileno())

    def expect_answer(self, stream: int) -> None:
        """A final was asked for; one timer per stream, from the oldest unanswered one."""
        if stream not in self._waiting:
            self._waiting[stream] = self._loop.call_later(
                ANSWER_WITHIN_S, self._kill, "does not answer"
            )

    def forget_answer(self, stream: int) -> None:
        if timer := self._waiting.pop(stream, None):
            timer.cancel()

    def _kill(self, why: str) -> None:
        log.warning("recogniser process replaced: %s", why)
        if self._process is not None:
            self._process.kill()

    # ---- from the process ------------------------------------------------------------------

    def _read(self) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._on_death()
            return
        self._inbox += data
        *lines, rest = self._inbox.split(b"\n")
        self._inbox = rest
        for line in lines:
            self._on_event(json.loads(line))

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["type"] == "ready":
            if not self._ready.done():
                self._ready.set_result(None)
            return
        if listener := self.streams.get(event["stream"]):
            listener.on_event(event)

    def _on_death(self) -> None:
        self._disconnect()
        now = self._loop.time()
        self._deaths.append(now)
        if len(self._deaths) == FAILURES and now - self._deaths[0] < FAILURES_WITHIN_S:
            self._give_up()
            return
        log.warning("a recogniser process died and is started again")
        self._spawn()
        for listener in self.streams.values():
            self.send(listener.replay())

    def _give_up(self) -> None:
        error = ProviderError(
            "the recogniser process keeps failing", provider="pocketsphinx", retryable=True
        )
        if not self._ready.done():
            self._ready.set_exception(error)
        for listener in list(self.streams.values()):
            listener.fail(error)

    def revive(self) -> None:
        """Start again after giving up: a new call deserves a new attempt."""
        if self._socket is None:
            self._deaths.clear()
            self._spawn()

    def _disconnect(self) -> None:
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None
        if self._process is not None:
            # Its socket is closed, so it is dead or dying; it must not stay as a zombie.
            self._process.kill()
            self._process.wait()
            self._process = None

    async def aclose(self) -> None:
        """End the process."""
        self._disconnect()
        if self._ready.done() and not self._ready.cancelled():
            self._ready.exception()
        self._ready.cancel()


async def start_processes(
    count: int, options: dict[str, Any], made: Callable[[Process], None]
) -> None:
    """Start several at once, and wait until all are ready."""
    processes = [Process(options) for _ in range(count)]
    for process in processes:
        made(process)
    for process in processes:
        await process.wait_ready()
