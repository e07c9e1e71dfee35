"""Keys of the telephone that come in an INFO (the `application/dtmf-relay` of many PBXs, and the
shorter `application/dtmf`). Pure."""

from __future__ import annotations

import re

KEYS = "0123456789*#"
_SIGNAL = re.compile(rb"^\s*Signal\s*=\s*([0-9]{1,2}|[*#])\s*$", re.IGNORECASE | re.MULTILINE)
_NUMBERED = {"10": "*", "11": "#"}


def keys_of_info(content_type: str, body: bytes) -> str | None:
    """The keys that were pressed: mostly one, none for an INFO without a body or with a key that
    telephones do not have; None for an INFO of another kind."""
    if content_type == "application/dtmf-relay":
        match = _SIGNAL.search(body[:1024])
        found = match[1].decode() if match else ""
    elif content_type == "application/dtmf":
        found = body[:8].decode("ascii", "replace").strip()
    else:
        return None if body else ""
    found = _NUMBERED.get(found, found)
    return found if len(found) == 1 and found in KEYS else ""
