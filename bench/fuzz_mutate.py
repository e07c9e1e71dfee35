"""Broken messages from whole ones, by a seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

NUMBERS = (
    b"-1", b"0", b"1", b"65535", b"65536", b"4294967296", b"99999999999999999999", b"1e999", b"NaN",
)  # fmt: skip
TOKENS = (
    *NUMBERS,
    b"", b"\0", b"\r\n", b"\r\n\r\n", b"\n", b" ", b"\t", b",", b";", b'"', b"<", b">", b"=", b":",
    b"\xff", b"\xc3\x28", b"\xf0\x9f\x98\x80", b"\xd9\xa1", b"\xe2\x80\xa8", b"[::1]", b"[", b"]",
    b"sip:",
    b"tel:+1", b"a" * 300, b"branch=z9hG4bK", b";tag=", b"%00", b"%", b"\\", b"{", b"}", b"null",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**31, 2**63, 2**64, 1.5, float("inf"), "", " ", "\0", "ü", "\ud800",
    "9" * 400,
    "1e9", "x" * 2000, [], {}, [[]], {"": {}}, "//8=", "!!", "١",
)  # fmt: skip


def mutate(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One to four small damages."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        size = len(data)
        at = rng.randrange(size + 1)
        match rng.randrange(9):
            case 0 if size:
                at = rng.randrange(size)
                data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
            case 1:
                data = data[:at] + rng.randbytes(rng.choice((1, 1, 2, 8, 64))) + data[at:]
            case 2:
                data = data[:at] + data[at + rng.choice((1, 1, 2, 4, 20, 200)) :]
            case 3:
                data = data[:at] + rng.choice(TOKENS) + data[at:]
            case 4:
                data = data[:at]
            case 5:
                end = at + rng.randrange(60)
                data = data[:end] + data[at:end] * rng.choice((1, 1, 2, 30)) + data[end:]
            case 6:
                other = rng.choice(others)
                data = data[:at] + other[rng.randrange(len(other) + 1) :]
            case 7:
                lines = data.split(b"\r\n")
                rng.shuffle(lines)
                data = b"\r\n".join(lines)
            case _:
                data = _number(rng, data)
    return data[:70_000]


def _number(rng: random.Random, data: bytes) -> bytes:
    """Another number in the place of one that is there."""
    places = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if not places:
        return rng.randbytes(rng.randrange(40))
    begin = end = rng.choice(places)
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    return data[:begin] + rng.choice(NUMBERS) + data[end:]


def mutate_json(rng: random.Random, value: dict[str, Any]) -> str:
    """One or two values or names replaced, removed or added."""
    whole = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 2))):
        place = whole
        while True:
            inner = [one for one in place.values() if isinstance(one, dict) and one]
            if not inner or rng.random() < 0.4:
                break
            place = rng.choice(inner)
        if not place:
            break
        key = rng.choice(list(place))
        match rng.randrange(4):
            case 0:
                del place[key]
            case 1:
                place[rng.choice(("", "event", "media", "payload", key.upper()))] = place[key]
            case _:
                place[key] = copy.deepcopy(rng.choice(VALUES))
    return json.dumps(whole, ensure_ascii=rng.random() < 0.5)
