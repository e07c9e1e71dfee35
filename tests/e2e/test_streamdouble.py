"""streamdouble, a simulator of Twilio's Media Streams by others, calls a real server process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from tests.support.ports import free_ports
from twilio.request_validator import RequestValidator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
CAFE = ROOT / "examples" / "cafe.yaml"
ORDER = ROOT / "tests" / "data" / "e2e" / "aab1f54a.flac"
"""make me a medium triple shot espresso with soy milk"""
TOKEN = "a-token"


class Server:
    """`antiphon serve --phone`, on a port of its own."""

    def __init__(self, port: int) -> None:
        self.port, self.calls = port, 0

    async def token(self) -> str:
        """As Twilio would get it: by a signed webhook of a call."""
        self.calls += 1
        url = f"http://127.0.0.1:{self.port}/twilio/voice"
        form = {"CallSid": f"CA{self.calls}", "From": "+15550100", "To": "+15550199"}
        signature = RequestValidator(TOKEN).compute_signature(url, form)
        async with httpx.AsyncClient(trust_env=False) as client:
            headers = {"X-Twilio-Signature": signature}
            answer = await client.post(url, data=form, headers=headers)
        answer.raise_for_status()
        found = ET.fromstring(answer.text).find("Connect/Stream/Parameter")
        assert found is not None
        return found.attrib["value"]

    async def metrics(self) -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{self.port}/metrics")).text

    async def call(self, wav: Path, *options: str, token: str = "") -> tuple[int, dict[str, Any]]:
        """streamdouble's exit code, and what it has measured."""
        given = token or await self.token()
        process = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("streamdouble"), "call"),
            *(f"ws://127.0.0.1:{self.port}/twilio/media", "--audio", wav),
            *("--param", f"token={given}", "--response-timeout", "60", "--json", *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        assert process.returncode is not None
        print(out.decode(), errors.decode())
        return process.returncode, json.loads(out) if out.strip().startswith(b"{") else {}


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An order, some seconds after the line is open, and time for the answer."""
    spoken, rate_hz = soundfile.read(ORDER, dtype="int16")
    silence = np.zeros(rate_hz, np.int16)
    path = tmp_path_factory.mktemp("speech") / "order.wav"
    soundfile.write(path, np.concatenate((*[silence] * 5, spoken, *[silence] * 5)), rate_hz)
    return path


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Server]:
    port = free_ports("127.0.0.1")
    phone = folder / "phone.yaml"
    phone.write_text(
        f"public_url: http://127.0.0.1:{port}\n"
        "vendors:\n  twilio:\n    account_sid: AC1\n    auth_token: ${TWILIO_TOKEN}\n"
    )
    environment = {**os.environ, "TWILIO_TOKEN": TOKEN}
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("antiphon"), "serve", "--agent", CAFE),
        *("--phone", phone, "--port", str(port), "--drain-s", "0"),
        *("--max-lag-ms", "0", "--max-busy", "0"),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(120):
            assert b"ready" in await process.stdout.readline()
        yield Server(port)
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            await process.communicate()
    assert process.returncode == 0


async def test_calls_on_good_and_on_bad_lines(tmp_path: Path, caller: Path) -> None:
    async with served(tmp_path) as server:
        # How soon and how evenly is measured by `antiphon bench load --channel twilio`.
        gates = ("--max-first-audio-ms", "30000", "--quiet-period", "2")
        out = tmp_path / "agent.wav"
        code, result = await server.call(caller, *gates, "--out", str(out))
        assert code == 0, result
        assert (result["violations"], result["unknown_events"]) == ([], [])
        assert result["marks_echoed"] == result["marks_received"] > 10
        samples, rate_hz = soundfile.read(out)
        assert len(samples) / rate_hz > 3, "the greeting and the order, read back"

        bad = ("--packet-loss", "0.05", "--jitter", "40", "--chaos-seed", "7")
        code, result = await server.call(caller, *gates, *bad)
        assert code == 0, result

        used, short = await server.token(), tmp_path / "short.wav"
        soundfile.write(short, np.zeros(16_000, np.int16), 16_000)
        first = await server.call(short, "--max-drain", "2", token=used)
        again = await server.call(short, token=used)
        assert (first[0], again[0]) == (0, 2)
        assert 'phone_requests_refused_total{reason="replayed",vendor="twilio"} 1.0' in (
            await server.metrics()
        )
