"""Passwords without sending them: digest authentication (RFC 7616; RFC 2617 for those who know MD5
only; RFC 8760 for SIP). Pure: the time and random numbers come in."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

ALGORITHMS = {"md5": hashlib.md5, "sha-256": hashlib.sha256}
NONCE_LIFE_S = 300
MAX_NONCES = 4_096
Verdict = Literal["ok", "stale", "wrong"]
_PAIR = re.compile(r'\s*([A-Za-z0-9_\-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|$)')


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whom we say we are."""

    user: str
    password: str


def parse_params(value: str) -> dict[str, str] | None:
    """The parameters of a `Digest ...` header, names in lower case; None for another scheme, or
    what cannot be read."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest" or len(value) > 4096:
        return None
    found: dict[str, str] = {}
    at = 0
    while at < len(rest):
        match = _PAIR.match(rest, at)
        if match is None:
            return None
        quoted = match[2]
        found[match[1].lower()] = (
            re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else match[3] or ""
        )
        at = match.end()
    return found


def compute(
    params: Mapping[str, str], method: str, uri: str, user: str, password: str
) -> str | None:
    """The response to a challenge; None for an algorithm that is not known.

    Args:
        params: `realm`, `nonce`, `algorithm`, and with `qop` also `nc` and `cnonce`.
    """
    make = ALGORITHMS.get(params.get("algorithm", "MD5").lower())
    if make is None:
        return None

    def digest(text: str) -> str:
        return make(text.encode("utf-8", "surrogateescape")).hexdigest()

    secret = digest(f"{user}:{params.get('realm', '')}:{password}")
    what = digest(f"{method}:{uri}")
    nonce = params.get("nonce", "")
    if params.get("qop"):
        nonce = f"{nonce}:{params.get('nc', '')}:{params.get('cnonce', '')}:{params['qop']}"
    return digest(f"{secret}:{nonce}:{what}")


# ---- as a client ---------------------------------------------------------------------------


def answer(
    challenges: Sequence[str],
    method: str,
    uri: str,
    credentials: Credentials,
    cnonce: str,
    count: int = 1,
) -> str | None:
    """The value of `Authorization` for the first challenge that we know, or None. The order is the
    server's: it puts what it likes best first (RFC 8760 section 2.4)."""
    for challenge in challenges:
        params = parse_params(challenge)
        if params is None or not params.get("nonce"):
            continue
        offered = {word.strip().lower() for word in params.get("qop", "").split(",")}
        kept = ("realm", "nonce", "opaque", "algorithm")
        used: dict[str, str] = {key: params[key] for key in kept if key in params}
        if "auth" in offered:
            used |= {"qop": "auth", "nc": f"{count:08x}", "cnonce": cnonce}
        elif offered - {""}:
            continue
        response = compute(used, method, uri, credentials.user, credentials.password)
        if response is None:
            continue
        used |= {"username": credentials.user, "uri": uri, "response": response}
        return "Digest " + ", ".join(_pair(key, value) for key, value in used.items())
    return None


def _pair(key: str, value: str) -> str:
    if key in ("algorithm", "qop", "nc"):
        return f"{key}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{key}="{escaped}"'


# ---- as a server ---------------------------------------------------------------------------


class Doorkeeper:
    """Challenges, and judges what comes back. A nonce is its own proof and expires; only those that
    were used with a right password are remembered, the last `MAX_NONCES` of them, so that nobody
    can send the same request twice.

    Args:
        realm: what the challenge names.
        passwords: by user.
        secret: signs the nonces; at least 16 random bytes.
        algorithms: what is offered, best first; nothing else is taken.
    """

    def __init__(
        self,
        realm: str,
        passwords: Mapping[str, str],
        secret: bytes,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
    ) -> None:
        self._realm, self._passwords, self._secret = realm, passwords, secret
        self._algorithms = algorithms
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._made = 0

    def challenges(self, now_s: float, *, stale: bool = False) -> list[str]:
        """The values of `WWW-Authenticate`."""
        # Two who are challenged in the same second must not share a nonce and its count.
        self._made += 1
        nonce = self._nonce(f"{int(now_s):x}-{self._made:x}")
        again = ", stale=true" if stale else ""
        return [
            f'Digest realm="{self._realm}", nonce="{nonce}", qop="auth", algorithm={name}{again}'
            for name in self._algorithms
        ]

    def judge(self, values: Iterable[str], method: str, now_s: float) -> tuple[Verdict, str]:
        """What `Authorization` proves, and of whom. `stale`: the password is right, but the nonce
        too old or used."""
        for value in values:
            params = parse_params(value)
            if params is None or params.get("realm") != self._realm:
                continue
            user = params.get("username", "")
            # Somebody who is not known costs as much time as somebody who is.
            password = self._passwords.get(user, "")
            if params.get("qop", "").lower() != "auth" or not params.get("cnonce"):
                return "wrong", ""
            if params.get("algorithm", "MD5").upper() not in self._algorithms:
                return "wrong", ""
            expected = compute(params, method, params.get("uri", ""), user, password)
            given = params.get("response", "").lower()
            right = expected is not None and hmac.compare_digest(
                expected.encode(), given.encode("utf-8", "surrogateescape")
            )
            if not right or user not in self._passwords:
                return "wrong", ""
            return ("ok" if self._fresh(params, now_s) else "stale"), user
        return "wrong", ""

    def _fresh(self, params: Mapping[str, str], now_s: float) -> bool:
        nonce = params.get("nonce", "")
        made, _, _ = nonce.rpartition("-")
        try:
            at, count = int(made.partition("-")[0][:16], 16), int(params.get("nc", "")[:8], 16)
        except ValueError:
            return False
        given = nonce.encode("utf-8", "surrogateescape")
        expected = self._nonce(made).encode("utf-8", "surrogateescape")
        genuine = hmac.compare_digest(expected, given)
        if not genuine or not -1 <= now_s - at <= NONCE_LIFE_S:
            return False
        used = self._counts.get(nonce, 0)
        if count <= used:
            return False
        self._counts[nonce] = count
        self._counts.move_to_end(nonce)
        while len(self._counts) > MAX_NONCES:
            self._counts.popitem(last=False)
        return True

    def _nonce(self, made: str) -> str:
        text = f"{made}:{self._realm}".encode("utf-8", "surrogateescape")
        return f"{made}-{hmac.new(self._secret, text, hashlib.sha256).hexdigest()[:32]}"
