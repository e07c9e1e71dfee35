"""A server whose callers know it by another address, as in a container: real Chromium."""

from __future__ import annotations

import socket

import pytest
from tests.support.browser_call import call
from tests.support.fake_host import FakeHost
from tests.support.live import chromium, serving
from tests.support.port_forward import published
from tests.support.ports import free_ports
from tests.support.turn_server import own_address

from antiphon.channels.webrtc.config import RtcConfig
from antiphon.server.settings import ServerSettings

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
INSIDE = "127.0.0.1"
PORTS = 10


async def test_published_ports_and_an_advertised_address() -> None:
    outside, low = own_address(), free_ports(INSIDE, own_address(), count=PORTS)
    high = low + PORTS - 1
    config = RtcConfig(addresses=(INSIDE,), advertise=(outside,), udp_ports=(low, high))
    host = FakeHost()
    async with (
        published(outside, INSIDE, low, high) as ports,
        serving(host, ServerSettings(port=0, rtc=config)) as url,
        chromium() as browser,
    ):
        page = await browser.new_page()
        await page.goto(f"{url}/healthz")
        # Without the browser's addresses this server cannot find a way around.
        made = await call(page, packets=50, trickle=False)
        assert made.state == "connected"
        assert made.remote_address == outside
        assert low <= made.remote_port <= high
        assert INSIDE not in made.answer
        assert sum(port.passed for port in ports) > 40
        assert made.packets >= 50
        assert host.sessions[0].heard_frames > 25


async def test_all_ports_taken_is_said() -> None:
    low = free_ports(INSIDE, count=PORTS)
    config = RtcConfig(addresses=(INSIDE,), udp_ports=(low, low + PORTS - 1))
    taken = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(PORTS)]
    for number, sock in enumerate(taken):
        sock.bind((INSIDE, low + number))
    try:
        async with (
            serving(FakeHost(), ServerSettings(port=0, rtc=config)) as url,
            chromium() as browser,
        ):
            page = await browser.new_page()
            await page.goto(f"{url}/healthz")
            assert (await call(page)).status == 503
    finally:
        for sock in taken:
            sock.close()
