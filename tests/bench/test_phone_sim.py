"""Several callers at once, their recordings, and how they are reached."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from antiphon.bench.phone_impair import Impairments
from antiphon.bench.phone_sim import Access, make_calls, one_by_one, write_recording
from antiphon.bench.phone_speech import Plan, Turn

from .phone_double import Double, running
from .test_phone_caller import SPEECH


async def test_calls_are_made_at_once_and_recorded(tmp_path: Path) -> None:
    plans = [Plan([Turn(SPEECH)]), Plan([Turn(SPEECH)])]
    async with running(Double()) as double:
        access = Access(stream_url=double.url, parameters={"token": "t"})
        made = await make_calls(access, plans, Impairments(), record=True, speed=10)
    assert not made.not_connected
    assert [one["ended"] for one in one_by_one(made.calls)] == ["the caller was done"] * 2
    starts = [one for one in double.got if one["event"] == "start"]
    assert len({one["streamSid"] for one in starts}) == 2
    assert starts[0]["start"]["customParameters"] == {"token": "t"}
    write_recording(made.calls[0], tmp_path / "call.wav")
    sound, rate = soundfile.read(tmp_path / "call.wav", dtype="int16")
    assert rate == 8000
    caller, agent = np.abs(sound.astype(int)).max(axis=0)
    assert caller > 8000
    assert agent > 8000
    # They take turns: nobody speaks over the other.
    both = (np.abs(sound.astype(int)) > 4000).all(axis=1)
    assert both.sum() < 200


async def test_calls_that_do_not_come_about_are_told() -> None:
    access = Access(voice_url="http://127.0.0.1:9/twilio/voice", auth_token="t")
    made = await make_calls(access, [Plan(hang_up_after_ms=100)] * 2, Impairments())
    assert not made.calls
    assert len(made.not_connected) == 2
