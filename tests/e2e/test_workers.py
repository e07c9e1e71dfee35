"""`antiphon serve --workers 2` as a process: calls spread, outlive a worker that is killed, and are
let finish when the server is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.rtc_client import RtcCaller, typed
from websockets.asyncio.client import ClientConnection, connect

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc"),
]

# How busy the machine is, is not what is looked at here.
ANY_LOAD = ("--max-lag-ms", "0", "--max-busy", "0")
WAIT_S = 60.0
"""Ten times what anything here takes, and more."""
ANSWER = "Certainly, with pleasure."
AGENT = {
    "name": "Load",
    "greeting": "Hello, this is the cafe, and I talk for a while so that you hear me.",
    "vad": "energy",
    "turn_detector": None,
    "stt": {"provider": "scripted", "transcripts": [{"text": "hello", "complete": 0.9}]},
    "llm": {"provider": "scripted", "replies": [ANSWER]},
    "tts": {"provider": "scripted", "ms_per_word": 200},
}


class Server:
    """The process, and what is asked of it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self.process, self.port = process, port
        self.url = f"http://127.0.0.1:{port}"

    @property
    def workers(self) -> dict[int, int]:
        """The processes of the workers, by number."""
        pid = self.process.pid
        found = {}
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(OSError, ValueError, IndexError):
                line = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
                found[int(json.loads(line[-2])["slot"]["number"])] = int(child)
        return found

    async def count(self, name: str) -> dict[int, float]:
        """A counter, by worker."""
        found: dict[int, float] = {}
        for family in text_string_to_metric_families(await _ask(self, "/metrics")):
            for one in family.samples:
                if one.name == name:
                    worker = int(one.labels["worker"])
                    found[worker] = found.get(worker, 0.0) + one.value
        return found


class TextCaller:
    """A call by typing."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.session = ""

    async def until(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            while True:
                event: dict[str, Any] = json.loads(await self.socket.recv())
                if event["type"] == kind:
                    return event

    async def begin(self) -> TextCaller:
        self.session = (await self.until("session.created"))["session"]["id"]
        await self.until("response.done")
        return self

    async def answered(self) -> bool:
        """Something typed gets its answer; meanwhile it may be asked whether it is still there."""
        await self.socket.send(json.dumps(typed("a coffee, please")))
        said = ""
        while said != ANSWER:
            said = (await self.until("response.output_audio_transcript.done"))["transcript"]
        return True

    @property
    def worker(self) -> int:
        return int(self.session[1 : self.session.index("_")])


@asynccontextmanager
async def serving(folder: Path, *more: str) -> AsyncIterator[Server]:
    (folder / "agent.yaml").write_text(json.dumps(AGENT), encoding="utf-8")
    # No pipes: workers have them as well, and asyncio waits for their end.
    with (folder / "stdout.txt").open("wb") as out, (folder / "stderr.txt").open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from antiphon.cli import main; main()", "serve"),
            *("--workers", "2", "--port", "0", "--agent", str(folder / "agent.yaml"), *more),
            env={**os.environ, "ANTIPHON_DATA": str(folder / "data"), "TMPDIR": str(folder)},
            stdout=out,
            stderr=errors,
        )
    try:
        async with asyncio.timeout(2 * WAIT_S):
            while not (found := re.search(r":(\d+)\n", _text(folder / "stdout.txt"))):
                assert process.returncode is None, _text(folder / "stderr.txt")
                await asyncio.sleep(0.05)
        yield Server(process, int(found[1]))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def text_call(server: Server) -> AsyncIterator[TextCaller]:
    url = f"ws://127.0.0.1:{server.port}/api/text"
    async with connect(url, proxy=None) as socket:
        yield await TextCaller(socket).begin()


async def test_calls_spread_outlive_a_killed_worker_and_are_let_finish(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, "--drain-s", "30", *ANY_LOAD) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT_S) as client,
        contextlib.AsyncExitStack() as stack,
    ):
        assert (await client.get("/readyz")).text == "ready\n"
        calls = [await stack.enter_async_context(text_call(server)) for _ in range(4)]
        assert sorted(call.worker for call in calls) == [0, 0, 1, 1]

        # By sound, and hung up by a connection that only one of the two workers has.
        spoken = [await _spoken(server), await _spoken(server)]
        assert {one["session_id"][:2] for one in spoken} == {"w0", "w1"}
        for one in spoken:
            ticket = {key: one[key] for key in ("session_id", "token")}
            assert (await client.post("/api/voice/hangup", json=ticket)).status_code == 204
            assert await _until_gone(one["caller"])
        assert await server.count("antiphon_calls_total") == {0: 3.0, 1: 3.0}

        # One is killed: its calls are lost, the others are not, and it comes again.
        killed, kept = calls[0].worker, 1 - calls[0].worker
        before = server.workers
        os.kill(before[killed], signal.SIGKILL)
        alive = [call for call in calls if call.worker == kept]
        for call in alive:
            assert await call.answered()
        await _until_started(server, {kept: 1.0, killed: 2.0})
        assert server.workers[kept] == before[kept]
        assert server.workers[killed] != before[killed]
        again = await stack.enter_async_context(text_call(server))
        assert again.worker == killed

        # Stopped: no new calls, and those that there are go on to their end.
        server.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(WAIT_S):
            while (await _ask(server, "/readyz")).startswith("ready"):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        with pytest.raises(AssertionError, match="restarted"):
            await _spoken(server)
        for call in (again, *alive):
            assert await call.answered()
            await call.socket.close()
        async with asyncio.timeout(WAIT_S):
            assert await server.process.wait() == 0
    complaints = _text(tmp_path / "stderr.txt")
    assert f"worker {killed} ended with code -9; it is started again" in complaints
    assert "Traceback" not in complaints
    # Each call has left its trace, whichever process had it; no file of the server's is left.
    assert len(_files(tmp_path / "data" / "calls", "w?_call_*.jsonl")) == 7
    assert not _files(tmp_path, "antiphon-*")


async def test_a_lost_connection_comes_back_to_the_worker_that_has_the_call(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, "--drain-s", "0", *ANY_LOAD) as server:
        url = f"ws://127.0.0.1:{server.port}/api/voice/socket"
        begun = [await _opened(url, None), await _opened(url, None)]
        assert {one["session_id"][:2] for one in begun} == {"w0", "w1"}
        for one in begun:
            again = await _opened(f"{url}?session={one['session_id']}", one["token"])
            assert (again["session_id"], again["resumed"]) == (one["session_id"], True)


async def test_workers_end_after_their_calls_when_the_front_is_killed(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, *ANY_LOAD) as server,
        text_call(server) as call,
    ):
        workers = server.workers
        assert len(workers) == 2
        server.process.kill()
        await server.process.wait()
        assert await call.answered()
        await call.socket.close()
        async with asyncio.timeout(WAIT_S):
            while any(_runs(pid) for pid in workers.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_why_no_worker_can_start_is_said_once(tmp_path: Path) -> None:
    agent = {**AGENT, "llm": {"provider": "openai"}}
    (tmp_path / "agent.yaml").write_text(json.dumps(agent), encoding="utf-8")
    environment = {key: one for key, one in os.environ.items() if key != "OPENAI_API_KEY"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from antiphon.cli import main; main()", "serve"),
        *("--workers", "2", "--port", "0", "--agent", str(tmp_path / "agent.yaml")),
        env={**environment, "ANTIPHON_DATA": str(tmp_path / "data")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(2 * WAIT_S):
        out, complaints = await process.communicate()
    assert process.returncode == 2
    assert out == b""
    assert complaints.decode().count("OPENAI_API_KEY") == 1
    assert "Traceback" not in complaints.decode()


async def _spoken(server: Server) -> dict[str, Any]:
    """A call by WebRTC, from a connection of its own, that hears the agent."""
    caller = RtcCaller()
    body = {"sdp": await caller.offer(), "type": "offer"}
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT_S) as client:
        answer = await client.post("/api/voice/offer", json=body)
    if answer.status_code != 200:
        await caller.close()
        raise AssertionError(answer.text)
    said: dict[str, Any] = answer.json()
    await caller.take(said["sdp"])
    await caller.until("session.created", WAIT_S)
    async with asyncio.timeout(WAIT_S):
        while not any(caller.pcm):  # noqa: ASYNC110 - sound has no event
            await asyncio.sleep(0.05)
    return {**said, "caller": caller}


async def _opened(url: str, token: str | None) -> dict[str, Any]:
    """What the server says of a call over a WebSocket, which is then cut."""
    async with connect(url, proxy=None, ping_interval=None) as socket, asyncio.timeout(WAIT_S):
        if token is not None:
            resume = {"type": "antiphon.socket.resume", "token": token}
            await socket.send(json.dumps(resume))
        while True:
            message = await socket.recv()
            event: dict[str, Any] = json.loads(message) if isinstance(message, str) else {}
            if event.get("type") == "antiphon.socket.opened":
                socket.transport.abort()
                return event


async def _ask(server: Server, path: str) -> str:
    """By a connection of its own; empty where the worker that was asked has just died."""
    with contextlib.suppress(httpx.TransportError):
        async with httpx.AsyncClient(
            base_url=server.url, trust_env=False, timeout=WAIT_S
        ) as client:
            return (await client.get(path)).text
    return ""


async def _until_started(server: Server, starts: dict[int, float]) -> None:
    """All are ready, and were started so often."""
    async with asyncio.timeout(WAIT_S):
        while (  # noqa: ASYNC110 - it has no event for it
            await server.count("antiphon_worker_starts_total") != starts
            or await _ask(server, "/readyz") != "ready\n"
        ):
            await asyncio.sleep(0.1)


async def _until_gone(caller: RtcCaller) -> bool:
    """The other side has said that the call is over."""
    try:
        await caller.until("antiphon.session.ended", WAIT_S)
    finally:
        await caller.close()
    return True


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _files(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
