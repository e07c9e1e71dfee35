"""Messages of a line, broken in ways that a seed decides."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

from antiphon.channels.phone.vendor import BadMessage, Dialect

_VALUES: tuple[Any, ...] = (
    *("", "null", "\ud800", "[", "{}", "-1", "1e999", "99999999999999999999", "\x00", "\u0661"),
    *('"', "\\", "A", "media", "start", "====", "&#x0;", "true"),
)
_CHARS = '{}[]":,\\0129-.eE+abtrufnls \n\t\x00\u00e9\U0001f600'


def broken(examples: Sequence[str | bytes], seed: int, number: int) -> Iterator[str | bytes]:
    """So many messages: examples with characters changed, cut out, doubled, nested and mixed."""
    dice = random.Random(seed)
    for _ in range(number):
        message = dice.choice(examples)
        if isinstance(message, bytes):
            size = dice.choice((0, 1, len(message), len(message) + 1, dice.randrange(4000)))
            yield dice.randbytes(size)
            continue
        yield _changed(dice, message, examples)


def _changed(dice: random.Random, message: str, examples: Sequence[str | bytes]) -> str | bytes:
    for _ in range(dice.randrange(1, 5)):
        at, upto = sorted((dice.randrange(len(message) + 1), dice.randrange(len(message) + 1)))
        match dice.randrange(8):
            case 0:
                message = message[:at] + dice.choice(_CHARS) + message[at:]
            case 1:
                message = message[:at] + message[upto:]
            case 2:
                message = message[:upto] + message[at:]
            case 3:
                message = message[:at] + str(dice.choice(_VALUES)) + message[upto:]
            case 4:
                message = message.replace('"', "", 1) if dice.random() < 0.5 else f"[{message}]"
            case 5:
                other = dice.choice(examples)
                message = message[:at] + (other[at:] if isinstance(other, str) else "")
            case 6:
                message = message.replace(":", ":" + "[" * dice.choice((1, 2000, 60_000)), 1)
            case _:
                return message.encode("utf-8", "replace")
    return message


def read_all(dialect: Dialect, messages: Iterator[str | bytes]) -> tuple[int, int]:
    """How many were read and how many were refused with BadMessage; anything else is raised."""
    good = bad = 0
    for message in messages:
        try:
            dialect.read(message)
        except BadMessage:
            bad += 1
        else:
            good += 1
    return good, bad
