"""What every process that serves does: it opens its port, and stops when it is asked to."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Iterator

from antiphon.errors import UserFacingError
from antiphon.server.settings import ServerSettings


class Stop:
    """Somebody wants the server to stop: when its calls are over, or, asked again, at once."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.at_once = asyncio.Event()
        self._asks = 0

    def ask(self) -> None:
        """A signal came. One that comes beside an order asks for the same."""
        self._asks += 1
        self.order(self._asks)

    def order(self, level: int) -> None:
        """1: when the calls are over; 2: at once. What was ordered stays so."""
        self.asked.set()
        if level >= 2:
            self.at_once.set()


@contextlib.contextmanager
def stop_signals(stop: Stop) -> Iterator[None]:
    """SIGTERM and SIGINT ask for the end."""
    loop = asyncio.get_running_loop()
    wanted = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in wanted}
    try:
        for number in wanted:
            loop.add_signal_handler(number, stop.ask)
    except NotImplementedError:
        # Windows: the handler runs between two steps of the loop, which it has to wake up.
        for number in wanted:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.ask))
    try:
        yield
    finally:
        for number in wanted:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, before[number] or signal.SIG_DFL)


def listen(settings: ServerSettings) -> socket.socket:
    """The socket, opened before anything expensive is loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        raise UserFacingError(f"There is no address {settings.host!r} on this machine.") from None
    listener = socket.socket(family, kind, protocol)
    # Otherwise a port is blocked for a minute after each restart (RFC 9293 section 3.6.1).
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise UserFacingError(_why_not(error, settings)) from None
    listener.setblocking(False)
    return listener


def _why_not(error: OSError, settings: ServerSettings) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {settings.port} is taken by another program. "
            f"Stop it, or choose another: antiphon serve --port {settings.port + 1}"
        )
    if error.errno == errno.EACCES:
        return f"Port {settings.port} needs root; choose one above 1023: antiphon serve --port 8080"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{settings.host} is not an address of this machine; try --host 127.0.0.1"
    return f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}."
