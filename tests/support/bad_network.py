"""A bad network between a page in a real browser and a server."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Page, Route

from antiphon.bench.impair import Fates, Network, Proxy

OFFER = "**/api/voice/offer"


class BadNetwork:
    """Every WebRTC connection of the page goes through a proxy."""

    def __init__(self, network: Network | None = None, seed: int = 0) -> None:
        self.proxies: list[Proxy] = []
        self._network, self._seed = network or Network(), seed
        self._out_until_s = 0.0

    @property
    def fates(self) -> Fates:
        return sum((proxy.fates for proxy in self.proxies), Fates())

    async def route(self, route: Route) -> None:
        """Offers lose their candidates, and answers get ours."""
        if route.request.method == "PATCH":
            # Addresses by which the server could go past the proxy.
            await route.fulfill(status=204)
            return
        body = json.loads(route.request.post_data or "{}")
        proxy = Proxy(self._network, seed=f"{self._seed}/{len(self.proxies)}")
        if (left_s := self._out_until_s - time.monotonic()) > 0:
            proxy.outage(left_s)
        self.proxies.append(proxy)
        response = await route.fetch(post_data=body | {"sdp": proxy.offer(body["sdp"])})
        answer = await response.json()
        if response.ok:
            answer["sdp"] = await proxy.answer(answer["sdp"])
        await route.fulfill(response=response, json=answer)

    def become(self, network: Network) -> None:
        """From now on, for connections that there are, and further ones."""
        self._network = network
        for proxy in self.proxies:
            proxy.up.network = proxy.down.network = network

    def outage(self, seconds: float) -> None:
        """Nothing gets through for so long, whoever tries; requests over HTTP do."""
        self._out_until_s = time.monotonic() + seconds
        for proxy in self.proxies:
            proxy.outage(seconds)

    def end_outage(self) -> None:
        """It works again, before that time is over."""
        self._out_until_s = 0.0
        for proxy in self.proxies:
            proxy.end_outage()


@asynccontextmanager
async def bad_network(
    page: Page, network: Network | None = None, seed: int = 0
) -> AsyncIterator[BadNetwork]:
    bad = BadNetwork(network, seed)
    await page.route(OFFER, bad.route)
    try:
        yield bad
    finally:
        await page.unroute(OFFER)
        for proxy in bad.proxies:
            await proxy.aclose()
