"""A real coturn on free ports of this machine."""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_ports

from antiphon.channels.webrtc.turn import time_limited
from antiphon.providers.secret import Secret

TURNSERVER = "turnserver"
REALM = "turn.example.com"
RELAY_PORTS = 40


@dataclass(frozen=True, slots=True)
class TurnServer:
    """Where it is, and what it shares with whoever makes credentials for it."""

    host: str
    port: int
    secret: str
    log: Path

    @property
    def url(self) -> str:
        return f"turn:{self.host}:{self.port}?transport=udp"

    def credential(self, expires_s: float | None = None) -> tuple[str, str]:
        """A name and a password that this server takes for ten minutes, or until `expires_s`."""
        until = time.time() + 600 if expires_s is None else expires_s
        made = time_limited(Secret(self.secret), "test", int(until))
        return made.username, made.password

    @property
    def tcp_url(self) -> str:
        return f"turn:{self.host}:{self.port}?transport=tcp"


def own_address() -> str:
    """This machine's address on its network, without which there are no calls to relay."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: it is only asked which address it would be sent from.
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


@asynccontextmanager
async def coturn(folder: Path, secret: str = "north wind") -> AsyncIterator[TurnServer]:
    """A server that takes time-limited credentials, in a folder of its own."""
    assert shutil.which(TURNSERVER), "install Debian's package coturn (make setup-test does)"
    host = own_address()
    relays = free_ports(host, count=RELAY_PORTS + 2)
    port = relays + RELAY_PORTS + 1
    log = folder / "turn.log"
    config = folder / "turnserver.conf"
    config.write_text(
        f"""listening-ip={host}
relay-ip={host}
listening-port={port}
min-port={relays}
max-port={relays + RELAY_PORTS}
realm={REALM}
fingerprint
use-auth-secret
static-auth-secret={secret}
no-tls
no-dtls
no-cli
no-multicast-peers
denied-peer-ip=0.0.0.0-255.255.255.255
allowed-peer-ip={host}
userdb={folder / "turndb"}
pidfile={folder / "turn.pid"}
log-file={log}
simple-log
verbose
"""
    )
    process = await asyncio.create_subprocess_exec(
        TURNSERVER, "-c", str(config), cwd=folder,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _listening(host, port)
        yield TurnServer(host, port, secret, log)
    finally:
        process.terminate()
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _listening(host: str, port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
