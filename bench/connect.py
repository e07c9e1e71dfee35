"""How long a browser's call takes to come about, and what a rush of offers does.

    python -m bench.connect [--calls 30] [--rush 200] [--talking 5] [--relay]

A peer made of aiortc calls over loopback, through the HTTP interface, against a session that costs
nothing; both ends share the process and its one core. "connected" is measured at the caller, from
sending the offer to the end of the DTLS handshake. For the cost of a call the peers are in another
process; both sides send sound all the time. With `--relay` calls by a coturn of its own and by
nothing else, too.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
import uvloop
from aiortc import RTCIceServer
from tests.support.fake_host import FakeHost
from tests.support.live import serving
from tests.support.rtc_client import RtcCaller
from tests.support.turn_server import coturn


async def connect(
    client: httpx.AsyncClient, relay: RTCIceServer | None = None
) -> tuple[float, float]:
    """Milliseconds until the answer and until connected."""
    caller = RtcCaller(relay)
    offer = await caller.offer()
    started = time.perf_counter()
    response = await client.post("/api/voice/offer", json={"sdp": offer, "type": "offer"})
    response.raise_for_status()
    answered = time.perf_counter()
    told = response.json()
    await caller.take(told["sdp"])
    async with asyncio.timeout(10):
        await caller.connected.wait()
    connected = time.perf_counter()
    ticket = {"session_id": told["session_id"], "token": told["token"]}
    (await client.post("/api/voice/hangup", json=ticket)).raise_for_status()
    await caller.close()
    return (answered - started) * 1000, (connected - started) * 1000


async def rush(client: httpx.AsyncClient, host: FakeHost, offers: int) -> None:
    """All at once, with ten lines free; then everything is closed again."""
    caller = RtcCaller()
    body = {"sdp": await caller.offer(), "type": "offer"}
    tasks_before = len(asyncio.all_tasks())
    started = time.perf_counter()
    responses = await asyncio.gather(
        *(client.post("/api/voice/offer", json=body) for _ in range(offers))
    )
    took_ms = (time.perf_counter() - started) * 1000
    statuses = [response.status_code for response in responses]
    for session in host.sessions:
        session.hang_up("measured")
    started = time.perf_counter()
    while host.active_calls or len(asyncio.all_tasks()) > tasks_before:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    closed_ms = (time.perf_counter() - started) * 1000
    await caller.close()
    print(
        f"{offers} offers at once: {statuses.count(200)} taken, {statuses.count(503)} refused, "
        f"all answered in {took_ms:.0f} ms, all closed in {closed_ms:.0f} ms"
    )


async def talk(url: str, count: int, seconds: float) -> None:
    """In the other process: peers that call, talk and listen for a while."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        callers = [RtcCaller() for _ in range(count)]
        for caller in callers:
            body = {"sdp": await caller.offer(), "type": "offer"}
            answer = (await client.post("/api/voice/offer", json=body)).json()
            await caller.take(answer["sdp"])
        await asyncio.sleep(seconds)
        for caller in callers:
            await caller.close()


async def cost(url: str, host: FakeHost, count: int) -> None:
    """Processor time of the server per call, with its voice speaking."""
    host.sessions.clear()
    peers = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.connect", "--peer-of", url, "--talking", str(count)
    )
    while len(host.sessions) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    for session in host.sessions:
        session.on_text("sing " * 100)
    heard = sum(session.heard_frames for session in host.sessions)
    started, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(8)
    elapsed, used = time.perf_counter() - started, time.process_time() - used
    heard = sum(session.heard_frames for session in host.sessions) - heard
    await peers.wait()
    print(
        f"{count} calls, both sides talking: {used / elapsed / count * 1000:.1f} ms of processor "
        f"per call and second; {heard / count / elapsed:.1f} of 50 frames heard per second"
    )


async def repeat(client: httpx.AsyncClient, calls: int, relay: RTCIceServer | None = None) -> None:
    await connect(client, relay)
    timings = [await connect(client, relay) for _ in range(calls)]
    way = "" if relay is None else ", relayed"
    for name, values in zip(("answered", "connected"), zip(*timings, strict=True), strict=True):
        ordered = sorted(values)
        p95 = ordered[int(len(ordered) * 0.95)]
        p50 = statistics.median(ordered)
        print(f"offer -> {name}{way}: p50 {p50:.0f} ms, p95 {p95:.0f} ms")


async def repeat_relayed(client: httpx.AsyncClient, calls: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with coturn(Path(folder)) as turn:
            name, password = turn.credential()
            await repeat(client, calls, RTCIceServer(turn.url, name, password))


async def measure(calls: int, offers: int, talking: int, relay: bool) -> None:
    host = FakeHost(max_calls=10)
    async with serving(host) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        await repeat(client, calls)
        if relay:
            await repeat_relayed(client, min(calls, 10))
        host.sessions.clear()
        await rush(client, host, offers)
        await cost(url, host, talking)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the process, both ends: {peak_mb:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=30)
    parser.add_argument("--rush", type=int, default=200)
    parser.add_argument("--talking", type=int, default=5)
    parser.add_argument("--relay", action="store_true")
    parser.add_argument("--peer-of", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peer_of:
        uvloop.run(talk(given.peer_of, given.talking, 12))
    else:
        uvloop.run(measure(given.calls, given.rush, given.talking, given.relay))
