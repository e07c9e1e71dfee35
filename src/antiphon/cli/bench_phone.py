"""`antiphon bench load --channel twilio`: many telephone calls at once, and what they cost."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from antiphon.bench.phone_figures import told
from antiphon.bench.phone_load import PhoneLoad, run_phone_load
from antiphon.errors import UserFacingError

_RECORDINGS = Path(__file__).resolve().parents[3] / "tests" / "data" / "speech"


def recordings_of_callers(audio: list[Path] | None) -> tuple[str, ...]:
    """What callers say: the files that were named, else those of a checkout.

    Raises:
        UserFacingError: there are none.
    """
    files = audio or sorted(_RECORDINGS.glob("s2i_*.flac"))
    if not files:
        raise UserFacingError("Name recordings of what callers say with --audio.")
    if missing := [str(path) for path in files if not path.is_file()]:
        raise UserFacingError(f"{missing[0]}: there is no such file.")
    return tuple(map(str, files))


def load_by_phone(load: PhoneLoad, as_json: bool) -> int:
    """Run it and print the figures; the exit code."""
    figures = asyncio.run(run_phone_load(load, lambda text: print(text, file=sys.stderr)))
    print(json.dumps(figures) if as_json else text_of(figures))
    return 1 if problems(figures) else 0


def problems(figures: dict[str, Any]) -> list[str]:
    """What must not be, whatever the machine: calls that failed, hang, or were told nonsense."""
    found = [f"no call: {why}" for why in figures["not_connected"]]
    found += [f"the server wrote: {error}" for error in figures["protocol_errors"]]
    for reason in ("connection lost", "the agent hung up"):
        if count := figures["ended"].get(reason):
            found.append(f"{reason}: {count}")
    if figures["calls_left"]:
        found.append(f"calls that did not end: {figures['calls_left']:.0f}")
    if figures["provider_errors"]:
        found.append(f"failures of providers: {figures['provider_errors']:.0f}")
    return found


def text_of(figures: dict[str, Any]) -> str:
    """The figures for people."""
    frame, lag, heard = (figures[n] for n in ("server_frame_late", "server_loop_lag", "heard"))

    def ms(one: dict[str, Any]) -> str:
        return ", ".join(f"{part} {one[part]} ms" for part in ("p50", "p99", "p99.9"))

    lines = [
        told(figures),
        f"server, {figures['processes']} process(es), VAD {figures['vad']}, "
        f"{figures['seconds']:.0f} s:",
        f"  frames late: {ms(frame)}; within 20 ms {frame.get('within_20_ms')}",
        f"  event loop late: {ms(lag)}",
        f"  CPU: {figures['server_cpu_per_call_s']} s per second of a call, "
        f"{figures['server_cores']} cores in all; callers {figures['client_cores']} cores",
        f"  memory: {figures['rss_mb_one_call']} MB with one call, {figures['rss_mb_all_calls']} "
        f"with all, {figures['rss_mb_per_further_call']} MB per further call",
        f"callers late themselves: p99 {figures['client_late_p99_ms']}, "
        f"longest {figures['client_late_max_ms']} ms",
        f"what was heard of interrupted answers: {heard['interrupted']}, within one word of the "
        f"record {heard['within_one_word']}, most apart {heard['most_apart_words']} words; calls "
        f"without a trace {heard['calls_without_a_trace']}",
        *(f"PROBLEM {problem}" for problem in problems(figures)),
        *(f"the server said: {text}" for text in figures["server_complaints"]),
    ]
    return "\n".join(lines)
