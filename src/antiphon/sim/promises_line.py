"""Promises about a telephone line: what is recorded, who is spoken to, who is passed on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.line import TRANSFERRED
from antiphon.sim.promise import Promise

if TYPE_CHECKING:
    from antiphon.sim.world import World


class RecordingIsAgreed(Promise):
    """Nothing is recorded before the notice was heard and, where it is asked for, before a yes; nor
    while a secret number is typed. The notice comes first; whether it was heard is said once."""

    name = "recording is agreed to"
    __slots__ = ("_agreed", "_paused", "_started", "_told")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        setup = world.setup
        self._told: bool | None = None if setup.disclosure else True
        self._agreed = not setup.consent_question
        self._started = self._paused = False

    def watches(self) -> dict[type, Callable[[Any], None]]:
        if not self.world.phone.is_one:
            return {}
        return {
            e.KeyPressed: self._on_key,
            c.ReportDisclosure: self._on_disclosure,
            c.ReportConsent: self._on_consent,
            c.StartRecording: self._on_start,
            c.PauseRecording: lambda k: self._pause(True),
            c.ResumeRecording: lambda k: self._pause(False),
            c.StartGeneration: self._on_generation,
        }

    def _pause(self, paused: bool) -> None:
        if self._paused is paused:
            self.fail("paused twice" if paused else "resumed, and was not paused")
        self._paused = paused

    def restored(self) -> None:
        self._paused = False

    def _on_key(self, event: e.KeyPressed) -> None:
        if self.world.phone.secret and self._started and not self._paused:
            self.fail("a secret number is typed while the call is recorded")
        if self.world.phone.secret and event.key.isdigit():
            self.fail("a secret digit is told")

    def _on_disclosure(self, command: c.ReportDisclosure) -> None:
        if self._told is not None:
            self.fail("what was heard of the notice is said twice")
        self._told = command.complete

    def _on_consent(self, command: c.ReportConsent) -> None:
        if self._agreed or not self._told:
            self.fail("nobody has asked")
        self._agreed = command.granted

    def _on_start(self, command: c.StartRecording) -> None:
        if self._started or not self._told or not self._agreed:
            self.fail("recorded without the caller's knowledge, or twice")
        self._started = True

    def _on_generation(self, command: c.StartGeneration) -> None:
        if not self._told and not self.world.phone.machine:
            self.fail("an answer begins before the notice was heard")

    def finish(self) -> None:
        if self.world.phone.is_one and self._told is None:
            self.fail("nobody says whether the notice was heard")


class TheAbsentAreLeftAlone(Promise):
    """While the line is on hold, or a person is being reached, nothing is said and nothing is
    generated; a caller is passed on once for each wish, and a call that was passed on ends."""

    name = "the absent are left alone"
    __slots__ = ("_connected", "_held", "_made", "_ringing", "_until_ms")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._made: set[str] = set()
        self._connected = self._held = False
        self._ringing = ""  # the wish for which a person is being reached
        self._until_ms = 0  # then it is given up

    def restored(self) -> None:
        self._ringing = ""

    def step(self, ms: int) -> None:
        self._ringing = ""  # to an engine that looks at the clock it may be over

    def watches(self) -> dict[type, Callable[[Any], None]]:
        if not self.world.phone.is_one:
            return {}
        return {
            e.LineHeld: self._on_held,
            e.TransferEnded: self._on_ended,
            c.TransferCall: self._on_transfer,
            c.StartGeneration: self._on_word,
            c.SynthesizeText: self._on_word,
            c.PlayAudio: self._on_word,
            c.EndCall: self._on_end,
        }

    def _on_word(self, command: Any) -> None:
        ringing = self._ringing and self.world.engine_ms < self._until_ms
        if self._held or ringing:
            self.fail(f"{type(command).__name__} while the caller is away")

    def _on_transfer(self, command: c.TransferCall) -> None:
        if command.tool_call_id in self._made:
            self.fail("passed on twice for one wish")
        self._made.add(command.tool_call_id)
        self._ringing = command.tool_call_id
        self._until_ms = self.world.engine_ms + command.deadline_ms

    def _on_held(self, event: e.LineHeld) -> None:
        self._held = event.held

    def _on_ended(self, event: e.TransferEnded) -> None:
        self._connected = self._connected or event.outcome == "connected"
        if event.tool_call_id == self._ringing:
            self._ringing = ""

    def _on_end(self, command: c.EndCall) -> None:
        if command.reason == TRANSFERRED and not self._connected:
            self.fail("the call ends as passed on, and nobody has answered")
