"""The page in a browser, up to its being in a call."""

from __future__ import annotations

from playwright.async_api import Page
from tests.e2e.capture import REMEMBER_MICROPHONE


async def open_page(page: Page, url: str) -> list[str]:
    """Load the page; returns the list in which its errors gather."""
    await page.add_init_script(REMEMBER_MICROPHONE)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    await page.goto(url)
    await page.wait_for_selector("#talk:not([disabled])")
    return problems


async def call(page: Page) -> None:
    await page.click("#talk")
    await page.wait_for_selector("[data-phase=call]")
