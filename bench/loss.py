"""How much of a caller's speech reaches the server over a bad network, from a real Chromium.

    python -m bench.loss [--loss 0,5,20] [--burst 0] [--jitter 0] [--rounds 3]

By turns ours and stock aiortc: the same browser, page, microphone and network. Ours is what the
session is given, stock aiortc what its track gives. The network is a proxy that drops whatever
comes, both ways, from the moment at which the connection stands; tests/support/delivered.py says
what counts as delivered. The browser's own treatment of the microphone is off.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import numpy as np
import soundfile
import uvicorn
from bench.stock_webrtc import StockServer, app_of
from tests.support import bare_page
from tests.support.bad_network import bad_network
from tests.support.delivered import Delivered, delivered
from tests.support.fake_host import FakeHost
from tests.support.live import chromium, serving
from tests.support.microphone import RATE_HZ, microphone, speech

from antiphon.bench.impair import Network
from antiphon.server.run import http_config, listen
from antiphon.server.settings import ServerSettings

LEAD_S = 3.5
TAIL_S = 1.0

Heard = Callable[[], bytes]


@asynccontextmanager
async def ours() -> AsyncIterator[tuple[str, Heard]]:
    """The address of our server, and what its first session has been given."""
    host = FakeHost(talks=False)
    async with serving(host) as url:
        yield url, lambda: bytes(host.sessions[0].heard)


@asynccontextmanager
async def stock() -> AsyncIterator[tuple[str, Heard]]:
    """The same of stock aiortc."""
    heard = bytearray()
    listener = listen(ServerSettings(port=0))
    takes = StockServer(heard)
    server = uvicorn.Server(http_config(app_of(takes)))
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", lambda: bytes(heard)
    finally:
        await takes.aclose()
        server.should_exit = True
        await task
        listener.close()


async def measure(
    name: str, network: Network, seed: int, folder: Path, keep: Path | None = None
) -> Delivered:
    """One call; what was received is written to `keep`."""
    said = speech()
    wav = microphone(folder / "microphone.wav", said, LEAD_S)
    async with (ours if name == "ours" else stock)() as (url, heard), chromium(wav) as browser:
        page = await browser.new_page()
        async with bad_network(page, seed=seed) as bad:
            await bare_page.call(page, url)
            bad.become(network)
            await asyncio.sleep(LEAD_S + len(said) / RATE_HZ + TAIL_S)
            received = np.frombuffer(heard(), "<i2")
            if keep is not None:
                soundfile.write(keep, received, RATE_HZ)
            return delivered(said, received)


async def run(options: argparse.Namespace) -> None:
    shares: dict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        for loss in options.loss.split(","):
            network = Network(
                loss=float(loss) / 100, burst=options.burst / 100, jitter_ms=options.jitter
            )
            for round_ in range(options.rounds):
                for name in ("ours", "stock"):
                    keep = options.keep and options.keep / f"{name}-{loss}-{round_}.wav"
                    found = await measure(name, network, round_, Path(folder), keep)
                    shares[loss, name].append(found.share)
                    print(f"{loss:>4} % {name:5} {100 * found.share:6.2f} %", flush=True)
    print(f"\nspeech delivered, medians of {options.rounds}")
    for (loss, name), found_shares in shares.items():
        worst = min(found_shares)
        print(f"loss {loss:>4} %  {name:5}  {100 * statistics.median(found_shares):6.2f} %  "
              f"(worst {100 * worst:.2f} %)")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--loss", default="0,5,20", help="percent, each packet for itself")
    parser.add_argument("--burst", type=float, default=0.0, help="percent, in bursts of five")
    parser.add_argument("--jitter", type=float, default=0.0, help="ms")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="folder for what was received")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
