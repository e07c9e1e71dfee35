"""Calls by a TURN server and in no other way: real coturn, real Chromium, credentials of ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiortc import RTCIceServer
from playwright.async_api import Page
from tests.support.browser_call import call
from tests.support.fake_host import FakeHost
from tests.support.live import chromium, serving
from tests.support.rtc_client import RtcCaller
from tests.support.turn_server import TurnServer, coturn

from antiphon.channels.webrtc.config import IceServer, RtcConfig, TurnConfig
from antiphon.providers.secret import Secret
from antiphon.server.settings import ServerSettings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture
async def turn(tmp_path: Path) -> AsyncIterator[TurnServer]:
    async with coturn(tmp_path) as server:
        yield server


@asynccontextmanager
async def page_of(config: RtcConfig) -> AsyncIterator[tuple[FakeHost, Page]]:
    """A page of a server's, in Chromium."""
    host = FakeHost()
    settings = ServerSettings(port=0, rtc=config)
    async with serving(host, settings) as url, chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"{url}/healthz")
        yield host, page


def relayed(*urls: str, secret: str, ttl_s: int = 600) -> RtcConfig:
    turn = TurnConfig(urls=urls, secret=Secret(secret), ttl_s=ttl_s)
    return RtcConfig(turn=turn, relay_only=True)


async def test_a_call_is_relayed_and_heard_both_ways(turn: TurnServer) -> None:
    config = relayed(turn.url, secret=turn.secret)
    async with page_of(config) as (host, page):
        made = await call(page, packets=75)
        assert made.state == "connected"
        assert made.local == "relay"
        assert set(made.patches) == {204}
        assert made.packets >= 75
        assert made.energy > 0.001
        assert host.sessions[0].heard_frames > 40


async def test_a_network_that_lets_only_tcp_out(turn: TurnServer) -> None:
    config = relayed(turn.tcp_url, secret=turn.secret)
    async with page_of(config) as (host, page):
        made = await call(page, packets=50)
        assert made.state == "connected"
        assert made.local == "relay"
        assert made.packets >= 50
        assert host.sessions[0].heard_frames > 25


async def test_another_secret_makes_no_call_and_says_so(turn: TurnServer) -> None:
    config = relayed(turn.url, secret="south wind")
    async with page_of(config) as (host, page):
        made = await call(page, error=401)
        assert made.state != "connected"
        assert 401 in made.errors
        assert host.sessions[0].heard_frames == 0


async def test_an_expired_credential_makes_no_call(turn: TurnServer) -> None:
    name, password = turn.credential(time.time() - 5)
    server = {"urls": turn.url, "username": name, "credential": password}
    async with page_of(RtcConfig()) as (_, page):
        made = await call(page, iceServers=[server], policy="relay", error=401)
        assert made.state != "connected"
        assert 401 in made.errors


async def test_a_turn_server_beside_is_not_used_without_need(turn: TurnServer) -> None:
    servers = (IceServer(urls=(turn.url.replace("turn:", "stun:").partition("?")[0],)),)
    config = RtcConfig(
        ice_servers=servers, turn=TurnConfig(urls=(turn.url,), secret=Secret(turn.secret))
    )
    async with page_of(config) as (_, page):
        made = await call(page)
        assert made.state == "connected"
        assert made.local in ("host", "prflx")


async def test_a_caller_whose_relay_is_in_the_offer(turn: TurnServer) -> None:
    """The relay's address is in the offer, so this server's check comes before the permission."""
    relay = RTCIceServer(turn.url, *turn.credential())
    took_s = []
    async with serving(FakeHost()) as url, httpx.AsyncClient(base_url=url) as client:
        for _ in range(3):
            caller = RtcCaller(relay)
            body = {"sdp": await caller.offer(), "type": "offer"}
            started = time.perf_counter()
            answer = (await client.post("/api/voice/offer", json=body)).json()
            await caller.take(answer["sdp"])
            async with asyncio.timeout(30):
                await caller.connected.wait()
            took_s.append(time.perf_counter() - started)
            ticket = {"session_id": answer["session_id"], "token": answer["token"]}
            await client.post("/api/voice/hangup", json=ticket)
            await caller.close()
    # bench/connect.py --relay has how long it is, tests/channels/webrtc/test_ice.py that nothing is
    # waited for.
    print(f"offer to connected by a relay: {min(took_s):.2f} s at best")
