"""The HTTP server, asked over ASGI without a socket."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.support.fake_host import FakeHost
from tests.support.rtc_client import RtcCaller

from antiphon.errors import OverloadError
from antiphon.observe.metrics import Metrics
from antiphon.server.app import CONSOLE_DIR, create_app
from antiphon.server.settings import ServerSettings

OFFER = "/api/voice/offer"


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def client(host: FakeHost, metrics: Metrics) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(host, ServerSettings(), metrics)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        yield client
    await app.state.voice.aclose()


async def test_the_page_and_its_modules(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe" not in policy
    module = await client.get("/console/main.js")
    assert module.headers["content-type"] == "text/javascript; charset=utf-8"
    assert module.headers["cache-control"] == "no-cache"
    again = await client.get("/console/main.js", headers={"If-None-Match": module.headers["etag"]})
    assert again.status_code == 304


async def test_the_page_names_no_outside_address(client: httpx.AsyncClient) -> None:
    files = [path for path in CONSOLE_DIR.iterdir() if path.suffix in (".html", ".css", ".js")]
    assert len(files) >= 5
    for path in files:
        assert not re.findall(r"(?:https?:)?//[\w-]+\.\w", path.read_text()), path


@pytest.mark.parametrize("path", ["/console/../app.py", "/console/%2e%2e/errors.py", "/console/x"])
async def test_nothing_else_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["message"]


async def test_agents(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/api/agents")).json()
    assert answer["agents"][0] == {"name": "Cafe", "greeting": "Hello, this is the cafe."}


async def test_an_offer_is_answered(client: httpx.AsyncClient, host: FakeHost) -> None:
    caller = RtcCaller()
    body = {"sdp": await caller.offer(), "type": "offer", "agent": "Clinic"}
    answer = (await client.post(OFFER, json=body)).json()
    assert answer["type"] == "answer"
    assert answer["session_id"] == host.sessions[0].call_id
    assert host.sessions[0].agent == "Clinic"
    gone = {"session_id": answer["session_id"], "token": "guess"}
    assert (await client.post("/api/voice/hangup", json=gone)).status_code == 403
    gone["token"] = answer["token"]
    assert (await client.post("/api/voice/hangup", json=gone)).status_code == 204
    async with asyncio.timeout(20):
        await host.sessions[0].wait_closed()
    await caller.close()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "object"),
        ('{"sdp":"v=0"}', "type"),
        ('{"sdp":"v=0","type":"answer"}', "offer"),
        ('{"sdp":5,"type":"offer"}', "string"),
        ('{"sdp":"v=0","type":"offer","x":1}', "Extra"),
        ('{"sdp":"hello","type":"offer"}', "not SDP"),
        ('{"sdp":"v=0\\r\\ns=-\\r\\n","type":"offer"}', "no audio line"),
        ('{"sdp":"v=0","type":"offer","agent":"Bank"}', "no agent"),
        ("\\udcff", "JSON"),
        (json.dumps({"sdp": "v=0" * 20_000, "type": "offer"}), "at most"),
    ],
)
async def test_a_bad_offer_gets_a_sentence(
    client: httpx.AsyncClient, host: FakeHost, metrics: Metrics, body: str, sentence: str
) -> None:
    answer = await client.post(OFFER, content=body.encode())
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert sentence in error["message"]
    assert not host.sessions
    assert b'antiphon_calls_refused_total{reason="bad_request"} 1.0' in metrics.render()


async def test_full_and_draining(
    client: httpx.AsyncClient, host: FakeHost, metrics: Metrics
) -> None:
    host.max_calls = 0
    answer = await client.post(OFFER, json={"sdp": "v=0", "type": "offer"})
    assert answer.status_code == 503
    assert answer.json()["error"] == {
        "type": "capacity_error",
        "message": "All 0 lines are busy; try again shortly.",
    }
    assert answer.headers["retry-after"]
    assert (await client.get("/readyz")).status_code == 200
    host.ready = False
    assert (await client.get("/readyz")).status_code == 503
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.post(OFFER, json={"sdp": "v=0", "type": "offer"})).status_code == 503
    assert b'antiphon_calls_refused_total{reason="capacity"} 2.0' in metrics.render()


async def test_a_loop_that_is_late_is_a_reason_of_its_own(
    client: httpx.AsyncClient, host: FakeHost, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(agent: str | None) -> str:
        raise OverloadError("The server is busy; try again shortly.")

    monkeypatch.setattr(host, "check", late)
    answer = await client.post(OFFER, json={"sdp": "v=0", "type": "offer"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "capacity_error")
    assert answer.headers["retry-after"]
    assert b'antiphon_calls_refused_total{reason="lag"} 1.0' in metrics.render()


async def test_metrics(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    for name in (
        "antiphon_calls_active",
        "antiphon_calls_total",
        "antiphon_calls_refused_total",
        "antiphon_turns_total",
        "antiphon_answer_latency_seconds",
        "antiphon_end_of_turn_delay_seconds",
        "antiphon_interruptions_total",
        "antiphon_false_interruptions_total",
        "antiphon_provider_errors_total",
        "antiphon_loop_lag_seconds",
    ):
        assert f"# HELP {name.removesuffix('_total')}" in answer.text
