"""A caller over WebRTC that costs little, against a server that is not ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import cycle
from typing import Any

import pytest
from aiohttp import ClientSession

from antiphon.bench.rtc_heard import OpusSpeech
from antiphon.bench.rtc_peer import Peer

from .rtc_double import Server, stock_server

TONE = OpusSpeech.of(b"\x00\x20\x00\xe0" * 160 * 50)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with stock_server() as made:
        yield made


async def calling(server: Server, **how: Any) -> Peer:
    peer = Peer(cycle(TONE.packets), **how)
    async with ClientSession() as client:
        body = {"sdp": await peer.offer(), "type": "offer"}
        async with client.post(server.url + "/api/voice/offer", json=body) as answer:
            await peer.take((await answer.json())["sdp"])
    async with asyncio.timeout(20):
        await peer.connected.wait()
        await peer.sounded.wait()
    return peer


async def test_it_is_heard_and_hears(server: Server) -> None:
    late: list[float] = []
    peer = await calling(server, late=late.append, decodes=True)
    async with asyncio.timeout(20):
        while max(server.levels, default=0) < 1000 or peer.looked_at < 10:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await peer.aclose()
    await peer.aclose()
    assert peer.connected_s <= peer.sound_s
    assert peer.audible > 0.5 * peer.looked_at
    assert peer.arrivals.packets >= peer.looked_at
    assert len(late) >= 5


async def test_after_the_first_sound_nothing_is_decoded(server: Server) -> None:
    peer = await calling(server, events=False)
    seen = peer.looked_at
    packets = peer.arrivals.packets
    async with asyncio.timeout(20):
        while peer.arrivals.packets < packets + 10:  # noqa: ASYNC110 - packets have no event
            await asyncio.sleep(0.02)
    assert peer.looked_at == seen
    assert peer.messages == 0
    await peer.aclose()


@pytest.mark.parametrize("way", ["hang_up", "vanish"])
async def test_a_caller_may_end_in_any_way(server: Server, way: str) -> None:
    peer = await calling(server)
    getattr(peer, way)()
    await peer.aclose()
    assert peer.gone.is_set()
