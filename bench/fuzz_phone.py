"""Broken SIP, RTP and media streams to everything that reads them.

    python -m bench.fuzz_phone --inputs 1000000 --seed 1

A third of the inputs goes to each of: SIP parsers and an endpoint with calls; the receiving end of
RTP; dialects of every telephone company, and calls on their streams. Nothing may raise what is not
declared, hold more than it may, or leave something behind. Inputs come in episodes of 500, each
from its own seed: a failure prints what makes it again. Time is virtual.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from bench.fuzz_media import MediaTarget
from bench.fuzz_rtp import RtpTarget
from bench.fuzz_sip import SipTarget

from antiphon.bench.loop import StreamLoop

EPISODE = 500
SAMPLES = 10


class Target(Protocol):
    """What is fuzzed in an episode."""

    def step(self) -> bytes:
        """The next input."""
        ...

    async def take(self, data: bytes) -> None:
        """Give it to what has to stand it. Raises what is a bug."""
        ...

    async def finish(self) -> None:
        """The end of the episode. Raises when something is left."""
        ...


TARGETS: dict[str, Callable[[random.Random], Target]] = {
    "sip": SipTarget,
    "rtp": RtpTarget,
    "media": MediaTarget,
}


@dataclass
class Result:
    """`objects` has the number of Python objects and tasks after each tenth of the inputs."""

    inputs: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    objects: list[tuple[int, int]] = field(default_factory=list)

    @property
    def growth(self) -> int:
        """Objects after all inputs, less those after a fifth of them, when all is warm."""
        return self.objects[-1][0] - self.objects[1][0] if len(self.objects) > 2 else 0


async def episode(name: str, seed: int, number: int, result: Result, inputs: int) -> None:
    """One of them; a failure is noted and ends it."""
    target = TARGETS[name](random.Random(f"{seed}/{name}/{number}"))
    data = b""
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(repr(context)))
    at = -1
    try:
        for _ in range(inputs):
            at, data = at + 1, target.step()
            await target.take(data)
            if complaints:
                raise AssertionError(complaints[0])
            result.inputs[name] = result.inputs.get(name, 0) + 1
        at, data = inputs, b""
        await target.finish()
    except Exception:  # noqa: BLE001 (it is what is looked for)
        where = f"--target {name} --seed {seed} --episode {number}, input {at}"
        result.failures.append(f"{where}: {data!r}\n{traceback.format_exc()}")
        with contextlib.suppress(Exception):
            await target.finish()


async def fuzz(inputs: int, seed: int, targets: list[str], tell: Callable[[str], None]) -> Result:
    """All episodes."""
    result, episodes = Result(), -(-inputs // EPISODE)
    for number in range(episodes):
        name = targets[number % len(targets)]
        await episode(name, seed, number, result, min(EPISODE, inputs - number * EPISODE))
        if (number + 1) * SAMPLES // episodes > len(result.objects):
            gc.collect()
            result.objects.append((len(gc.get_objects()), len(asyncio.all_tasks())))
            tell(f"{(number + 1) * EPISODE:,} inputs, {result.objects[-1][0]:,} objects, "
                 f"{len(result.failures)} failures")  # fmt: skip
        if len(result.failures) >= 20:
            break
    return result


def run(inputs: int, seed: int, targets: list[str], tell: Callable[[str], None]) -> Result:
    """`fuzz` on an event loop that does not wait."""
    logging.disable(logging.CRITICAL)
    try:
        with asyncio.Runner(loop_factory=StreamLoop) as runner:
            return runner.run(fuzz(inputs, seed, targets, tell))
    finally:
        logging.disable(logging.NOTSET)


async def _one(name: str, seed: int, number: int) -> Result:
    result = Result()
    await episode(name, seed, number, result, EPISODE)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=sorted(TARGETS), action="append")
    parser.add_argument("--episode", type=int, help="only this one, of one --target")
    options = parser.parse_args()
    targets = options.target or list(TARGETS)
    begun = time.monotonic()
    if options.episode is not None:
        with asyncio.Runner(loop_factory=StreamLoop) as runner:
            result = runner.run(_one(targets[0], options.seed, options.episode))
    else:
        result = run(options.inputs, options.seed, targets, lambda text: print(text, flush=True))
    for failure in result.failures:
        print(failure)
    print(f"{sum(result.inputs.values()):,} inputs {result.inputs} in "
          f"{time.monotonic() - begun:.0f} s, {len(result.failures)} failures, objects and tasks "
          f"{result.objects}, growth {result.growth}")  # fmt: skip
    return 1 if result.failures or result.growth > 5000 else 0


if __name__ == "__main__":
    sys.exit(main())
