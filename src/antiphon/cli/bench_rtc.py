"""`antiphon bench load --channel webrtc`: many calls by browser at once, and what they cost."""

from __future__ import annotations

import asyncio
import json
import sys

from antiphon.bench.rtc_figures import problems, text_of
from antiphon.bench.rtc_load import RtcLoad, run_rtc_load


def load_by_browser(load: RtcLoad, as_json: bool) -> int:
    """Run it and print the figures; the exit code."""
    figures = asyncio.run(run_rtc_load(load, lambda text: print(text, file=sys.stderr)))
    print(json.dumps(figures) if as_json else text_of(figures))
    return 1 if problems(figures) else 0
