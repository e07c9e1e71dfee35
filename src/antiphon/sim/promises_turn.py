"""Promises about what the caller says, and about being answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.commands import AgentState
from antiphon.sim.clock import BACK_MS
from antiphon.sim.plan import means_something
from antiphon.sim.promise import Promise

if TYPE_CHECKING:
    from antiphon.sim.world import World

_REFUSED = ("noise", "backchannel", "echo")
_KEYS = frozenset("0123456789*")


class _Understood:
    """What the recogniser has said of an utterance that is open: the newest text counts."""

    __slots__ = ("answered", "at_ms", "requested", "words")

    def __init__(self) -> None:
        self.requested = self.answered = 0
        self.at_ms = 0
        self.words: frozenset[str] = frozenset()


class TurnsAreAnswered(Promise):
    """A finished turn is answered at once by a generation, or its refusal is recorded; no word that
    was understood is lost on the way."""

    name = "3 every turn is answered or refused"
    __slots__ = (
        "_consent",
        "_key_ms",
        "_keys",
        "_lost",
        "_merged",
        "_open",
        "_spent",
        "_turns",
        "owed",
    )

    _LOST_MS = 5000

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._open: dict[int, _Understood] = {}
        self._lost: list[_Understood] = []  # ended without having been part of a turn
        self.owed: type[c.Command] | None = None  # what a reported turn must be followed by
        self._turns: dict[int, str] = {}
        self._merged = False
        self._spent = False  # there is no money for a generation
        self._consent = bool(world.setup.consent_question)  # is awaited
        self._keys = ""  # pressed and not part of a turn yet
        self._key_ms = 0

    def watches(self) -> dict[type, Callable[[Any], None]]:
        return {
            e.BudgetReached: self._on_budget,
            e.TranscriptUpdated: self._on_partial,
            e.TranscriptCompleted: self._on_final,
            e.TextReceived: self._on_typed,
            c.BeginUtterance: self._on_begin,
            c.FinalizeUtterance: self._on_finalize,
            c.EndUtterance: self._on_end,
            c.ReportTurn: self._on_turn,
            c.ReportResponse: self._on_response,
            c.StartGeneration: self._on_generation,
            c.ReportSpeculation: self._on_speculation,
            e.KeyPressed: self._on_key,
            c.ReportConsent: self._on_consent,
        }

    def _on_consent(self, command: c.ReportConsent) -> None:
        self._consent = False

    def crashed(self) -> None:
        # What was told of an utterance stays; what it would still have given is lost.
        self._lost.extend(known for known in self._open.values() if known.words)
        self._open.clear()

    def _on_budget(self, event: e.BudgetReached) -> None:
        self._spent = self._spent or event.level == "end"

    def _on_key(self, event: e.KeyPressed) -> None:
        if self.world.phone.collecting:
            return
        if event.key != "#" and not self.world.promises.ending:
            self._keys += event.key
            self._key_ms = self.world.now_ms

    def _on_speculation(self, command: c.ReportSpeculation) -> None:
        if command.outcome == "adopted":
            self.owed = None

    def _on_begin(self, command: c.BeginUtterance) -> None:
        self._open[command.utterance_id] = _Understood()

    def _on_finalize(self, command: c.FinalizeUtterance) -> None:
        if command.utterance_id in self._open:
            self._open[command.utterance_id].requested = command.revision

    def _on_partial(self, event: e.TranscriptUpdated) -> None:
        known = self._open.get(event.utterance_id)
        if known is not None and (not known.requested or known.answered < known.requested):
            self._note(known, event.text)

    def _on_final(self, event: e.TranscriptCompleted) -> None:
        known = self._open.get(event.utterance_id)
        if known is not None and known.answered < event.revision <= known.requested:
            known.answered = event.revision
            self._note(known, event.text)

    def _on_typed(self, event: e.TextReceived) -> None:
        if not self.world.promises.ending:
            known = _Understood()
            self._note(known, event.text)
            self._lost.append(known)

    def _note(self, known: _Understood, text: str) -> None:
        known.words = frozenset(word for word in text.split() if means_something(word))
        known.at_ms = self.world.now_ms

    def _on_end(self, command: c.EndUtterance) -> None:
        known = self._open.pop(command.utterance_id, None)
        if known is not None and known.words:
            self._lost.append(known)

    def _on_turn(self, command: c.ReportTurn) -> None:
        if command.outcome == "merged":
            self._merged = True
            return
        before = self._turns.get(command.turn_id)
        if before is not None and not (self._merged and command.text.startswith(before)):
            self.fail(f"turn {command.turn_id} was {before!r} and is now {command.text!r}")
        self._merged = False
        self._turns[command.turn_id] = command.text
        self._find_keys(command, before or "")
        words = set(command.text.split())
        lost = sum(map(means_something, words)) if command.outcome in _REFUSED else 0
        # One word in the agent's own voice come back may be what a recogniser made of it.
        if lost > (1 if self.world.vad.line else 0):
            self.fail(f"the words {command.text!r} are taken for {command.outcome}")
        for known in self._open.values():
            if known.words <= words:
                known.words = frozenset()
        self._lost = [known for known in self._lost if not known.words <= words]
        if command.outcome not in _REFUSED and not self.world.phone.away:
            answered = command.outcome == "answered" and not (self._spent or self._consent)
            self.owed = c.StartGeneration if answered else c.ReportResponse

    def _find_keys(self, command: c.ReportTurn, before: str) -> None:
        """Keys become part of a turn in the order in which they were pressed."""
        if command.source != "keys" and not self._keys:
            return  # digits may be spoken, too
        for word in command.text[len(before) :].split():
            if _KEYS.issuperset(word):
                if not self._keys.startswith(word):
                    self.fail(f"keys {self._keys} were pressed, the turn has {word}")
                self._keys = self._keys[len(word) :]

    def _on_response(self, command: c.ReportResponse) -> None:
        if command.status == "in_progress" and self.owed is c.ReportResponse:
            self.owed = None

    def _on_generation(self, command: c.StartGeneration) -> None:
        self.owed = None

    def after_step(self) -> None:
        """Called after every event."""
        if self.owed is not None:
            self.fail("a turn was reported and nothing answers it")

    def tick(self) -> None:
        world = self.world
        if not self._lost and not self._open and not self._keys:
            return
        if world.phone.excused:
            return
        if world.vad.speaking or world.engine.agent_state is not AgentState.LISTENING:
            return
        since_ms = max(self._key_ms, world.promises.quiet_from_ms)
        if self._keys and world.now_ms - since_ms > self._LOST_MS:
            self.fail(f"keys were pressed and lost: {self._keys}")
        for known in (*self._lost, *self._open.values()):
            since_ms = max(known.at_ms, world.promises.quiet_from_ms)
            if known.words and world.now_ms - since_ms > self._LOST_MS:
                self.fail(f"understood and then lost: {' '.join(sorted(known.words))}")


class NoSpeechIsDropped(Promise):
    """The beginning of an interruption reaches the recogniser, and none of the caller's speech is
    missed because the agent was speaking: an utterance is open whenever the caller speaks, begins
    no later than the speech, and follows the one before without a gap. When the caller pauses, the
    words so far are asked for at once. In push to talk the key stands for voice activity, which
    decides nothing."""

    name = "5 no speech is dropped"
    __slots__ = ("_asked", "_covered_ms", "_manual", "_open", "_speaking", "pending")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._open: set[int] = set()
        self._speaking = False
        self._asked = True  # for the words of what was said last
        self._covered_ms = 0  # speech from here on must be covered
        self.pending = False  # there is something to look at
        self._manual = world.setup.policy.endpointing.mode == "manual"

    def watches(self) -> dict[type, Callable[[Any], None]]:
        edges: dict[type, Callable[[Any], None]] = {
            e.UserSpeechStarted: self._on_started,
            e.UserSpeechStopped: self._on_stopped,
        }
        if self._manual:
            edges = {e.TalkKeyMoved: self._on_key}
        return {
            **edges,
            c.BeginUtterance: self._on_begin,
            c.FinalizeUtterance: self._on_finalize,
            c.EndUtterance: self._on_end,
        }

    def crashed(self) -> None:
        self._speaking = self.pending = False
        self._asked = True
        self._open.clear()

    def _on_key(self, event: e.TalkKeyMoved) -> None:
        if event.held and not self._speaking:
            self._speaking = self.pending = True
            self._covered_ms = self.world.engine_ms
        elif not event.held and self._speaking:
            self._speaking = self._asked = False
            self.pending = True

    def _on_finalize(self, command: c.FinalizeUtterance) -> None:
        self._asked = True
        self.pending = self._speaking

    def _on_started(self, event: e.UserSpeechStarted) -> None:
        self._speaking = self.pending = True
        self._covered_ms = event.speech_at_ms

    def _on_stopped(self, event: e.UserSpeechStopped) -> None:
        self._speaking = self._asked = False
        self.pending = True

    def _on_begin(self, command: c.BeginUtterance) -> None:
        if self._manual and not self._speaking:
            self.fail("recognising while the caller does not hold the key")
        if self._speaking and not self._open and command.speech_at_ms > self._covered_ms:
            self.fail(
                f"speech from {self._covered_ms} ms on, "
                f"recognised only from {command.speech_at_ms} ms on"
            )
        self._open.add(command.utterance_id)

    def _on_end(self, command: c.EndUtterance) -> None:
        self._open.discard(command.utterance_id)
        self._covered_ms = max(self._covered_ms, self.world.now_ms)

    def after_step(self) -> None:
        """Called after every event."""
        if self._speaking and not self._open:
            self.fail("the caller speaks and nothing is being recognised")
        if not self._asked:
            self.fail("the caller pauses and the words are not asked for")


class NoDeadAir(Promise):
    """After the true end of a turn the caller hears something within 3 s, whatever provider is
    slow, failing or silent; and after an answer was cut short by the death of the process. To
    replace a voice that fails may take 0.8 s more. Only where every voice fails is silence excused,
    for some seconds: there is nothing else to speak with. While an answer is under way it is never
    silent for long."""

    name = "6 no dead air"
    __slots__ = ("_dated_back_ms", "_interrupted", "_opened_ms", "_waiting_ms")

    _ANSWER_MS = 3000
    _REPLACED_MS = 800
    _TROUBLED_MS = 10_000
    _WITHIN_MS = 10_000

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._waiting_ms: int | None = None  # since when the caller waits to be answered
        self._opened_ms: dict[int, int] = {}
        # To an engine whose clock goes back the turn was over so much sooner.
        self._dated_back_ms = BACK_MS if world.faults.clock else 0
        self._interrupted = False  # an answer, by the death of the process

    def watches(self) -> dict[type, Callable[[Any], None]]:
        return {
            e.PlaybackStarted: self._on_started,
            e.KeyPressed: self._on_key,
            c.ReportTurn: self._on_turn,
            c.ReportResponse: self._on_response,
        }

    def _on_key(self, event: e.KeyPressed) -> None:
        if self.world.phone.collecting:
            self._waiting_ms = None  # who types does not wait

    def crashed(self) -> None:
        world = self.world
        busy = world.engine.agent_state is not AgentState.LISTENING
        self._interrupted = busy and world.promises.has_much_to_say()

    def restored(self) -> None:
        if self._interrupted or self._waiting_ms is not None:
            self._waiting_ms = self.world.now_ms

    def step(self, ms: int) -> None:
        if self._waiting_ms is not None:
            self._waiting_ms += ms
        for response_id in self._opened_ms:
            self._opened_ms[response_id] += ms

    def caller_finished(self, said: str) -> None:
        """The caller has said all of a turn."""
        crash = self.world.crash
        began_ms = self.world.caller.began_ms
        unheard = crash.down or began_ms <= (crash.restored_ms or -1)
        away = self.world.phone.away or began_ms <= self.world.phone.away_ms
        if said and not unheard and not away:
            self._waiting_ms = self.world.now_ms

    def _on_turn(self, command: c.ReportTurn) -> None:
        if command.outcome in _REFUSED:
            self._waiting_ms = None

    def _on_response(self, command: c.ReportResponse) -> None:
        if command.status == "in_progress":
            self._opened_ms[command.response_id] = self.world.now_ms

    def _on_started(self, event: e.PlaybackStarted) -> None:
        since_ms = self._waiting_ms
        opened_ms = self._opened_ms.get(event.response_id, 0) + self._dated_back_ms
        if since_ms is None or opened_ms < since_ms:
            return
        self._check(self.world.player.quiet_until_ms)
        self._waiting_ms = None

    def tick(self) -> None:
        world = self.world
        if world.player.playing or world.player.dead or world.promises.ending:
            return
        if world.phone.excused:
            self._waiting_ms = None
            return
        if not world.promises.is_protected:
            self._check(world.now_ms)
        elif self._waiting_ms is not None and self._waiting_ms > self._newest_ms():
            # What is said to an agent that is heard to its end is answered after that.
            self._waiting_ms = world.now_ms
        silent_ms = world.now_ms - max(world.promises.quiet_from_ms, self._newest_ms())
        busy = world.engine.agent_state is not AgentState.LISTENING
        if busy and silent_ms > self._WITHIN_MS and not world.vad.speaking:
            self.fail(f"{world.engine.agent_state}, and silent for {silent_ms} ms")

    def _newest_ms(self) -> int:
        return next(reversed(self._opened_ms.values()), 0)

    def _check(self, now_ms: int) -> None:
        world = self.world
        if self._waiting_ms is None or world.caller.speaking or world.vad.speaking:
            return
        if world.phone.excused:
            return
        silent_ms = now_ms - max(self._waiting_ms, world.promises.quiet_from_ms)
        limit_ms = self._ANSWER_MS
        if now_ms - world.tts.troubled_ms < self._TROUBLED_MS:
            limit_ms = self._TROUBLED_MS
        elif now_ms - world.tts.any_troubled_ms < self._TROUBLED_MS:
            limit_ms += self._REPLACED_MS
        if silent_ms > limit_ms:
            self.fail(f"the caller waits for an answer and hears nothing for {silent_ms} ms")
