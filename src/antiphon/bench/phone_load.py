"""A load of telephone calls in real time: servers in processes of their own, callers in another.

What a server costs is read from the outside; callers are counted apart.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.bench.phone_client import SPREAD_S, Job, run_job
from antiphon.bench.phone_heard import compare, read_trace
from antiphon.bench.phone_server import MS_PER_WORD, Server, agent_file
from antiphon.bench.served import MemoryWatch, histogram, sum_of

WARM_S = 8.0
"""Of the single call before: what a first call loads is no part of what a further one costs."""
SPARE_CALLS = 10


@dataclass(frozen=True, slots=True)
class PhoneLoad:
    """`calls` at once for `seconds`, over so many server processes; callers play `audio`."""

    audio: tuple[str, ...]
    calls: int = 100
    seconds: float = 60.0
    processes: int = 1
    seed: int = 0
    vad: str = "silero"
    interrupt: bool = True


async def run_phone_load(
    load: PhoneLoad, tell: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Make the calls; the figures.

    Raises:
        UserFacingError: a server does not start.
    """
    with tempfile.TemporaryDirectory(prefix="antiphon-load-") as folder:
        agent = agent_file(load.vad)
        servers = [
            Server(Path(folder, str(number)), agent, load.calls + SPARE_CALLS)
            for number in range(load.processes)
        ]
        try:
            for server in servers:
                tell(f"starting a server on port {server.port}")
                await server.start()
            figures = await _measure(load, servers, tell)
        finally:
            for server in servers:
                await server.stop()
        traces = [
            read_trace(path.read_text("utf-8").splitlines())
            for server in servers
            for path in server.traces
        ]
        each = figures.pop("each")
        compared = compare(each, traces, MS_PER_WORD)
        apart = sorted(abs(words) for words in compared.apart)
        figures["heard"] = {
            "interrupted": len(apart),
            "within_one_word": round(compared.within_one, 4),
            "most_apart_words": round(apart[-1], 2) if apart else None,
            "calls_without_a_trace": compared.not_matched,
        }
        figures["server_complaints"] = [s.complaints() for s in servers if s.complaints()]
        return figures


async def _measure(
    load: PhoneLoad, servers: Sequence[Server], tell: Callable[[str], None]
) -> dict[str, Any]:
    urls = tuple(f"{server.url}/twilio/voice" for server in servers)
    tokens = tuple(server.auth_token for server in servers)
    tell(f"one call to each server for {WARM_S:.0f} s")
    watch = MemoryWatch(servers)
    warm = Job(urls, tokens, load.audio, len(servers), WARM_S, load.seed, load.interrupt)
    await watch.during(run_job(warm))
    rss_one = watch.most_mb
    before, cost = [await s.metrics() for s in servers], [s.cost() for s in servers]
    tell(f"{load.calls} calls for {load.seconds:.0f} s")
    job = Job(urls, tokens, load.audio, load.calls, load.seconds, load.seed + 1, load.interrupt)
    figures = await watch.during(run_job(job))
    spent, after = [s.cost() for s in servers], [await s.metrics() for s in servers]
    call_s = load.calls * load.seconds
    further = max(1, load.calls - len(servers))
    cpu_s = sum(b.cpu_s - a.cpu_s for a, b in zip(cost, spent, strict=True))
    return {
        **figures,
        "seconds": load.seconds,
        "processes": load.processes,
        "vad": load.vad,
        "server_frame_late": histogram(before, after, "antiphon_frame_late_seconds"),
        "server_loop_lag": histogram(before, after, "antiphon_loop_lag_seconds"),
        "server_answer": histogram(before, after, "antiphon_answer_latency_seconds"),
        "server_cpu_s": round(cpu_s, 2),
        "server_cpu_per_call_s": round(cpu_s / call_s, 5),
        "server_cores": round(cpu_s / (load.seconds + load.calls * SPREAD_S), 3),
        "client_cores": round(figures["client_cpu_s"] / (load.seconds + load.calls * SPREAD_S), 3),
        "rss_mb_one_call": round(rss_one, 1),
        "rss_mb_all_calls": round(watch.most_mb, 1),
        "rss_mb_per_further_call": round((watch.most_mb - rss_one) / further, 3),
        "files_after": [cost.files for cost in spent],
        "calls_left": sum(one.get("antiphon_calls_active", 0.0) for one in after),
        "provider_errors": sum_of(after, "antiphon_provider_errors_total"),
        "refused_requests": sum_of(after, "antiphon_phone_requests_refused_total"),
    }
