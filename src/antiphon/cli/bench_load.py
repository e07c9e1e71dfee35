"""`antiphon bench load`: many calls at once, and what callers notice when providers fail."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from antiphon.bench.load import WITHIN_MS, Figures, Load, run_load
from antiphon.bench.phone_load import PhoneLoad
from antiphon.bench.rtc_load import RtcLoad
from antiphon.cli.bench_phone import load_by_phone, recordings_of_callers
from antiphon.cli.bench_rtc import load_by_browser
from antiphon.errors import UserFacingError

CHANNELS = ("twilio", "webrtc")

_Channel = Annotated[
    str | None,
    typer.Option(help="`twilio` or `webrtc`: servers in other processes, --calls at once."),
]
_Seconds = Annotated[
    float, typer.Option(help="With a channel: length of each call.", min=5, max=3600)
]
_Processes = Annotated[
    int, typer.Option(help="With a channel: server processes for the calls.", min=1)
]
_Audio = Annotated[
    list[Path] | None, typer.Option(help="With a channel: what callers say; may be repeated.")
]
_Vad = Annotated[
    Literal["silero", "energy"], typer.Option(help="With a channel: the voice detector.")
]
_QuietAgent = Annotated[
    bool, typer.Option("--quiet-agent", help="With webrtc: the agent listens and says nothing.")
]
_Loss = Annotated[float, typer.Option(help="With webrtc: percent of packets lost.", min=0, max=90)]
_Jitter = Annotated[
    float, typer.Option(help="With webrtc: packets come up to so many ms late.", min=0)
]
_MaxLag = Annotated[
    float, typer.Option(help="With webrtc: as for `serve`; 0 takes any call.", min=0)
]
_MaxBusy = Annotated[float, typer.Option(help="The same.", min=0, max=1)]


def load(
    calls: Annotated[int, typer.Option(help="Calls in all.", min=1, max=100_000)] = 200,
    at_once: Annotated[int, typer.Option(help="Calls at a time.", min=1, max=2000)] = 20,
    turns: Annotated[int, typer.Option(help="Turns of each call.", min=1, max=1000)] = 5,
    faults: Annotated[
        float,
        typer.Option(
            help="Share of its requests that every provider fails; it stalls at as many.",
            min=0,
            max=1,
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Start of the draws.", min=0)] = 0,
    traces: Annotated[
        Path | None, typer.Option(help="Folder for the calls' traces, for `antiphon replay`.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as JSON only.")] = False,
    channel: _Channel = None,
    seconds: _Seconds = 60.0,
    processes: _Processes = 1,
    audio: _Audio = None,
    vad: _Vad = "silero",
    quiet_agent: _QuietAgent = False,
    loss: _Loss = 0.0,
    jitter: _Jitter = 0.0,
    max_lag_ms: _MaxLag = 0.0,
    max_busy: _MaxBusy = 0.0,
) -> None:
    """Make many calls in real time, with scripted providers: in this process, or with --channel
    over the network to servers in their own.

    Exit code 1 when after more than one turn in ten thousand nothing was heard within three
    seconds, or a call by a channel failed.
    """
    if channel == "twilio":
        files = recordings_of_callers(audio)
        phone = PhoneLoad(files, calls, seconds, processes, seed, vad)
        raise typer.Exit(load_by_phone(phone, json_))
    if channel == "webrtc":
        files = recordings_of_callers(audio)
        way = (quiet_agent, loss / 100, jitter, max_lag_ms, max_busy)
        rtc = RtcLoad(files, calls, seconds, processes, seed, vad, *way)
        raise typer.Exit(load_by_browser(rtc, json_))
    if channel is not None:
        raise UserFacingError(f"--channel {channel}: there are {' and '.join(CHANNELS)}.")
    told = {"done": 0}

    def tell(done: int, of: int) -> None:
        if done * 10 // of > told["done"]:
            told["done"] = done * 10 // of
            print(f"{done} of {of} calls", file=sys.stderr)

    figures = asyncio.run(run_load(Load(calls, at_once, turns, faults, seed, traces), tell))
    summary = _summary(figures)
    print(json.dumps(summary) if json_ else _text(summary))
    missed = figures.turns - sum(ms <= WITHIN_MS for ms in figures.answers_ms)
    raise typer.Exit(1 if missed * 10_000 > figures.turns else 0)


def _summary(figures: Figures) -> dict[str, Any]:
    times, late = sorted(figures.answers_ms), sorted(figures.late_ms)
    return {
        "turns": figures.turns,
        "heard_in_time": round(figures.in_time, 5),
        "p50_ms": _at(times, 0.5),
        "p95_ms": _at(times, 0.95),
        "p99_ms": _at(times, 0.99),
        "longest_ms": _at(times, 1.0),
        "heard": dict(figures.heard),
        "slow": figures.slow[:20],
        "ended_early": dict(figures.ended_early),
        "provider_errors": dict(figures.provider_errors),
        "cores_per_call": round(figures.cpu_s / max(1e-9, figures.call_s), 4),
        "loop_late_p99_ms": round(_at(late, 0.99), 1),
    }


def _at(ordered: list[Any], share: float) -> Any:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


def _text(summary: dict[str, Any]) -> str:
    def listed(counts: dict[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"

    return "\n".join(
        (
            f"{summary['turns']:,} turns; something was heard within {WITHIN_MS / 1000:.0f} s "
            f"after {100 * summary['heard_in_time']:.2f} %",
            f"from the caller's last sound to the agent's first: p50 {summary['p50_ms']}, "
            f"p95 {summary['p95_ms']}, p99 {summary['p99_ms']}, "
            f"longest {summary['longest_ms']} ms",
            f"heard in the end: {listed(summary['heard'])}",
            *(f"{call}: {ms} ms" for call, ms in summary["slow"]),
            f"calls that ended early: {listed(summary['ended_early'])}",
            f"failures of providers: {listed(summary['provider_errors'])}",
            f"{summary['cores_per_call']} cores a call, callers included; event loop late p99 "
            f"{summary['loop_late_p99_ms']} ms",
        )
    )
