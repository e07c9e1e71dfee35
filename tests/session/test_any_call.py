"""Calls by chance: whatever the caller and the providers do, the promises hold.

The session has one fate per seed; each seed is a call of some seconds. `tests/sim` does the same to
the engine alone, a thousand times faster.
"""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
from tests.support.stage import SILENCE, Stage, agent, leftovers, providers, settle, speech

from antiphon.engine import codec
from antiphon.engine.conversation import Conversation
from antiphon.session.trace import TraceWriter

LONG = "One two three four five. Six seven eight nine ten. Would you like more?"
LOUD = speech(20)


def fate(rng: random.Random) -> dict[str, Any]:
    """Providers of one call, most of them well."""
    tools = [{"name": "place"}] if rng.random() < 0.5 else []
    replies = [{"text": LONG}, {"text": "Wait.", "tool_calls": tools}, {"text": "Done."}]
    llm: dict[str, Any] = {"replies": replies, "after_last": "cycle"}
    stt: dict[str, Any] = {"transcripts": ["a coffee", "mhm", "", "no stop"], "seed": 1}
    tts: dict[str, Any] = {"ms_per_word": 120, "word_times": rng.random() < 0.5}
    stt["partial_every_ms"] = rng.choice([0, 100])
    ill = rng.choice([None, None, llm, stt, tts])
    if ill is llm:
        llm[rng.choice(["fail_after_chunks", "hang_after_chunks"])] = rng.randrange(4)
    elif ill is stt:
        stt[rng.choice(["fail_at_utterance", "hang_at_utterance"])] = rng.randrange(3)
    elif ill is tts:
        tts[rng.choice(["fail_after_chunks", "hang_after_chunks"])] = rng.randrange(8)
    return {"llm": llm, "stt": stt, "tts": tts}


async def live(stage: Stage, rng: random.Random, frames: int) -> None:
    """The caller speaks, pauses, types and at last hangs up."""
    speaking, left = False, rng.randrange(40)
    for _ in range(frames):
        if stage.call.closed:
            return
        if not left:
            speaking, left = not speaking, rng.choice([3, 10, 30, 60])
        left -= 1
        if rng.random() < 0.005:
            stage.session.on_text("by the way")
        before = len(stage.call.of("response.done"))
        await stage.frame(LOUD if speaking else SILENCE)
        cut = [
            one
            for one in stage.call.of("response.done")[before:]
            if one["response"]["status"] == "cancelled"
        ]
        if cut and stage.state[1] != "speaking":
            # The fade that is left, then nothing: what was cancelled is not heard.
            await stage.frame(LOUD if speaking else SILENCE)
            if stage.state[1] not in ("speaking", "paused"):
                assert await stage.frame(LOUD if speaking else SILENCE) is None


@pytest.mark.parametrize("seed", range(12))
async def test_any_call_keeps_its_promises(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    runs: list[int] = []

    async def place() -> dict[str, int]:
        """Place the order."""
        runs.append(len(runs))
        return {"number": len(runs)}

    loaded = agent(place, greeting=rng.choice(["", "Welcome to the cafe."]))
    path = tmp_path / "trace.jsonl"
    trace = TraceWriter(path, loaded.setup)
    stage = Stage(loaded, providers(**fate(rng)), trace=trace)
    await stage.__aenter__()
    await live(stage, rng, 400)
    stage.session.hang_up("gone")
    async with asyncio.timeout(20):
        await stage.session.wait_closed()
    await settle()
    assert leftovers() == set()
    assert stage.call.closed[0] != "internal error"
    header, *steps = [json.loads(line) for line in path.read_text().splitlines()]
    conversation = Conversation(codec.decode_setup(header["setup"]))
    for step in steps:
        given = conversation.handle(codec.decode_event(step["event"]))
        assert [codec.encode(one) for one in given] == step["commands"]
    called = sum(one["type"] == "CallTool" for step in steps for one in step["commands"])
    assert len(runs) == called
    assert len(stage.call.of("response.created")) == len(stage.call.of("response.done"))
