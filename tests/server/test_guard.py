"""Who may ask, and how much."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.support.fake_host import FakeHost

from antiphon.observe.metrics import Metrics
from antiphon.server.app import create_app
from antiphon.server.guard import MAX_BODY_BYTES
from antiphon.server.settings import ServerSettings

OFFER = "/api/voice/offer"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(FakeHost(), ServerSettings(), Metrics()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        yield client


async def test_too_large(client: httpx.AsyncClient) -> None:
    answer = await client.post(OFFER, content=b"x" * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413

    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    answer = await client.post(OFFER, content=unannounced())
    assert answer.status_code == 413
    assert answer.json()["error"]["message"]


class TestOrigin:
    async def test_the_own_page(self, client: httpx.AsyncClient) -> None:
        for origin in ("http://localhost:8080", "https://localhost:8080"):
            answer = await client.get("/api/agents", headers={"Origin": origin})
            assert answer.status_code == 200

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://localhost:9", "http://["]
    )
    async def test_other_pages(self, client: httpx.AsyncClient, origin: str) -> None:
        answer = await client.post(OFFER, json={}, headers={"Origin": origin})
        assert answer.status_code == 403
        assert answer.json()["error"]["type"] == "origin_error"
        assert "content-security-policy" in answer.headers

    async def test_another_name_for_this_machine(self, client: httpx.AsyncClient) -> None:
        names = {"Host": "evil.example:8080", "Origin": "http://evil.example:8080"}
        answer = await client.get("/api/agents", headers=names)
        assert answer.status_code == 403
        assert "localhost" in answer.json()["error"]["message"]

    async def test_a_page_that_is_allowed(self) -> None:
        settings = ServerSettings(host="0.0.0.0", allowed_origins=("https://shop.example",))
        transport = httpx.ASGITransport(create_app(FakeHost(), settings, Metrics()))
        headers = {"Origin": "https://shop.example"}
        async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.1") as client:
            assert (await client.get("/api/agents", headers=headers)).status_code == 200
            headers["Origin"] = "https://other.example"
            assert (await client.get("/api/agents", headers=headers)).status_code == 403


async def test_a_public_name_opens_the_telephones_paths_and_no_others() -> None:
    settings = ServerSettings(
        public_url="https://Voice.example.com:8443", public_paths=("/twilio/", "/telnyx/")
    )
    transport = httpx.ASGITransport(create_app(FakeHost(), settings, Metrics()))
    for host, path, status in (
        ("voice.example.com", "/twilio/voice", 404),
        ("VOICE.example.com:8443", "/telnyx/status", 404),
        ("voice.example.com", "/api/agents", 403),
        ("voice.example.com", "/twilio", 403),
        ("other.example.com", "/twilio/voice", 403),
        ("localhost", "/api/agents", 200),
    ):
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            assert (await client.get(path)).status_code == status, (host, path)
