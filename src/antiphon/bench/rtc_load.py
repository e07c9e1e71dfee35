"""A load of calls over WebRTC in real time: servers in processes of their own, callers in another.

What a server costs is read from the outside, while all calls are under way and none begins or ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.bench.rtc_client import Job, run_job
from antiphon.bench.rtc_server import RtcServer, agent_file
from antiphon.bench.served import Cost, MemoryWatch, ServerProcess, histogram, sum_of

WARM_S = 6.0
"""Of the single call before: what a first call loads is no part of what a further one costs."""
SPARE_CALLS = 10
LEFT_WAIT_S = 15.0

Made = Callable[[Path, "RtcLoad"], ServerProcess]


@dataclass(frozen=True, slots=True)
class RtcLoad:
    """`calls` at once for `seconds`, over so many server processes; callers play `audio`.

    `quiet_agent` only listens; else it talks all the time. `loss` is a share.
    """

    audio: tuple[str, ...]
    calls: int = 20
    seconds: float = 20.0
    processes: int = 1
    seed: int = 0
    vad: str = "silero"
    quiet_agent: bool = False
    loss: float = 0.0
    jitter_ms: float = 0.0
    max_lag_ms: float = 0.0
    max_busy: float = 0.0
    """Both as for `antiphon serve`; 0 takes any call."""


def ours(folder: Path, load: RtcLoad) -> ServerProcess:
    """The server that `antiphon serve` is."""
    agent = agent_file(load.vad, quiet=load.quiet_agent)
    lag = ("--max-lag-ms", str(load.max_lag_ms), "--max-busy", str(load.max_busy))
    return RtcServer(folder, agent, load.calls + SPARE_CALLS, *lag)


async def run_rtc_load(
    load: RtcLoad, tell: Callable[[str], None] = lambda text: None, made: Made = ours
) -> dict[str, Any]:
    """Make the calls; the figures. `made` makes the servers.

    Raises:
        UserFacingError: a server does not start.
    """
    with tempfile.TemporaryDirectory(prefix="antiphon-load-") as folder:
        servers = [made(Path(folder, str(number)), load) for number in range(load.processes)]
        try:
            for server in servers:
                tell(f"starting a server on port {server.port}")
                await server.start()
            figures = await _measure(load, servers, tell)
        finally:
            for server in servers:
                await server.stop()
        figures["server_complaints"] = [s.complaints() for s in servers if s.complaints()]
        return figures


class _Window:
    """What servers have used between two moments."""

    def __init__(self, servers: Sequence[ServerProcess]) -> None:
        self._servers = servers
        self.costs: dict[str, list[Cost]] = {}

    def at(self, stage: str) -> None:
        self.costs[stage] = [server.cost() for server in self._servers]

    @property
    def cpu_s(self) -> float:
        begun, over = self.costs["steady"], self.costs["over"]
        return sum(b.cpu_s - a.cpu_s for a, b in zip(begun, over, strict=True))


async def run_on(servers: Sequence[ServerProcess], job: Job) -> dict[str, Any]:
    """The figures of one job on servers that run: those of the callers, and what servers used
    between the moment at which all calls were under way and that at which the first ended."""
    watch, window = MemoryWatch(servers), _Window(servers)
    before = [await server.metrics() for server in servers]
    figures = await watch.during(run_job(job, window.at))
    after = [await server.metrics() for server in servers]
    call_s = max(1, figures["connected"]) * job.seconds
    return {
        **figures,
        "seconds": job.seconds,
        "processes": len(servers),
        "server_frame_late": histogram(before, after, "antiphon_frame_late_seconds"),
        "server_loop_lag": histogram(before, after, "antiphon_loop_lag_seconds"),
        "server_cpu_s": round(window.cpu_s, 2),
        "server_cpu_per_call_s": round(window.cpu_s / call_s, 5),
        "server_cores": round(window.cpu_s / job.seconds, 3),
        "client_cores": round(figures["client_cpu_s"] / job.seconds, 3),
        "rss_mb": round(watch.most_mb, 1),
        "files_after": [server.cost().files for server in servers],
        "calls_left": sum([await server.calls_left(LEFT_WAIT_S) for server in servers]),
        "provider_errors": sum_of(after, "antiphon_provider_errors_total"),
    }


async def _measure(
    load: RtcLoad, servers: Sequence[ServerProcess], tell: Callable[[str], None]
) -> dict[str, Any]:
    tell(f"one call to each server for {WARM_S:.0f} s")
    rss_one = (await run_on(servers, _job(load, servers, len(servers), WARM_S)))["rss_mb"]
    tell(f"{load.calls} calls for {load.seconds:.0f} s")
    figures = await run_on(servers, _job(load, servers, load.calls, load.seconds))
    rss_all, further = figures.pop("rss_mb"), max(1, load.calls - len(servers))
    return {
        **figures,
        "vad": load.vad,
        "quiet_agent": load.quiet_agent,
        "rss_mb_one_call": rss_one,
        "rss_mb_all_calls": rss_all,
        "rss_mb_per_further_call": round((rss_all - rss_one) / further, 3),
    }


def _job(load: RtcLoad, servers: Sequence[ServerProcess], calls: int, seconds: float) -> Job:
    return Job(
        urls=tuple(server.url for server in servers),
        audio=load.audio,
        calls=calls,
        seconds=seconds,
        seed=load.seed,
        loss=load.loss,
        jitter_ms=load.jitter_ms,
    )
