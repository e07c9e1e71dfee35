"""The caller: a plan drawn from the seed, carried out while listening to the agent.

A plan is data, so that it can be printed and cut down. Every word that means something occurs once
in a call; what became of it can therefore be followed from the mouth to the turn it ended up in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import TYPE_CHECKING

from antiphon.engine.events import TextReceived, UserSpeechStarted, UserSpeechStopped

if TYPE_CHECKING:
    from antiphon.sim.world import World


class Kind(Enum):
    """What sort of person calls."""

    TALKER = "talker"
    HESITATOR = "hesitator"  # pauses in the middle of a turn
    INTERRUPTER = "interrupter"
    BACKCHANNELER = "backchanneler"
    MUMBLER = "mumbler"  # speaks, and no word is understood
    COUGHER = "cougher"
    SILENT = "silent"
    DICTATOR = "dictator"  # of numbers, in groups
    TYPIST = "typist"


class When(Enum):
    """When an act begins: so many milliseconds after what."""

    AFTER = "after the agent has spoken"
    DURING = "after the agent began to speak"


@dataclass(frozen=True, slots=True)
class Phrase:
    """Speech without a pause. `words` is empty for a sound of `sound_ms` that is no speech; words
    of a phrase with `clear` False are not understood. `pause_ms` is the silence after it."""

    words: tuple[str, ...]
    clear: bool = True
    sound_ms: int = 0
    pause_ms: int = 0


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that the caller does: phrases, or typed text."""

    when: When
    delay_ms: int
    phrases: tuple[Phrase, ...] = ()
    typed: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that the caller means to do. `hangs_up_ms`: the call ends then, whatever happens;
    `leaves`: hangs up after the last act was answered; `patience_ms`: longest wait for an answer
    before going on regardless."""

    kind: Kind
    acts: tuple[Act, ...]
    hangs_up_ms: int | None
    leaves: bool
    patience_ms: int


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word as it was really spoken."""

    text: str
    start_ms: int
    end_ms: int
    clear: bool


_KINDS = tuple(Kind)
_VOCABULARY = (
    "coffee", "table", "friday", "large", "please", "window", "order", "street", "tomorrow",
    "doctor", "change", "number", "morning", "ticket", "milk", "invoice", "garden", "paper",
)  # fmt: skip
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_BACKCHANNELS = (("mm-hm",), ("yeah",), ("right",), ("okay",), ("uh-huh", "right"))


def between(rng: Random, low: int, high: int) -> int:
    """An integer from `low` to `high`. `Random.random` is the one method whose results are
    guaranteed never to change."""
    return low + int(rng.random() * (high - low + 1))


class _Writer:
    """Draws a plan."""

    __slots__ = ("_count", "_rng")

    def __init__(self, rng: Random) -> None:
        self._rng, self._count = rng, 0

    def plan(self) -> Plan:
        rng = self._rng
        kind = _KINDS[int(rng.random() * len(_KINDS))]
        acts: tuple[Act, ...] = ()
        if kind is not Kind.SILENT:
            acts = tuple(self._act(kind) for _ in range(between(rng, 2, 5)))
        hangs_up_ms = between(rng, 0, 45_000) if rng.random() < 0.12 else None
        return Plan(kind, acts, hangs_up_ms, rng.random() < 0.6, between(rng, 5000, 9000))

    def _act(self, kind: Kind) -> Act:
        rng = self._rng
        if rng.random() < 0.15:  # everybody does everything now and then
            kind = _KINDS[int(rng.random() * len(_KINDS))]
        during = When.DURING if rng.random() < 0.7 else When.AFTER
        after, delay_ms = When.AFTER, between(rng, 0, 1200)
        if kind is Kind.TYPIST:
            when = When.DURING if rng.random() < 0.3 else after
            return Act(when, between(rng, 200, 3000), typed=" ".join(self._words(1, 5)))
        if kind is Kind.HESITATOR:
            return Act(after, delay_ms, self._phrases(2, 4, 300, 1300))
        if kind is Kind.DICTATOR:
            groups = tuple(
                Phrase(self._digits(), pause_ms=between(rng, 300, 1000))
                for _ in range(between(rng, 2, 4))
            )
            return Act(after, delay_ms, groups)
        if kind is Kind.INTERRUPTER:
            words = self._words(1, 6)
            if rng.random() < 0.3:
                words = ("stop", *words)
            return Act(during, between(rng, 50, 4000), (Phrase(words),))
        if kind is Kind.BACKCHANNELER:
            words = _BACKCHANNELS[int(rng.random() * len(_BACKCHANNELS))]
            return Act(during, between(rng, 100, 3500), (Phrase(words),))
        if kind is Kind.MUMBLER:
            return Act(after, delay_ms, (Phrase(self._words(2, 8), clear=False),))
        if kind is Kind.COUGHER:
            sounds = tuple(
                Phrase((), sound_ms=between(rng, 80, 700), pause_ms=between(rng, 100, 900))
                for _ in range(between(rng, 1, 3))
            )
            return Act(during, between(rng, 0, 4000), sounds)
        return Act(after, delay_ms, self._phrases(1, 2, 200, 600))

    def _phrases(self, fewest: int, most: int, low_ms: int, high_ms: int) -> tuple[Phrase, ...]:
        rng = self._rng
        return tuple(
            Phrase(self._words(1, 6), pause_ms=between(rng, low_ms, high_ms))
            for _ in range(between(rng, fewest, most))
        )

    def _words(self, fewest: int, most: int) -> tuple[str, ...]:
        return self._draw(_VOCABULARY, between(self._rng, fewest, most))

    def _digits(self) -> tuple[str, ...]:
        return self._draw(_DIGITS, between(self._rng, 2, 4))

    def _draw(self, words: tuple[str, ...], count: int) -> tuple[str, ...]:
        drawn = []
        for _ in range(count):
            self._count += 1
            drawn.append(f"{words[int(self._rng.random() * len(words))]}{self._count}")
        return tuple(drawn)


def draw_plan(rng: Random) -> Plan:
    """What the caller of one world means to do."""
    return _Writer(rng).plan()


class Caller:
    """Carries out a plan: speaks, and is heard by a voice activity detector with delays."""

    __slots__ = (
        "_agent_sounds",
        "_next",
        "_phrase",
        "_rng",
        "_token",
        "_vad_token",
        "_world",
        "act_done",
        "gone",
        "plan",
        "quiet_from_ms",
        "said",
        "speaking",
        "spoken",
        "vad_speaking",
    )

    def __init__(self, world: World, rng: Random, plan: Plan) -> None:
        self._world, self._rng, self.plan = world, rng, plan
        self._next = 0  # act
        self._phrase = 0  # of the act under way
        self._token = 0  # of the newest intention; older ones are off
        self._vad_token = 0
        self._agent_sounds = False
        self.speaking = False
        self.vad_speaking = False
        self.act_done = True
        self.gone = False
        self.quiet_from_ms = 0
        self.spoken: list[SpokenWord] = []
        self.said = ""  # of the act under way: "words", "mumble" or "" for noises

    # ---- what the caller hears --------------------------------------------------------------

    def call_started(self) -> None:
        """The line is open. Some wait for a greeting."""
        if self.plan.hangs_up_ms is not None:
            self._world.after(self.plan.hangs_up_ms, self._hang_up, "hung up")
        wait_ms = between(self._rng, 0, 1500)
        if self._world.setup.greeting:
            wait_ms += self.plan.patience_ms
        self._intend(wait_ms)

    def agent_started(self) -> None:
        """The agent became audible."""
        self._agent_sounds = True
        if self.speaking or not self.act_done:
            return
        act = self._upcoming()
        if act is not None and act.when is When.DURING:
            self._intend(act.delay_ms)
        elif self._rng.random() < 0.7:
            self._token += 1  # lets the agent speak first

    def agent_stopped(self) -> None:
        """The agent fell silent: finished, stopped or paused."""
        self._agent_sounds = False
        if self.speaking or not self.act_done:
            return
        act = self._upcoming()
        if act is None:
            if self.plan.leaves:
                self._world.after(between(self._rng, 500, 4000), self._leave, self._token)
        elif act.when is When.AFTER:
            self._intend(act.delay_ms)
        else:
            self._intend(self.plan.patience_ms)

    # ---- what the caller does ---------------------------------------------------------------

    def _upcoming(self) -> Act | None:
        acts = self.plan.acts
        return acts[self._next] if self._next < len(acts) else None

    def _intend(self, delay_ms: int) -> None:
        self._token += 1
        self._world.after(delay_ms, self._begin, self._token)

    def _begin(self, token: int) -> None:
        act = self._upcoming()
        if token != self._token or act is None or self.speaking or not self.act_done or self.gone:
            return
        self._next += 1
        if act.typed:
            self._world.send(TextReceived(self._world.now_ms, act.typed))
            self._world.caller_finished("typed")
            self._intend(self.plan.patience_ms)
            return
        self.act_done, self._phrase = False, 0
        self._speak(act)

    def _speak(self, act: Act) -> None:
        if self.gone:
            return
        now_ms, phrase = self._world.now_ms, act.phrases[self._phrase]
        self.speaking = True
        at_ms = now_ms
        for word in phrase.words:
            end_ms = at_ms + between(self._rng, 160, 420)
            self.spoken.append(SpokenWord(word, at_ms, end_ms, phrase.clear))
            at_ms = end_ms
        if phrase.words:
            self.said = "words" if phrase.clear else "mumble"
        else:
            at_ms = now_ms + phrase.sound_ms
        self._world.stt.caller_speaks(now_ms, at_ms)
        onset_ms = between(self._rng, 60, 140)
        if at_ms - now_ms > onset_ms:
            self._world.after(onset_ms, self._vad_on, now_ms)
        self._world.after(at_ms - now_ms, self._fall_silent, act)

    def _fall_silent(self, act: Act) -> None:
        world = self._world
        self.speaking = False
        self.quiet_from_ms = world.now_ms
        self._vad_token += 1
        world.after(between(self._rng, 180, 320), self._vad_off, self._vad_token)
        pause_ms = act.phrases[self._phrase].pause_ms
        self._phrase += 1
        if self._phrase < len(act.phrases):
            world.after(pause_ms, self._speak, act)
            return
        self.act_done = True
        world.caller_finished(self.said)
        self.said = ""
        self._intend(self.plan.patience_ms)
        following = self._upcoming()
        if following is not None and self._agent_sounds and following.when is When.DURING:
            self._intend(following.delay_ms)

    def _vad_on(self, started_ms: int) -> None:
        self._vad_token += 1
        if self.vad_speaking or self.gone:
            return
        self.vad_speaking = True
        at_ms = max(0, started_ms - between(self._rng, 0, 40))
        self._world.send(UserSpeechStarted(self._world.now_ms, at_ms))

    def _vad_off(self, token: int) -> None:
        if token != self._vad_token or self.speaking or not self.vad_speaking or self.gone:
            return
        self.vad_speaking = False
        self._world.send(UserSpeechStopped(self._world.now_ms, self.quiet_from_ms))

    def _leave(self, token: int) -> None:
        if token == self._token:
            self._hang_up("hung up")

    def _hang_up(self, reason: str) -> None:
        self._world.hang_up(reason)
