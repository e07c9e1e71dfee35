"""Tokens that admit a media stream: signed, short-lived, and good for one connection.

A telephone company drops the query of a stream's address, so the token travels as a parameter of
the stream, whose name and value may have 500 characters together (Twilio, `<Parameter>`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field, replace

from antiphon.channels.base import CallFacts
from antiphon.channels.phone.vendor import Forged

MAX_TOKEN_CHARS = 480
MAX_REMEMBERED = 50_000
"""Used tokens, and variables that are too long for a token; beyond that the oldest are forgotten.
A token lives a minute or two, so that it takes hundreds of calls a second to come there."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What a token stands for."""

    agent: str = ""
    """Empty: the first agent."""
    facts: CallFacts = field(default_factory=CallFacts)
    resume: str = ""
    """The call that goes on with this stream; empty: a new one begins."""


class Tokens:
    """Issues tokens and takes each of them once.

    With the same secret another process takes them too; which were used, and variables that do not
    fit into a token, only this one knows.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or secrets.token_bytes(32)
        self._used: OrderedDict[str, float] = OrderedDict()
        self._long: OrderedDict[str, dict[str, str]] = OrderedDict()

    def issue(
        self, admission: Admission, ttl_s: float, now_s: float, longest: int = MAX_TOKEN_CHARS
    ) -> str:
        """A token of letters, digits, `-`, `_` and `.`; `now_s` is Unix time. One that would be
        longer than `longest` leaves the variables here."""
        nonce = secrets.token_urlsafe(9)
        token = self._write(admission, nonce, now_s + ttl_s)
        if len(token) <= longest:
            return token
        self._long[nonce] = dict(admission.facts.variables)
        while len(self._long) > MAX_REMEMBERED:
            self._long.popitem(last=False)
        short = replace(admission, facts=replace(admission.facts, variables={}))
        return self._write(short, nonce, now_s + ttl_s)

    def admit(self, token: str, now_s: float) -> Admission:
        """What the token stands for, once.

        Raises:
            Forged: there is none, we did not sign it, its time is over, or it was used.
        """
        if not token:
            raise Forged("unsigned", "a stream without a token")
        payload, _, signature = token.partition(".")
        if len(token) > 4 * MAX_TOKEN_CHARS or not hmac.compare_digest(
            self._sign(payload).encode(), signature.encode("utf-8", "replace")
        ):
            raise Forged("forged", "a stream with a token that is not ours")
        expires_s, nonce, agent, line, resume, variables = _read(payload)
        if now_s > expires_s:
            raise Forged("stale", "a stream with a token whose time is over")
        self._forget(now_s)
        if nonce in self._used:
            raise Forged("replayed", "a stream with a token that was used")
        self._used[nonce] = expires_s
        direction, caller, called, line_call_id = line
        facts = CallFacts(
            "outbound" if direction == "o" else "inbound",
            *(caller, called, line_call_id),
            variables=self._long.pop(nonce, variables),
        )
        return Admission(agent, facts, resume)

    def _write(self, admission: Admission, nonce: str, expires_s: float) -> str:
        facts = admission.facts
        line = [facts.direction[0], facts.caller, facts.called, facts.line_call_id]
        value = [
            *(round(expires_s, 1), nonce, admission.agent, line, admission.resume),
            dict(facts.variables),
        ]
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        payload = base64.urlsafe_b64encode(text).decode().rstrip("=")
        return f"{payload}.{self._sign(payload)}"

    def _sign(self, payload: str) -> str:
        digest = hmac.digest(self._secret, payload.encode("utf-8", "replace"), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _forget(self, now_s: float) -> None:
        while self._used:
            nonce, expires_s = next(iter(self._used.items()))
            if expires_s >= now_s and len(self._used) < MAX_REMEMBERED:
                return
            del self._used[nonce]


def _read(payload: str) -> tuple[float, str, str, list[str], str, dict[str, str]]:
    try:
        text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        expires_s, nonce, agent, line, resume, variables = json.loads(text)
    except (binascii.Error, ValueError):
        # Signed by us, and yet not written by us: another version of this server.
        raise Forged("forged", "a stream with a token of another kind") from None
    return expires_s, nonce, agent, line, resume, variables
