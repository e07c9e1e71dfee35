"""Fetch large files: with a time limit, again after a failure, and going on where it broke off.

Synchronous, for the command line.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from antiphon.errors import UserFacingError
from antiphon.net.http import is_loopback

Tell = Callable[[int, int | None], None]
"""Bytes that are there, and bytes in all where the server tells."""

_CHUNK_BYTES = 256 * 1024
_MAX_CONNECTIONS = 100
_WAIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Limits:
    """`tries` is how often in a row nothing may come; waits double from `pause_s`."""

    connect_s: float = 10.0
    read_s: float = 30.0
    tries: int = 5
    pause_s: float = 0.5


class _Again(Exception):
    """Trying again may help. `later_s` is what the server asked for."""

    def __init__(self, message: str, later_s: float = 0.0) -> None:
        super().__init__(message)
        self.later_s = later_s


def download(url: str, target: Path, tell: Tell, limits: Limits | None = None) -> None:
    """Fetch a file. What arrived before a failure stays in `TARGET.part` and is gone on with, now
    or by a later call, as long as the server's file is still the same one (RFC 9110,
    13.1.5 and 14.2).

    Raises:
        UserFacingError: it cannot be had; says why.
    """
    limits = limits or Limits()
    part = target.with_name(f"{target.name}.part")
    timeout = httpx.Timeout(limits.read_s, connect=limits.connect_s)
    failures = 0
    with httpx.Client(
        timeout=timeout, follow_redirects=True, trust_env=not is_loopback(url)
    ) as client:
        for _ in range(_MAX_CONNECTIONS):
            before = _size(part)
            try:
                _fetch(client, url, part, tell)
            except _Again as failure:
                failures = 1 if _size(part) > before else failures + 1
                if failures >= limits.tries:
                    raise UserFacingError(_gave_up(url, failure, part)) from None
                time.sleep(max(failure.later_s, min(_WAIT_S, limits.pause_s * 2 ** (failures - 1))))
            else:
                os.replace(part, target)
                _tag(part).unlink(missing_ok=True)
                return
    raise UserFacingError(f"{url} broke off {_MAX_CONNECTIONS} times; try again later")


def _fetch(client: httpx.Client, url: str, part: Path, tell: Tell) -> None:
    have, tag = _size(part), _known_tag(part)
    headers = {"accept-encoding": "identity"}
    if have and tag:
        headers |= {"range": f"bytes={have}-", "if-range": tag}
    with _failures(url, part), client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:
            part.unlink()
            raise _Again("the server's file is another one now")
        _judge(url, response)
        if response.status_code != 206:
            have = 0
        elif not response.headers.get("content-range", "").startswith(f"bytes {have}-"):
            raise _Again("the server sent another part than was asked for")
        length = response.headers.get("content-length", "")
        total = have + int(length) if length.isdigit() else None
        _need_room(part, (total or have) - have)
        _tag(part).write_text(_validator(response.headers), encoding="utf-8")
        with part.open("ab" if have else "wb") as out:
            tell(have, total)
            for chunk in response.iter_raw(_CHUNK_BYTES):
                out.write(chunk)
                have += len(chunk)
                tell(have, total)
        if total is not None and have != total:
            raise _Again("the connection broke")


@contextmanager
def _failures(url: str, part: Path) -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException:
        raise _Again("the server does not answer") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise UserFacingError(f"{url} is not an address: {error}") from None
    except httpx.TransportError as error:
        raise _Again(str(error) or type(error).__name__) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserFacingError(f"there is no room left on the disk of {part.parent}") from None
        raise UserFacingError(f"{part} cannot be written: {error}") from None


def _judge(url: str, response: httpx.Response) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status >= 500 or status in (408, 425, 429):
        after = response.headers.get("retry-after", "")
        raise _Again(f"status {status}", min(_WAIT_S, float(after)) if after.isdigit() else 0.0)
    why = {401: "it wants a login", 403: "access is refused", 404: "there is no such file"}
    raise UserFacingError(f"{url}: {why.get(status, 'the server refused')} (status {status})")


def _need_room(part: Path, count: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if count > free:
        raise UserFacingError(
            f"{part.parent} has room for {free // 1_000_000} MB, {count // 1_000_000} MB are needed"
        )


def _validator(headers: Mapping[str, str]) -> str:
    """What tells one version of the file from another; a weak tag does not (RFC 9110, 13.1.5)."""
    tag = headers.get("etag", "")
    return headers.get("last-modified", "") if not tag or tag.startswith("W/") else tag


def _gave_up(url: str, failure: _Again, part: Path) -> str:
    rest = "; what came is kept, run the same again to go on" if _size(part) else ""
    return f"{url} cannot be fetched: {failure}{rest}. Is this machine online?"


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _tag(part: Path) -> Path:
    return part.with_name(f"{part.name}.tag")


def _known_tag(part: Path) -> str:
    tag = _tag(part)
    return tag.read_text(encoding="utf-8") if tag.exists() else ""
