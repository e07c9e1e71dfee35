"""The requests of a page about how it connects."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from tests.support.fake_host import FakeHost
from tests.support.rtc_client import RtcCaller

from antiphon.channels.webrtc.config import RtcConfig, TurnConfig
from antiphon.observe.metrics import Metrics
from antiphon.providers.secret import Secret
from antiphon.server.app import create_app
from antiphon.server.settings import ServerSettings

OFFER, ICE_SERVERS = "/api/voice/offer", "/api/voice/ice-servers"
TURN = TurnConfig(urls=("turn:turn.example.com",), secret=Secret("north"), ttl_s=120)


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    config = RtcConfig(turn=TURN, advertise=("203.0.113.7",), leave_s=15)
    app = create_app(FakeHost(), ServerSettings(rtc=config), Metrics())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        yield client
    await app.state.voice.aclose()


@pytest.fixture
async def caller() -> AsyncIterator[RtcCaller]:
    made = RtcCaller()
    yield made
    await made.close()


async def begin(client: httpx.AsyncClient, caller: RtcCaller) -> dict[str, Any]:
    response = await client.post(OFFER, json={"sdp": await caller.offer(), "type": "offer"})
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


def ticket(answer: dict[str, Any]) -> dict[str, Any]:
    return {"session_id": answer["session_id"], "token": answer["token"]}


def candidate(mid: str = "0", address: str = "203.0.113.9") -> dict[str, Any]:
    line = f"candidate:1 1 udp 41885439 {address} 61000 typ relay raddr 0.0.0.0 rport 0"
    return {"candidate": line, "sdpMid": mid, "sdpMLineIndex": 0, "usernameFragment": None}


async def test_the_page_is_told_of_turn_servers(client: httpx.AsyncClient) -> None:
    response = await client.get(ICE_SERVERS)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    told = response.json()
    assert told["ttl_s"] == 120
    assert told["iceTransportPolicy"] == "all"
    (server,) = told["iceServers"]
    other = (await client.get(ICE_SERVERS)).json()["iceServers"][0]
    assert server["username"] != other["username"]
    assert "north" not in response.text


async def test_other_sites_are_not(client: httpx.AsyncClient) -> None:
    response = await client.get(ICE_SERVERS, headers={"Origin": "https://elsewhere.example"})
    assert response.status_code == 403
    assert "credential" not in response.text


async def test_the_answer_has_the_advertised_address(
    client: httpx.AsyncClient, caller: RtcCaller
) -> None:
    answer = await begin(client, caller)
    assert " 203.0.113.7 " in answer["sdp"]
    assert "useinbandfec=1" in answer["sdp"]


async def test_the_answer_says_how_long_the_call_would_wait(
    client: httpx.AsyncClient, caller: RtcCaller
) -> None:
    answer = await begin(client, caller)
    assert (answer["resume_s"], answer["leave_s"]) == (60.0, 15.0)


async def test_candidates_that_come_later(client: httpx.AsyncClient, caller: RtcCaller) -> None:
    answer = await begin(client, caller)
    end = {"candidate": "", "sdpMid": "0", "sdpMLineIndex": 0}
    for candidates in ([candidate(), candidate("1")], [end], [None], []):
        body = {**ticket(answer), "candidates": candidates}
        response = await client.patch(OFFER, json=body)
        assert (response.status_code, response.content) == (204, b"")


async def test_what_is_wrong_with_candidates_is_said(
    client: httpx.AsyncClient, caller: RtcCaller
) -> None:
    mine = ticket(await begin(client, caller))
    for candidates, said in (
        ([candidate("7")], "sdpMid"),
        ([{"candidate": "x" * 600, "sdpMid": "0"}], "candidates.0.candidate"),
        ([candidate()] * 100, "candidates"),
        ("all", "candidates"),
    ):
        response = await client.patch(OFFER, json={**mine, "candidates": candidates})
        assert response.status_code == 400
        assert said in response.json()["error"]["message"]


async def test_only_the_caller_may_add_any(client: httpx.AsyncClient, caller: RtcCaller) -> None:
    mine = ticket(await begin(client, caller))
    for wrong in ({**mine, "token": "x"}, {**mine, "session_id": "call_99"}):
        response = await client.patch(OFFER, json={**wrong, "candidates": [candidate()]})
        assert response.status_code == 403


async def test_a_call_that_is_over(client: httpx.AsyncClient, caller: RtcCaller) -> None:
    mine = ticket(await begin(client, caller))
    assert (await client.post("/api/voice/hangup", json=mine)).status_code == 204
    response = await client.patch(OFFER, json={**mine, "candidates": [candidate()]})
    assert response.status_code == 410


async def test_a_call_by_another_way(client: httpx.AsyncClient) -> None:
    calls = client._transport.app.state.voice  # type: ignore[attr-defined]
    call, made = await calls.start("websocket", None)
    calls.launch(call, made)
    body = {"session_id": made.session_id, "token": made.token, "candidates": [candidate()]}
    response = await client.patch(OFFER, json=body)
    assert response.status_code == 404
    assert "after the offer's answer" in response.json()["error"]["message"]
