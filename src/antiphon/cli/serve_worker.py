"""One worker of `antiphon serve --workers N`: the front starts it, and nobody else does."""

from __future__ import annotations

import json
import sys

from antiphon.errors import UserFacingError


def main(told: str) -> int:
    """`told` is JSON: the server's options, and which worker this is. Returns the exit code."""
    from antiphon.cli.serve import ServeOptions, run_as_worker
    from antiphon.server.slot import Slot, say_failure

    said = json.loads(told)
    slot = Slot(**said["slot"])
    try:
        options = said["options"]
        lists = {key: tuple(one) for key, one in options.items() if isinstance(one, list)}
        run_as_worker(ServeOptions(**{**options, **lists}), slot)
    except UserFacingError as error:
        # The front says it, once for all of them.
        say_failure(slot, str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
