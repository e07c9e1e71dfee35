"""`antiphon phone-sim`: callers over a company's media stream, one or many at once."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antiphon.bench.phone_caller import SimCall
from antiphon.bench.phone_impair import Impairments
from antiphon.bench.phone_line import Caller, NotConnected, ask_voice, incoming_form
from antiphon.bench.phone_speech import RATE_HZ, Plan
from antiphon.bench.phone_wire import Line, StreamPlace, sign

SPREAD_S = 0.037
"""Calls that are made at once begin so long after each other, so that their frames do, too."""


@dataclass(frozen=True, slots=True)
class Access:
    """How the stream is reached: at `stream_url`, or where the webhook at `voice_url` says. With
    `auth_token` both are signed, for `public_url` where the server has another name."""

    stream_url: str = ""
    voice_url: str = ""
    auth_token: str = ""
    public_url: str = ""
    caller: str = "+15550100100"
    called: str = "+15550100199"
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Made:
    """The calls, and those that did not come about, with the reason. `lines` has what RTP tells of
    each, where there is any."""

    calls: list[SimCall] = field(default_factory=list)
    not_connected: list[str] = field(default_factory=list)
    lines: list[dict[str, float]] = field(default_factory=list)


async def make_calls(
    access: Access,
    plans: Sequence[Plan],
    impairments: Impairments,
    *,
    seed: int = 0,
    record: bool = False,
    speed: float = 1.0,
) -> Made:
    """One call for each plan, all at the same time."""
    made = Made()

    async def one(number: int, plan: Plan) -> None:
        await asyncio.sleep(number * SPREAD_S / speed)
        call_number = secrets.token_hex(16)
        try:
            place, headers = await _place(access, call_number)
            line = Line(call_number, place.parameters)
            call = SimCall(line, plan, impairments, seed=seed, number=number, record=record)
            await Caller(call, place.url, headers, speed=speed).run()
        except NotConnected as error:
            made.not_connected.append(str(error))
        else:
            made.calls.append(call)

    async with asyncio.TaskGroup() as group:
        for number, plan in enumerate(plans):
            group.create_task(one(number, plan))
    return made


async def _place(access: Access, call_number: str) -> tuple[StreamPlace, dict[str, str]]:
    """Where to connect, and the handshake's signature."""
    place = StreamPlace(access.stream_url, access.parameters)
    if access.voice_url:
        account = Line(call_number).account_sid
        form = incoming_form("CA" + call_number, account, access.caller, access.called)
        place = await ask_voice(access.voice_url, form, access.auth_token, access.public_url)
    if not access.auth_token:
        return place, {}
    return place, {"X-Twilio-Signature": sign(access.auth_token, _public(place.url, access))}


def _public(stream_url: str, access: Access) -> str:
    """The stream's address as Twilio would sign it."""
    if not access.public_url:
        return stream_url
    host = access.public_url.rstrip("/").replace("http", "ws", 1)
    return host + "/" + stream_url.split("/", 3)[-1]


def write_recording(call: SimCall, path: Path) -> None:
    """Both sides as they were at the caller's end: caller left, agent right, 8 kHz."""
    from antiphon.audio.g711 import decode
    from antiphon.audio.wav import StereoWavWriter

    said = b"".join(base64.b64decode(frame) for frame in call.said or ())
    heard = bytes(call.playout.track or b"")[: len(said)]
    with StereoWavWriter(path, RATE_HZ) as writer:
        writer.write(decode(said, "mulaw"), decode(heard, "mulaw"))


def one_by_one(calls: Sequence[SimCall]) -> list[dict[str, Any]]:
    """What each call gave, for `--json`."""
    return [
        {
            "ended": call.measured.ended,
            "turns": call.measured.turns,
            "first_audio_ms": [round(ms, 1) for ms in call.measured.first_audio_ms],
            "clear_ms": [round(ms, 1) for ms in call.measured.clear_ms],
            "answers": [
                {
                    "first_ms": round(answer.first_ms, 1),
                    "sound_ms": round(answer.sound_ms, 1),
                    "gaps_ms": [round(gap, 1) for gap in answer.gaps_ms],
                    "cleared_ms": None if answer.cleared_ms is None else round(answer.cleared_ms),
                }
                for answer in call.playout.answers
            ],
        }
        for call in calls
    ]
