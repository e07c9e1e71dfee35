"""A server of our own in another process, as `antiphon serve --phone` runs it, for loads of calls:
its files, its start and end, and what it costs. Figures of the process need Linux' /proc."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.errors import UserFacingError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
TOKEN_VARIABLE = "ANTIPHON_BENCH_AUTH_TOKEN"
MS_PER_WORD = 250
GREETING = "Hello, this is the line that is being measured. What can I do for you?"
ANSWER = (
    "Certainly, I can do that for you right away. There are eleven of them left in the store, "
    "and the next delivery comes on Thursday in the morning. Would you like me to keep one "
    "for you until the end of the week, or shall I send it to your address?"
)
_COMMAND = "from antiphon.cli import main; main()"


def agent_file(vad: str = "silero", answer: str = ANSWER) -> dict[str, Any]:
    """An agent whose speech services are scripted and whose detector is a real one."""
    stt = {"transcripts": [{"text": "I would like to know more about that", "complete": 0.9}]}
    return {
        "name": "Load",
        "greeting": GREETING,
        "vad": vad,
        "turn_detector": None,
        "stt": {"provider": "scripted", "partial_every_ms": 100, **stt},
        "llm": {"provider": "scripted", "replies": [answer], "first_delay_ms": 100},
        "tts": {"provider": "scripted", "ms_per_word": MS_PER_WORD, "first_delay_ms": 80},
    }


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process has used so far."""

    cpu_s: float
    rss_mb: float
    files: int


def process_cost(pid: int) -> Cost:
    """Read from /proc; zeros where there is none."""
    folder = Path(f"/proc/{pid}")
    try:
        fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        pages = int((folder / "statm").read_text().split()[1])
        files = len(os.listdir(folder / "fd"))
    except (OSError, IndexError, ValueError):
        return Cost(0.0, 0.0, 0)
    return Cost(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") / 2**20, files)


class Server:
    """One server process.

    Args:
        folder: for its files and the traces of its calls.
        agent: what its agent's file says.
        max_calls: calls that it takes at once.
    """

    def __init__(self, folder: Path, agent: dict[str, Any], max_calls: int) -> None:
        self._folder, self._agent, self._max_calls = folder, agent, max_calls
        self.auth_token = secrets.token_hex(16)
        self.port = _free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return 0 if self._process is None else self._process.pid

    @property
    def traces(self) -> list[Path]:
        """Records of its calls, whole when it has ended."""
        return sorted((self._folder / "calls").glob("*.jsonl"))

    def cost(self) -> Cost:
        return process_cost(self.pid)

    async def start(self) -> None:
        """Until it takes calls.

        Raises:
            UserFacingError: it does not start.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        phone = {
            "public_url": self.url,
            "vendors": {
                "twilio": {
                    "account_sid": "AC" + "0" * 32,
                    "auth_token": "${" + TOKEN_VARIABLE + "}",
                    "base_url": "http://127.0.0.1:9",
                }
            },
        }
        # JSON is YAML, too.
        (self._folder / "agent.yaml").write_text(json.dumps(self._agent), encoding="utf-8")
        (self._folder / "phone.yaml").write_text(json.dumps(phone), encoding="utf-8")
        own = {"ANTIPHON_DATA": str(self._folder), TOKEN_VARIABLE: self.auth_token}
        with (self._folder / "stderr.txt").open("wb") as complaints:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _COMMAND, "serve", "--port", str(self.port)),
                *("--agent", str(self._folder / "agent.yaml")),
                *("--phone", str(self._folder / "phone.yaml")),
                *("--max-calls", str(self._max_calls), "--drain-s", "1"),
                env={**os.environ, **own},
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
            return (self._folder / "stderr.txt").read_text("utf-8", "replace")[-2000:]
        except OSError:
            return ""

    async def metrics(self) -> dict[str, float]:
        """Its counters: values by name with labels, as Prometheus writes them."""
        return read_metrics(await self._get("/metrics"))

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


def read_metrics(text: str) -> dict[str, float]:
    """Prometheus' text format, without what is not a number."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name and not line.startswith("#"):
            with contextlib.suppress(ValueError):
                found[name] = float(value)
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
