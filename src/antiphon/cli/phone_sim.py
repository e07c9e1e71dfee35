"""`antiphon phone-sim`: call an agent's telephone line, without a telephone company."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from antiphon.bench.phone_figures import Expected, summarize, told
from antiphon.bench.phone_impair import Impairments
from antiphon.bench.phone_sim import Access, Made, make_calls, one_by_one, write_recording
from antiphon.bench.phone_speech import Plan, Speech, Turn
from antiphon.errors import UserFacingError


def phone_sim(
    target: Annotated[
        str | None,
        typer.Argument(
            help="`ws://host/twilio/media`, or `sip:agent@host:port`; not with --voice.",
            show_default=False,
        ),
    ] = None,
    audio: Annotated[
        list[Path] | None,
        typer.Option(help="A recording of the caller; each further one is played in reply."),
    ] = None,
    voice: Annotated[
        str,
        typer.Option(metavar="URL", help="Ask this webhook first where the stream is."),
    ] = "",
    auth_token_env: Annotated[
        str,
        typer.Option(metavar="NAME", help="Variable with the auth token; requests are signed."),
    ] = "",
    public_url: Annotated[
        str,
        typer.Option(metavar="URL", help="The server's public URL, where it is another one."),
    ] = "",
    caller: Annotated[str, typer.Option("--from", help="The caller's number.")] = "+15550100100",
    called: Annotated[str, typer.Option("--to", help="The number called.")] = "+15550100199",
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter of the stream; may be repeated."),
    ] = None,
    calls: Annotated[int, typer.Option(help="Calls at once.", min=1, max=500)] = 1,
    barge_in_ms: Annotated[
        int | None,
        typer.Option(help="Speak so long after the agent's first sound, over it.", min=0),
    ] = None,
    keys: Annotated[str, typer.Option(help="Keys to press after the greeting.")] = "",
    hang_up_after: Annotated[
        int | None, typer.Option(metavar="MS", help="Hang up then, whatever happens.", min=20)
    ] = None,
    jitter: Annotated[
        float, typer.Option(metavar="MS", help="The caller's frames come up to so late.", min=0)
    ] = 0.0,
    loss: Annotated[
        float, typer.Option(help="Share of the caller's frames that is lost.", min=0, max=1)
    ] = 0.0,
    late_marks: Annotated[
        float, typer.Option(metavar="MS", help="Marks come back up to so late.", min=0)
    ] = 0.0,
    lose_marks: Annotated[
        float, typer.Option(help="Share of marks that never come back.", min=0, max=1)
    ] = 0.0,
    clear_race: Annotated[
        bool, typer.Option("--clear-race", help="Marks cross a `clear`.")
    ] = False,
    chaos_seed: Annotated[
        int | None,
        typer.Option(help="Seed of the draws; alone it draws the impairments as well.", min=0),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(help="Write both sides, caller left; of more calls, -2, -3 and so on."),
    ] = None,
    max_first_audio_ms: Annotated[
        float | None, typer.Option(help="Longest wait for an answer's first sound.")
    ] = None,
    max_gap_ms: Annotated[
        float | None, typer.Option(help="Longest gap in the agent's audio.")
    ] = None,
    max_clear_ms: Annotated[
        float | None, typer.Option(help="Longest from an interruption to `clear`.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print the figures as JSON only.")] = False,
) -> None:
    """Call an agent over Twilio's Media Streams, or SIP, with recordings and a bad line.

    Exit code 0 when all was as expected, 1 when not, 2 when no call came about.
    """
    _check(target, voice, keys)
    speeches = [Speech.read(path) for path in audio or ()]
    if not speeches and hang_up_after is None:
        raise UserFacingError("Name a recording with --audio, or an end with --hang-up-after.")
    plan = Plan(
        [Turn(speech, barge_in_ms) for speech in speeches],
        keys=keys,
        hang_up_after_ms=hang_up_after,
    )
    impairments = Impairments(jitter, loss, late_marks, lose_marks, clear_race)
    if chaos_seed is not None and impairments == Impairments():
        impairments = Impairments.drawn(chaos_seed)
    access = Access(
        stream_url=target or "",
        voice_url=voice,
        auth_token=_secret(auth_token_env),
        public_url=public_url,
        caller=caller,
        called=called,
        parameters=_parameters(param or []),
    )
    seed, wanted = chaos_seed or 0, record is not None
    made = asyncio.run(make_calls(access, [plan] * calls, impairments, seed=seed, record=wanted))
    _end(made, Expected(max_first_audio_ms, max_gap_ms, max_clear_ms), record, json_)


def _check(target: str | None, voice: str, keys: str) -> None:
    if bool(target) == bool(voice):
        raise UserFacingError("Name either a stream, ws://host/twilio/media, or --voice URL.")
    if target and not target.startswith(("ws://", "wss://")):
        raise UserFacingError(f"{target}: a stream's address begins with ws:// or wss://.")
    if voice and not voice.startswith(("http://", "https://")):
        raise UserFacingError(f"--voice {voice}: a webhook's address begins with http(s)://.")
    if wrong := set(keys) - set("0123456789*#"):
        raise UserFacingError(f"--keys: there is no key {''.join(sorted(wrong))!r}.")


def _secret(name: str) -> str:
    if not name:
        return ""
    if not os.environ.get(name):
        raise UserFacingError(f"The variable {name} is not set: it holds the auth token.")
    return os.environ[name]


def _parameters(pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise UserFacingError(f"--param {pair}: write NAME=VALUE.")
    return dict(pair.split("=", 1) for pair in pairs)


def _end(made: Made, expected: Expected, record: Path | None, as_json: bool) -> None:
    if made.not_connected and not made.calls:
        raise UserFacingError(made.not_connected[0])
    for number, call in enumerate(made.calls):
        if record is not None:
            name = record.stem + (f"-{number + 1}" if number else "")
            write_recording(call, record.with_name(name + record.suffix))
    figures: dict[str, Any] = summarize(made.calls)
    failures = expected.failures(figures)
    failures += [f"no call: {reason}" for reason in made.not_connected]
    if as_json:
        print(json.dumps({**figures, "each": one_by_one(made.calls), "failures": failures}))
    else:
        print(told(figures))
        for failure in failures:
            print(f"FAILED {failure}")
    raise typer.Exit(1 if failures else 0)
