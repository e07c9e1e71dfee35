"""On which loop a server runs."""

from __future__ import annotations

import asyncio
import sys

import pytest

from antiphon.server.loop import run_on_loop


async def _note(found: list[str]) -> None:
    found.append(type(asyncio.get_running_loop()).__module__)


def test_uvloop_where_it_is_installed() -> None:
    found: list[str] = []
    run_on_loop(_note(found))
    assert found == ["uvloop"]


def test_without_uvloop_it_is_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    found: list[str] = []
    run_on_loop(_note(found))
    assert found[0].startswith("asyncio")
