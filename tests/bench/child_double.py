"""A process with callers, without callers."""

from __future__ import annotations

import json
import sys

from antiphon.bench.child import say


def main() -> None:
    job = json.loads(sys.stdin.read())
    say("begun")
    if "break" in job:
        sys.exit(3)
    say("over")
    print(json.dumps({"got": job}))
