"""How soon a caller hears something when providers fail: every provider has one that steps in, and
each fails a share of all requests and never answers as many others.

What is counted: for each time that the caller has finished speaking, the time to the agent's next
sound, whatever it says; the sounds are told apart by what they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.policy import Setup
from antiphon.sim.plan import Act, Kind, Phrase, Plan, When, between
from antiphon.sim.promise import Broken
from antiphon.sim.world import World

WITHIN_MS = 3000
ACTS = 6
_WORDS = ("small", "coffee", "window", "friday", "paper", "garden", "milk", "number")


@dataclass(frozen=True, slots=True)
class Heard:
    """What a caller heard after a turn: after how long, None where nothing came; and what it was,
    `answer`, `filler`, `repeat` (asked to say it again) or `apology`."""

    seed: int
    after_ms: int | None
    what: str

    @property
    def in_time(self) -> bool:
        """Whether it came within three seconds."""
        return self.after_ms is not None and self.after_ms <= WITHIN_MS


def outage_world(seed: int, rate: float) -> World:
    """A call of six turns whose providers fail at `rate`, and stall at `rate`."""
    rng = Random(seed)
    plan = Plan(Kind.TALKER, tuple(_act(rng, turn) for turn in range(ACTS)), None, True, 6000)
    setup = Setup(llms=2, voices=2, stts=2, recorded=True, greeting="Hello. How can I help you?")
    world = World(seed, (), plan=plan, setup=setup)
    world.vad.line = ""  # whose voice is heard is another question
    for member in (world.stt, world.llm, world.tts):
        member.error_chance = member.stall_chance = rate
    return world


def _act(rng: Random, turn: int) -> Act:
    count = between(rng, 2, 6)
    words = (f"{_WORDS[int(rng.random() * len(_WORDS))]}{turn * 10 + n}" for n in range(count))
    return Act(When.AFTER, between(rng, 200, 1200), (Phrase(tuple(words)),))


def heard_in(world: World) -> Iterator[Heard]:
    """What the caller heard after each turn of a world that has been run."""
    phrases = world.setup.phrases
    kinds = dict.fromkeys(phrases.filler + phrases.progress, "filler")
    kinds |= dict.fromkeys((*phrases.repeat, phrases.offer_text), "repeat")
    kinds |= dict.fromkeys((phrases.llm_failed, phrases.llm_gone, phrases.voice_gone), "apology")
    texts: dict[int, str] = {}
    ended_ms: int | None = None
    for event, commands in world.trace:
        if isinstance(event, e.UserSpeechStopped):
            ended_ms = event.speech_at_ms
        elif isinstance(event, e.PlaybackStarted | e.PlaybackProgressed) and ended_ms is not None:
            text = texts.get(event.response_id, "")
            what = next((k for start, k in kinds.items() if text and start.startswith(text)), "")
            yield Heard(world.seed, event.at_ms - ended_ms, what or "answer")
            ended_ms = None
        for command in commands:
            if isinstance(command, c.SynthesizeText):
                texts.setdefault(command.response_id, command.text)
    if ended_ms is not None and (world.ended_ms or 0) - ended_ms > WITHIN_MS:
        yield Heard(world.seed, None, "nothing")


def run_outage(turns: int, rate: float, start: int = 0) -> Iterator[Heard]:
    """As many turns as asked for, call after call.

    Raises:
        Broken: a promise that holds whatever fails did not.
    """
    count, seed = 0, start
    while count < turns:
        world = outage_world(seed, rate)
        broken: Broken | None = world.run()
        if broken is not None:
            raise broken
        for heard in heard_in(world):
            yield heard
            count += 1
        seed += 1
