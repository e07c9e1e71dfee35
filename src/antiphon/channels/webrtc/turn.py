"""What the page is told about STUN and TURN servers. Pure but for the secrets given to it.

Names and passwords for a while are those of draft-uberti-behave-turn-rest-00, which coturn
(`use-auth-secret`) and most TURN services understand: the name is `expiry:anything`, the password
base64(HMAC-SHA1(secret, name)).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from antiphon.channels.webrtc.config import RtcConfig
from antiphon.providers.secret import Secret

FOREVER_S = 3600
"""`ttl_s` of an answer that holds nothing that expires."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A TURN server's name and password for one caller."""

    username: str
    password: str


def time_limited(secret: Secret, name: str, expires_s: int) -> Credential:
    """A credential that works until `expires_s`, in seconds since 1970.

    Args:
        name: tells callers apart in the TURN server's log and quotas; no personal data.
    """
    username = f"{expires_s}:{name}"
    digest = hmac.new(secret.value.encode(), username.encode(), hashlib.sha1).digest()
    return Credential(username, base64.b64encode(digest).decode())


def ice_servers(config: RtcConfig, name: str, now_s: float) -> dict[str, Any]:
    """The page's `RTCConfiguration` (W3C WebRTC section 4.2), and for how long it is good.

    Args:
        name: of this caller, for the TURN server.
        now_s: seconds since 1970.
    """
    servers: list[dict[str, Any]] = []
    for server in config.ice_servers:
        told: dict[str, Any] = {"urls": list(server.urls)}
        if server.username and server.credential is not None:
            told |= {"username": server.username, "credential": server.credential.value}
        servers.append(told)
    if config.turn is not None:
        credential = time_limited(config.turn.secret, name, int(now_s) + config.turn.ttl_s)
        servers.append(
            {
                "urls": list(config.turn.urls),
                "username": credential.username,
                "credential": credential.password,
            }
        )
    return {
        "iceServers": servers,
        "iceTransportPolicy": "relay" if config.relay_only else "all",
        "ttl_s": FOREVER_S if config.turn is None else config.turn.ttl_s,
    }
