"""How the server is reached and how much it takes."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from antiphon.channels.webrtc.config import RtcConfig


class ServerSettings(BaseModel):
    """Settings of the HTTP server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    """Address to listen on. Only this machine by default: whoever reaches the port can talk to the
    agent, and its tools."""
    port: int = 8080
    allowed_origins: tuple[str, ...] = ()
    """Pages of other origins that may call, such as `https://shop.example`. The server's own page
    always may."""
    public_url: str = ""
    """How telephone companies reach the server, through a proxy or a tunnel. By that name even a
    server that only this machine can reach answers, and only under `public_paths`."""
    public_paths: tuple[str, ...] = ()
    """Beginnings of the paths that are open by the public name, such as `/twilio/`."""
    drain_s: float = 20.0
    """How long calls may go on after the server was asked to stop."""
    rtc: RtcConfig = RtcConfig()
    """How callers by browser find their way here."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def public_name(self) -> str:
        """The host of `public_url`, in lower case; empty when there is none."""
        return (urlsplit(self.public_url).hostname or "").lower()

    @property
    def url(self) -> str:
        """Where a person opens the page."""
        host = "localhost" if self.is_local or self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
