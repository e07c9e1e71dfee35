"""The event loop that servers run on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


def run_on_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run to its end on uvloop, or on asyncio's own loop where there is no uvloop: it is not made
    for Windows."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
