"""Which worker a request belongs to, by its address or its body. Pure.

/w2/...                                    the second of them says so itself: telephone companies
/v1/...                                    worker 0, which alone makes outbound calls
/api/voice/sessions/w2_call_1f...          the call's id is in the path
...?session=w2_call_1f...                  or in the query
{"session_id": ...}, {"resume": {...}}     or in the body of a request below /api/voice/
"""

from __future__ import annotations

import json
import re

MAX_WORKERS = 64
OUTBOUND_WORKER = 0
"""Who has the SIP endpoint, the outbound calls and the campaigns: there is one of each."""

_PREFIX = re.compile(r"/w(\d{1,2})(?=/)")
_SESSION = re.compile(r"w(\d{1,2})_call_[0-9a-f]{1,64}")
_IN_PATH = re.compile(rf"/(?:{_SESSION.pattern})(?=[/?]|$)")
_IN_QUERY = re.compile(rf"[?&]session(?:_id)?=(?:{_SESSION.pattern})(?=&|$)")
_NO_CALLS = re.compile(
    r"/(?:metrics|readyz|healthz|favicon\.ico|console/.*|v1/.*"
    r"|api/agents|api/voice/(?:ice-servers|leave|hangup))?(?:\?|$)"
)
_ID_KEYS = ("session_id", "session")


def path_prefix(worker: int) -> str:
    """What the paths that only this worker can answer begin with."""
    return f"/w{worker}"


def call_prefix(worker: int) -> str:
    """What the ids of this worker's calls begin with."""
    return f"w{worker}_"


def prefix_of(path: str) -> str:
    """The worker's prefix of a path, without the slash that follows; empty: it has none."""
    found = _PREFIX.match(path)
    return "" if found is None else found[0]


def head_target(head: bytes) -> str | None:
    """The target of a request (RFC 9112 section 3), from the first bytes of a connection.

    Returns:
        None: the line is not whole yet. Empty: that is no HTTP.
    """
    line, end, _ = head.lstrip(b"\r\n").partition(b"\n")
    if not end:
        return None
    parts = line.rstrip(b"\r").split(b" ")
    if len(parts) != 3 or not parts[2].startswith(b"HTTP/"):
        return ""
    target = parts[1].decode("latin-1")
    if not target.startswith("/"):
        # The absolute form, which proxies are asked with.
        _, _, rest = target.partition("://")
        target = "/" + rest.partition("/")[2]
    return target


def worker_of_target(target: str) -> int | None:
    """Whose a request is by its path and query, such as `/api/voice/offer?session=...`."""
    if prefix := prefix_of(target):
        return int(prefix[2:])
    if target.startswith("/v1/"):
        return OUTBOUND_WORKER
    found = _IN_PATH.search(target.partition("?")[0]) or _IN_QUERY.search(target)
    return None if found is None else int(found[1])


def may_begin_a_call(target: str) -> bool:
    """Whether a call may come of a request for this path and query: it is no page and no probe."""
    return _NO_CALLS.match(target) is None


def is_about_a_session(body: object) -> bool:
    """Whether a body is about a call that there is, and not about a new one."""
    return isinstance(body, dict) and body.get("resume") is not None


def worker_of_body(body: object) -> int | None:
    """Whose a request is by its body, read as JSON."""
    if not isinstance(body, dict):
        return None
    resume = body.get("resume")
    for place in (body, resume if isinstance(resume, dict) else {}):
        for key in _ID_KEYS:
            value = place.get(key)
            if isinstance(value, str) and (found := _SESSION.fullmatch(value)) is not None:
                return int(found[1])
    return None


def read_json(body: bytes) -> object:
    """A body as JSON; None where it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
