"""The opening of a call: the notice, whether the caller agrees to be recorded, the greeting."""

from __future__ import annotations

from antiphon.engine import notice
from antiphon.engine.agent_turn import AgentTurn
from antiphon.engine.commands import ReportConsent, ReportTurn, StartRecording
from antiphon.engine.floor import Floor
from antiphon.engine.language import words_of

_YES_KEY = "1"
_EARLY_MS = 300
"""Words that began so long before the end of the question do not answer it."""
_ASKED = 2
"""Answers that are neither yes nor no, after which it is taken for a no."""
_REFUSED = "no consent"


class Opening:
    """See the module."""

    __slots__ = ("_agent", "_floor", "_unclear")

    def __init__(self, floor: Floor, agent: AgentTurn) -> None:
        self._floor, self._agent = floor, agent
        self._unclear = 0

    def begin(self) -> None:
        """The line is open."""
        setup = self._floor.setup
        first = notice.begin(self._floor)
        if first and not self._floor.consent and setup.greeting_protected:
            self._agent.say(f"{first} {setup.greeting}", protected=True)
        elif first:
            self._agent.say(first, protected=True)
            if not self._floor.consent:
                self._agent.own_sentence(setup.greeting)
        elif setup.greeting:
            self._agent.say(setup.greeting, protected=setup.greeting_protected)

    def answered(self, turn_id: int, text: str, source: str, began_ms: int) -> bool:
        """The caller has said something. True when it was about the recording, which is settled or
        asked again; it is then not answered otherwise."""
        floor = self._floor
        if self._agent.to_say == floor.setup.greeting:
            self._agent.own_sentence("")  # there is no need for it any more
        if not floor.consent:
            return False
        floor.history.add_user(turn_id, text)
        floor.out.append(ReportTurn(turn_id, text, "answered", source))
        early = source == "speech" and began_ms < floor.last_sound_ms - _EARLY_MS
        granted = None if early else self._understood(text, source)
        self._unclear += granted is None and not early
        if granted is None and self._unclear < _ASKED:
            self._agent.say(floor.setup.consent_question)
        else:
            self._settle(bool(granted), {"keys": "key", "text": "text"}.get(source, "voice"))
        return True

    def _understood(self, text: str, source: str) -> bool | None:
        if source == "keys":
            return text == _YES_KEY
        said, language = f" {' '.join(words_of(text))} ", self._floor.language
        if any(f" {phrase} " in said for phrase in language.no):
            return False
        return True if any(f" {phrase} " in said for phrase in language.yes) else None

    def _settle(self, granted: bool, by: str) -> None:
        floor, agent = self._floor, self._agent
        setup, phrases = floor.setup, floor.setup.phrases
        floor.consent = False
        floor.out.append(ReportConsent(granted, by))
        if granted:
            floor.out.append(StartRecording())
            agent.say(f"{phrases.consent_granted} {setup.greeting}".strip())
        elif setup.consent_required:
            agent.say(phrases.consent_end, end_call=_REFUSED)
        else:
            agent.say(f"{phrases.consent_refused} {setup.greeting}".strip())
