"""The caller: carries out a plan while listening to the agent."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from antiphon.engine.events import KeyPressed, TalkKeyMoved, TextReceived
from antiphon.sim.plan import Act, Plan, When, between
from antiphon.sim.vad import CALLER

if TYPE_CHECKING:
    from antiphon.sim.world import World


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word as it was really spoken."""

    text: str
    start_ms: int
    end_ms: int
    clear: bool


class Caller:
    """Speaks, types, presses keys; in worlds with push to talk, holds the key while speaking."""

    __slots__ = (
        "_agent_sounds",
        "_key_ms",
        "_manual",
        "_next",
        "_phrase",
        "_rng",
        "_token",
        "_world",
        "act_done",
        "began_ms",
        "gone",
        "holds_key",
        "plan",
        "quiet_from_ms",
        "said",
        "speaking",
        "spoken",
    )

    def __init__(self, world: World, rng: Random, plan: Plan) -> None:
        self._world, self._rng, self.plan = world, rng, plan
        self._manual = world.setup.policy.endpointing.mode == "manual"
        self._next = 0  # act
        self._phrase = 0  # of the act under way
        self._key_ms = 0  # when the newest key was pressed
        self._token = 0  # of the newest intention; older ones are off
        self._agent_sounds = False
        self.speaking = False
        self.holds_key = False
        self.act_done = True
        self.gone = False
        self.quiet_from_ms = 0
        self.began_ms = 0  # with the act under way, or the last one
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

    def step(self, ms: int) -> None:
        """The clock has gone ahead, and nobody has lived through it."""
        before_ms = self._world.now_ms - ms
        self.quiet_from_ms += ms
        self.began_ms += ms
        self._key_ms = -1  # a turn of keys is over after such a while
        for at in range(len(self.spoken) - 1, -1, -1):
            word = self.spoken[at]
            if word.end_ms <= before_ms:
                break
            self.spoken[at] = SpokenWord(
                word.text, word.start_ms + ms, word.end_ms + ms, word.clear
            )

    def restored(self) -> None:
        """Another process has the call: a key that is held is told again."""
        if self.holds_key:
            self._world.send(TalkKeyMoved(self._world.now_ms, held=True))

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
        world = self._world
        self._next += 1
        self.began_ms = world.now_ms
        if act.typed:
            world.caller_finished("typed")
            self._intend(self.plan.patience_ms)
            world.send(TextReceived(world.now_ms, act.typed))
            return
        self.act_done, self._phrase = False, 0
        if act.keys:
            self._press((act, 0))
        elif self._manual and _is_meant(act) and self._rng.random() < 0.9:
            self._move_key(held=True)
            world.after(between(self._rng, 100, 400), self._speak, act)
        else:
            self._speak(act)

    def _press(self, item: tuple[Act, int]) -> None:
        act, at = item
        world, rng = self._world, self._rng
        if self.gone:
            return
        if at + 1 < len(act.keys):
            gap_ms = between(rng, 150, 700) if rng.random() < 0.97 else between(rng, 2100, 3000)
            world.after(gap_ms, self._press, (act, at + 1))
        else:
            self.act_done = True
            self._intend(self.plan.patience_ms)
            keys_ms = world.setup.policy.endpointing.keys_ms
            ended = act.keys[at] == "#"
            if not ended or world.now_ms - self._key_ms < keys_ms:  # else it ends nothing any more
                wait_ms = 0 if ended else keys_ms
                world.after(wait_ms, self._pressed, (world.now_ms, act.keys))
        self.quiet_from_ms = self._key_ms = world.now_ms
        world.send(KeyPressed(world.now_ms, world.phone.seen(act.keys[at])))

    def _pressed(self, item: tuple[int, str]) -> None:
        world = self._world
        at_ms, keys = item
        if world.phone.is_one:
            return  # they may belong to a number
        if at_ms == self._key_ms and keys != "#":  # and no other key since
            world.caller_finished("keys")

    def _move_key(self, *, held: bool) -> None:
        world = self._world
        self.holds_key = held
        world.send(TalkKeyMoved(world.now_ms, held))
        if self._rng.random() < world.faults.duplicates:
            world.send(TalkKeyMoved(world.now_ms, held))

    def _speak(self, act: Act) -> None:
        if self.gone:
            return
        world, rng = self._world, self._rng
        now_ms, phrase = world.now_ms, act.phrases[self._phrase]
        self.speaking = True
        at_ms = now_ms
        for word in phrase.words:
            end_ms = at_ms + between(rng, 160, 420)
            self.spoken.append(SpokenWord(word, at_ms, end_ms, phrase.clear))
            at_ms = end_ms
        if not phrase.words:
            at_ms = now_ms + phrase.sound_ms
        elif not phrase.far:
            self.said = "words" if phrase.clear else "mumble"
        world.stt.caller_speaks(now_ms, at_ms)
        world.vad.far = phrase.far
        world.vad.sound(CALLER)
        world.after(at_ms - now_ms, self._fall_silent, act)

    def _fall_silent(self, act: Act) -> None:
        world = self._world
        self.speaking = False
        self.quiet_from_ms = world.now_ms
        world.vad.quiet(CALLER)
        world.stt.caller_pauses()
        pause_ms = act.phrases[self._phrase].pause_ms
        self._phrase += 1
        if self._phrase < len(act.phrases):
            world.after(pause_ms, self._speak, act)
            return
        self.act_done = True
        if self.holds_key:
            world.after(between(self._rng, 50, 500), self._release, self.said)
        elif not self._manual:
            world.caller_finished(self.said)
        self.said = ""
        self._intend(self.plan.patience_ms)
        following = self._upcoming()
        if following is not None and self._agent_sounds and following.when is When.DURING:
            self._intend(following.delay_ms)

    def _release(self, said: str) -> None:
        if self.speaking or self.gone or not self.holds_key:
            return  # goes on speaking before the finger has moved
        self._world.caller_finished(said)
        self._move_key(held=False)

    def _leave(self, token: int) -> None:
        if token == self._token:
            self._hang_up("hung up")

    def _hang_up(self, reason: str) -> None:
        self._world.hang_up(reason)


def _is_meant(act: Act) -> bool:
    """Whether the caller speaks to the agent: nobody holds the key to cough."""
    return any(phrase.words and not phrase.far for phrase in act.phrases)
