"""`antiphon phone-sim`: call an agent's telephone line, without a telephone company."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from antiphon.bench.phone_figures import Expected, summarize, told
from antiphon.bench.phone_impair import Impairments
from antiphon.bench.phone_sim import Access, Made, make_calls, one_by_one, write_recording
from antiphon.bench.phone_sip import SipAccess, make_sip_calls
from antiphon.bench.phone_speech import Plan, Speech, Turn
from antiphon.errors import UserFacingError

Target = Annotated[
    str | None,
    typer.Argument(
        help="`ws://host/twilio/media`, or `sip:agent@host:port`; not with --voice.",
        show_default=False,
    ),
]
Audio = Annotated[
    list[Path] | None,
    typer.Option(help="A recording of the caller; each further one is played in reply."),
]
Voice = Annotated[
    str,
    typer.Option(metavar="URL", help="Ask this webhook first where the stream is."),
]
AuthTokenEnv = Annotated[
    str,
    typer.Option(metavar="NAME", help="Variable with the auth token that signs requests."),
]
PublicUrl = Annotated[
    str,
    typer.Option(metavar="URL", help="The server's public URL, where it is another one."),
]
FromNumber = Annotated[str, typer.Option("--from", help="The caller's number.")]
ToNumber = Annotated[str, typer.Option("--to", help="The number called.")]
SipUser = Annotated[
    str, typer.Option(help="Who calls over SIP; the password is in --auth-token-env.")
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="A parameter of the stream; may be repeated."),
]
Calls = Annotated[int, typer.Option(help="Calls at once.", min=1, max=500)]
BargeIn = Annotated[
    int | None,
    typer.Option(help="Speak so long after the agent's first sound, over it.", min=0),
]
Keys = Annotated[str, typer.Option(help="Keys to press after the greeting.")]
HangUpAfter = Annotated[
    int | None, typer.Option(metavar="MS", help="Hang up then, whatever happens.", min=20)
]
Jitter = Annotated[
    float, typer.Option(metavar="MS", help="The caller's frames come up to so late.", min=0)
]
Loss = Annotated[
    float, typer.Option(help="Share of the caller's frames that is lost.", min=0, max=1)
]
LateMarks = Annotated[
    float, typer.Option(metavar="MS", help="Marks come back up to so late.", min=0)
]
LoseMarks = Annotated[
    float, typer.Option(help="Share of marks that never come back.", min=0, max=1)
]
ClearRace = Annotated[bool, typer.Option("--clear-race", help="Marks cross a `clear`.")]
ChaosSeed = Annotated[
    int | None,
    typer.Option(help="Seed of the draws; alone it draws the impairments as well.", min=0),
]
Record = Annotated[
    Path | None,
    typer.Option(help="Write both sides, caller left; of more calls, -2, -3 and so on."),
]
MaxFirstAudio = Annotated[
    float | None, typer.Option(help="Longest wait for an answer's first sound.")
]
MaxGap = Annotated[float | None, typer.Option(help="Longest gap in the agent's audio.")]
MaxClear = Annotated[float | None, typer.Option(help="Longest from an interruption to `clear`.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the figures as JSON only.")]


def phone_sim(
    target: Target = None,
    audio: Audio = None,
    voice: Voice = "",
    auth_token_env: AuthTokenEnv = "",
    public_url: PublicUrl = "",
    caller: FromNumber = "+15550100100",
    called: ToNumber = "+15550100199",
    sip_user: SipUser = "caller",
    param: Parameters = None,
    calls: Calls = 1,
    barge_in_ms: BargeIn = None,
    keys: Keys = "",
    hang_up_after: HangUpAfter = None,
    jitter: Jitter = 0.0,
    loss: Loss = 0.0,
    late_marks: LateMarks = 0.0,
    lose_marks: LoseMarks = 0.0,
    clear_race: ClearRace = False,
    chaos_seed: ChaosSeed = None,
    record: Record = None,
    max_first_audio_ms: MaxFirstAudio = None,
    max_gap_ms: MaxGap = None,
    max_clear_ms: MaxClear = None,
    json_: AsJson = False,
) -> None:
    """Call an agent over Twilio's Media Streams, or SIP, with recordings and a bad line.

    Exit code 0 when all was as expected, 1 when not, 2 when no call came about.
    """
    _check(target, voice, keys)
    speeches = [Speech.read(path) for path in audio or ()]
    if not speeches and hang_up_after is None:
        raise UserFacingError("Name a recording with --audio, or an end with --hang-up-after.")
    turns = [Turn(speech, barge_in_ms) for speech in speeches]
    plan = Plan(turns, keys=keys, hang_up_after_ms=hang_up_after)
    over_sip = (target or "").startswith(("sip:", "sips:"))
    impairments = Impairments(jitter, loss, late_marks, lose_marks, clear_race)
    impairments = _weather(impairments, chaos_seed, over_sip)
    seed, wanted = chaos_seed or 0, record is not None
    expected = Expected(max_first_audio_ms, max_gap_ms, max_clear_ms)
    if over_sip:
        called_by = SipAccess(target or "", sip_user, _secret(auth_token_env))
        made = asyncio.run(
            make_sip_calls(called_by, [plan] * calls, impairments, seed=seed, record=wanted)
        )
        _end(made, expected, record, json_)
    access = Access(
        stream_url=target or "",
        voice_url=voice,
        auth_token=_secret(auth_token_env),
        public_url=public_url,
        caller=caller,
        called=called,
        parameters=_parameters(param or []),
    )
    made = asyncio.run(make_calls(access, [plan] * calls, impairments, seed=seed, record=wanted))
    _end(made, expected, record, json_)


def _check(target: str | None, voice: str, keys: str) -> None:
    if bool(target) == bool(voice):
        raise UserFacingError("Name either a stream, ws://host/twilio/media, or --voice URL.")
    if target and not target.startswith(("ws://", "wss://", "sip:", "sips:")):
        raise UserFacingError(f"{target}: an address begins with ws://, wss:// or sip:.")
    if voice and not voice.startswith(("http://", "https://")):
        raise UserFacingError(f"--voice {voice}: a webhook's address begins with http(s)://.")
    if wrong := set(keys) - set("0123456789*#"):
        raise UserFacingError(f"--keys: there is no key {''.join(sorted(wrong))!r}.")


def _weather(asked: Impairments, chaos_seed: int | None, over_sip: bool) -> Impairments:
    if over_sip:
        if asked != Impairments(loss=asked.loss):
            raise UserFacingError("Over SIP the line can be made worse by --loss alone.")
        return asked
    return (
        Impairments.drawn(chaos_seed)
        if chaos_seed is not None and asked == Impairments()
        else asked
    )


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


def _end(made: Made, expected: Expected, record: Path | None, as_json: bool) -> NoReturn:
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
        more = {"each": one_by_one(made.calls), "lines": made.lines, "failures": failures}
        print(json.dumps({**figures, **more}))
    else:
        print(told(figures))
        for line in made.lines:
            print("RTP: " + ", ".join(f"{name} {value}" for name, value in line.items()))
        for failure in failures:
            print(f"FAILED {failure}")
    raise typer.Exit(1 if failures else 0)
