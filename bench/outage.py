"""How soon a call goes on after a 3 s outage and after its page was loaded again, in real Chromium.

    python -m bench.outage [--rounds 5]

Against a session that hums. An outage: nothing gets through in either direction; from its end until
the page says that the line is up, and until the session is let go on. A reload: from asking for it
until the page is in the call again.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

from playwright.async_api import Page
from tests.e2e.pages import call, open_page
from tests.support.bad_network import BadNetwork, bad_network
from tests.support.fake_host import FakeHost, FakeSession
from tests.support.live import chromium, serving

OUTAGE_S = 3.0
SAID = "hum something rather long for me" + " and hum" * 100
BETWEEN_S = 2.0


async def after_outage(page: Page, session: FakeSession, network: BadNetwork) -> float:
    """Seconds from the end of an outage."""
    session.on_text(SAID)
    holds = len(session.holds)
    network.outage(OUTAGE_S)
    began_s = time.monotonic()
    async with asyncio.timeout(30):
        await page.wait_for_selector("[data-line=searching]")
        await page.wait_for_selector("[data-line=up]")
        while len(session.holds) == holds or session.holds[-1]:  # noqa: ASYNC110 - has no event
            await asyncio.sleep(0.01)
    return time.monotonic() - began_s - OUTAGE_S


async def after_reload(page: Page, session: FakeSession) -> float:
    """Seconds from asking for it."""
    session.on_text(SAID)
    began_s = time.monotonic()
    await page.reload(wait_until="commit")
    await page.wait_for_selector("[data-phase=call]")
    return time.monotonic() - began_s


async def run(rounds: int) -> None:
    host = FakeHost()
    async with serving(host) as url, chromium() as browser:
        page = await browser.new_page()
        async with bad_network(page) as network:
            await open_page(page, url)
            await call(page)
            session = host.sessions[0]
            outages, reloads = [], []
            for _ in range(rounds):
                await asyncio.sleep(BETWEEN_S)
                outages.append(await after_outage(page, session, network))
                await asyncio.sleep(BETWEEN_S)
                reloads.append(await after_reload(page, session))
    tell("end of a 3 s outage to the call's going on", outages)
    tell("page loaded again to the call's going on", reloads)


def tell(what: str, found: list[float]) -> None:
    print(f"{what}: median {statistics.median(found):.2f} s, "
          f"{min(found):.2f} to {max(found):.2f} ({len(found)})", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    asyncio.run(run(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
