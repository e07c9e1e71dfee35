"""A server in another process, and what it costs, as seen from outside. Figures of a process need
Linux' /proc; what it counts itself comes from its `/metrics`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.errors import UserFacingError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
ANTIPHON = (sys.executable, "-c", "from antiphon.cli import main; main()")
_BUCKET = '_bucket{le="'


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process and its children have used so far."""

    cpu_s: float
    rss_mb: float
    files: int


def process_cost(pid: int) -> Cost:
    """Read from /proc; zeros where there is none."""
    costs = [one for one in map(_cost_of_one, _family(pid)) if one is not None]
    return Cost(
        sum(one.cpu_s for one in costs),
        sum(one.rss_mb for one in costs),
        sum(one.files for one in costs),
    )


def _family(pid: int) -> Iterator[int]:
    """The process and those that it started."""
    yield pid
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _family(int(child))


def _cost_of_one(pid: int) -> Cost | None:
    folder = Path(f"/proc/{pid}")
    try:
        fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        pages = int((folder / "statm").read_text().split()[1])
        files = len(os.listdir(folder / "fd"))
    except (OSError, IndexError, ValueError):
        return None
    return Cost(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20, files)


class ServerProcess:
    """One server.

    Args:
        folder: for its files.
        command: that starts it; `{port}` in it is the port that it is to listen on.
        environment: besides that of this process.
    """

    def __init__(
        self, folder: Path, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.port = _free_port()
        self._command = [word.replace("{port}", str(self.port)) for word in command]
        self._environment = dict(environment or {})
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    def cost(self) -> Cost:
        return process_cost(self.pid)

    def prepare(self) -> None:
        """Write its files, before it is started."""

    async def start(self) -> None:
        """Until it takes calls.

        Raises:
            UserFacingError: it does not start.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        with (self.folder / "stderr.txt").open("wb") as complaints:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env={**os.environ, **self._environment},
                stdout=asyncio.subprocess.DEVNULL,
                stderr=complaints,
            )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._ready():  # noqa: ASYNC110 (another process)
                    await asyncio.sleep(0.2)
        except TimeoutError:
            await self.stop()
            raise UserFacingError(f"the server does not start:\n{self.complaints()}") from None

    async def stop(self) -> None:
        """Ask it to end, and see to it that it does."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def complaints(self) -> str:
        """The end of what it wrote to stderr."""
        try:
            return (self.folder / "stderr.txt").read_text("utf-8", "replace")[-2000:]
        except OSError:
            return ""

    async def metrics(self) -> dict[str, float]:
        """Its counters: values by name with labels, as Prometheus writes them."""
        return read_metrics(await self._get("/metrics"))

    async def calls_left(self, within_s: float) -> float:
        """Calls that do not end in that time, by its own count; -1: it does not answer."""
        left = -1.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while left:
                    left = (await self.metrics()).get("antiphon_calls_active", -1.0)
                    await asyncio.sleep(0.2 if left else 0)
        return left

    async def _ready(self) -> bool:
        if self._process is not None and self._process.returncode is not None:
            raise UserFacingError(f"the server does not start:\n{self.complaints()}")
        return await self._get("/readyz") == "ready\n"

    async def _get(self, path: str) -> str:
        import httpx

        try:
            async with httpx.AsyncClient(timeout=10, trust_env=False, verify=False) as client:
                return (await client.get(self.url + path)).text
        except httpx.HTTPError:
            return ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# ---- watching it ---------------------------------------------------------------------------


class MemoryWatch:
    """Looks at servers' memory every half second while something goes on."""

    def __init__(self, servers: Sequence[ServerProcess]) -> None:
        self._servers = servers
        self.most_mb = 0.0

    async def during(self, job: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
        """The most memory of all together while the job runs is `most_mb`."""
        most = 0.0
        task = asyncio.ensure_future(job)
        try:
            while not task.done():
                most = max(most, sum(server.cost().rss_mb for server in self._servers))
                await asyncio.wait([task], timeout=0.5)
        finally:
            task.cancel()
        self.most_mb = most
        return task.result()


def read_metrics(text: str) -> dict[str, float]:
    """Prometheus' text format, without what is not a number."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name and not line.startswith("#"):
            with contextlib.suppress(ValueError):
                found[name] = float(value)
    return found


def sum_of(readings: Sequence[Mapping[str, float]], name: str) -> float:
    """Of all values of that name, whatever their labels."""
    return sum(
        value for one in readings for key, value in one.items() if key.partition("{")[0] == name
    )


def histogram(
    before: Sequence[Mapping[str, float]], after: Sequence[Mapping[str, float]], name: str
) -> dict[str, float | None]:
    """What was observed between two readings of the same processes, by Prometheus' buckets: within
    a bucket values are taken to be spread evenly. In ms."""
    prefix = name + _BUCKET
    counts: dict[float, float] = {}
    for first, last in zip(before, after, strict=True):
        for key, value in last.items():
            if key.startswith(prefix):
                edge = float(key.removeprefix(prefix).removesuffix('"}'))
                counts[edge] = counts.get(edge, 0.0) + value - first.get(key, 0.0)
    edges = sorted(counts)
    total = counts[edges[-1]] if edges else 0.0
    if not total:
        return {"count": 0, "p50": None, "p99": None, "p99.9": None}

    def quantile(part: float) -> float | None:
        low_edge = low = 0.0
        for edge in edges:
            if counts[edge] >= part * total:
                if edge == float("inf"):
                    return None
                inside = (part * total - low) / max(1e-9, counts[edge] - low)
                return round((low_edge + (edge - low_edge) * inside) * 1000, 2)
            low_edge, low = edge, counts[edge]
        return None

    found: dict[str, float | None] = {"count": total}
    for label, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        found[label] = quantile(part)
    if 0.02 in counts:
        found["within_20_ms"] = round(counts[0.02] / total, 5)
    return found
