"""What only a telephone line does: numbers that are typed, passing the caller to a person, a line
on hold, an answering machine.
"""

from __future__ import annotations

import json

from antiphon.engine import events as e
from antiphon.engine import notice
from antiphon.engine.agent_turn import AgentTurn
from antiphon.engine.commands import (
    CollectDigits,
    DigitsCollected,
    PauseRecording,
    ResumeRecording,
    TransferCall,
)
from antiphon.engine.dead_air import Due, earlier
from antiphon.engine.floor import Collecting, Floor
from antiphon.engine.history import CUT_OFF, NOT_TRANSFERRED, REFUSED, TYPED
from antiphon.engine.language import words_of
from antiphon.engine.policy import Digits
from antiphon.engine.response import Response, ResponseState, Then
from antiphon.engine.user_turn import END_OF_KEYS, Phase
from antiphon.engine.voice_turn import NO_VOICE, VoiceTurn
from antiphon.types import DIGITS_TOOL, TRANSFER_TOOL, ToolCall

MACHINE = "answering machine"
TRANSFERRED = "transferred"
_BEGIN_ANEW = "*"
_TRIES = 2
_GRACE_MS = 2000
"""Past its deadline, before a transfer of which nobody tells is given up."""
_SPOKE = '{"error": "the caller spoke instead of typing"}'
_ON_FAILURE = "on_failure"


class Line:
    """See the module."""

    __slots__ = ("_agent", "_floor", "_message", "_transfer_due_ms", "_tried", "_voice")

    def __init__(self, floor: Floor, agent: AgentTurn, voice: VoiceTurn) -> None:
        self._floor, self._agent, self._voice = floor, agent, voice
        self._message: str | None = None  # for a machine; empty once it was said
        self._transfer_due_ms = 0
        self._tried = False  # the person who gets the caller when all else fails

    # ---- tools -----------------------------------------------------------------------------

    def takes(self, response: Response, call: ToolCall) -> bool:
        """Whether the tool is one of the line's; then it is under way from here on."""
        if call.name == TRANSFER_TOOL:
            response.then = Then(call.tool_call_id, call.arguments)
            response.lead_in = self._floor.setup.phrases.transferring
            return True
        spec = self._digits(call) if call.name == DIGITS_TOOL else None
        if spec is None:
            return False
        response.lead_in, response.tools_called = spec.ask, True
        self._collect(Collecting(call.tool_call_id, spec))
        return True

    def _digits(self, call: ToolCall) -> Digits | None:
        try:
            name = json.loads(call.arguments or "{}").get("name")
        except (ValueError, AttributeError):
            return None  # the session says what is wrong
        known = self._floor.setup.digits
        return next((one for one in known if one.name == name), None)

    def gave_up(self, response: Response) -> bool:
        """The agent can do nothing more for the caller. True when somebody else may."""
        floor, target = self._floor, self._floor.setup.transfer_on_failure
        if not target or self._tried:
            return False
        self._tried = True
        call = ToolCall(_ON_FAILURE, TRANSFER_TOOL, json.dumps({"target": target}))
        floor.history.add_tool_call(response.response_id, call)
        response.then = Then(call.tool_call_id, call.arguments)
        return True

    # ---- a number that is typed ------------------------------------------------------------

    def _collect(self, collecting: Collecting) -> None:
        floor = self._floor
        self.abandon()
        floor.digits = collecting
        limit_ms = floor.policy.dead_air.tool_deadline_ms
        self._agent.open_tools[collecting.tool_call_id] = floor.now_ms + max(limit_ms, 120_000)
        if collecting.spec.secret:
            floor.out.append(PauseRecording())
        self._begin(collecting)

    def _begin(self, collecting: Collecting) -> None:
        spec = collecting.spec
        collecting.count, collecting.key_ms = 0, self._floor.now_ms
        self._floor.out.append(CollectDigits(collecting.tool_call_id, spec.name, spec.secret))

    def on_key(self, key: str) -> None:
        """A key of the number."""
        collecting = self._floor.digits
        assert collecting is not None
        collecting.key_ms = self._floor.now_ms
        if self._agent.to_say.endswith(collecting.spec.ask):
            self._agent.own_sentence("")  # they know
        if key == _BEGIN_ANEW:
            self._begin(collecting)
        elif key == END_OF_KEYS:
            self._typed()
        else:
            collecting.count += 1
            if collecting.count >= collecting.spec.most:
                self._typed()

    def _typed(self) -> None:
        """No further key: enough, or once more, or nothing."""
        floor, collecting = self._floor, self._floor.digits
        assert collecting is not None
        spec = collecting.spec
        collecting.tries += 1
        if collecting.count >= spec.least:
            self._over("complete")
        elif collecting.tries < _TRIES:
            self._begin(collecting)
            self._agent.own_sentence(f"{floor.setup.phrases.digits_again} {spec.ask}")
        else:
            self._over("nothing")

    def _over(self, outcome: str) -> None:
        floor, collecting = self._floor, self._floor.digits
        assert collecting is not None
        floor.digits = None
        spec = collecting.spec
        self._agent.notes[collecting.tool_call_id] = TYPED
        floor.out.append(DigitsCollected(collecting.tool_call_id, spec.name, outcome))
        if spec.secret:
            floor.out.append(ResumeRecording())

    def on_turn(self, text: str) -> None:
        """The caller has said something, whatever was to happen."""
        floor = self._floor
        self.abandon()
        if floor.then is not None and floor.language.stop_words.intersection(words_of(text)):
            floor.history.set_output(floor.then.tool_call_id, NOT_TRANSFERRED)
            floor.then = None

    def abandon(self) -> None:
        """The number will not be typed."""
        floor, collecting = self._floor, self._floor.digits
        if collecting is None:
            return
        self._over("abandoned")
        self._agent.open_tools.pop(collecting.tool_call_id, None)
        self._agent.notes.pop(collecting.tool_call_id, None)
        floor.history.set_output(collecting.tool_call_id, _SPOKE)

    # ---- somebody else ---------------------------------------------------------------------

    def _transfer(self) -> None:
        floor, then = self._floor, self._floor.then
        assert then is not None
        floor.then, floor.transfer = None, then.tool_call_id
        wait_ms = floor.policy.dead_air.transfer_deadline_ms
        self._transfer_due_ms = floor.now_ms + wait_ms + _GRACE_MS
        floor.out.append(TransferCall(then.tool_call_id, then.arguments, wait_ms))

    def on_transfer_ended(self, event: e.TransferEnded) -> None:
        """What came of it; late news are dropped."""
        floor = self._floor
        if floor.transfer is None or floor.transfer != event.tool_call_id:
            return
        floor.transfer, floor.idle_from_ms = None, floor.now_ms
        if event.outcome == "connected":
            floor.history.set_output(event.tool_call_id, '{"status": "connected"}')
            self._voice.end_call(TRANSFERRED)
            return
        why = {"error": event.detail or event.outcome.replace("_", " ")}
        floor.history.set_output(event.tool_call_id, json.dumps(why, ensure_ascii=False))
        if event.outcome == "refused":
            self._agent.unreported = REFUSED
        else:
            self._agent.own_sentence(floor.setup.phrases.transfer_failed)

    def _transfer_lost(self) -> None:
        assert self._floor.transfer is not None
        failed = e.TransferEnded(self._floor.now_ms, self._floor.transfer, "failed")
        self.on_transfer_ended(failed)

    # ---- on hold ---------------------------------------------------------------------------

    def on_held(self, event: e.LineHeld) -> None:
        """Nothing is said to a line on hold; what was not heard is said once it is back."""
        floor, response = self._floor, self._floor.response
        if event.held is floor.held:
            return
        floor.held, floor.idle_from_ms = event.held, floor.now_ms
        if not event.held:
            return
        self._agent.drop_prepared()
        if response is None or response.state is ResponseState.FLUSHING:
            return
        if response.working:
            self._voice.stop("hold")
            self._agent.unreported = CUT_OFF
        else:
            self._voice.put_off("hold")

    # ---- a machine -------------------------------------------------------------------------

    def on_machine(self, event: e.MachineAnswered) -> None:
        """Nobody is there: leave the message, if there is one, and hang up."""
        floor, agent, voice = self._floor, self._agent, self._voice
        agent.drop_prepared()
        self.abandon()
        notice.missed(floor)
        floor.consent, floor.then = False, None
        voice.rest = voice.rest_end = agent.to_say = agent.unreported = ""
        floor.user.restart(floor.now_ms)
        if floor.response is not None:
            voice.stop(MACHINE)
        self._message = event.message
        if not event.message:
            voice.end_call(MACHINE)

    def _leave_message(self) -> None:
        message, self._message = self._message, ""
        if message:
            self._agent.say(message, protected=True)
        else:
            self._voice.end_call(MACHINE)

    # ---- the call goes on in another process -----------------------------------------------

    def restore(self) -> None:
        """Nobody types, and nobody is being reached any more."""
        self._floor.digits = None
        if self._floor.transfer is not None:
            self._transfer_lost()

    # ---- deadlines -------------------------------------------------------------------------

    def next_due(self, due: Due | None) -> Due | None:
        """The earliest of what is `due` on the caller's side and what the line wants."""
        floor = self._floor
        if floor.held:
            limit_ms = floor.idle_from_ms + floor.policy.silence.line_hold_ms
            return earlier(due, (limit_ms, "on hold", self._forgotten))
        if floor.transfer is not None:
            return earlier(due, (self._transfer_due_ms, "transfer", self._transfer_lost))
        if floor.response is not None:
            return due
        if self._message is not None:
            return (floor.now_ms, MACHINE, self._leave_message)
        if floor.disclosing:
            return (floor.now_ms, "notice", self._say_notice)
        if floor.user.phase is not Phase.IDLE:
            return due
        if floor.then is not None:
            return earlier(due, (floor.now_ms, "transfer", self._transfer))
        collecting = floor.digits
        if collecting is not None and not self._agent.to_say:
            silence = floor.policy.silence
            wait_ms = silence.next_key_ms if collecting.count else silence.first_key_ms
            at_ms = max(collecting.key_ms, floor.idle_from_ms) + wait_ms
            return earlier(due, (at_ms, "keys", self._typed))
        return due

    def _say_notice(self) -> None:
        """What is left of it comes before anything that the caller says; without it there is no
        call."""
        if self._voice.rest:
            self._agent.say_rest()
        else:
            self._voice.end_call(self._voice.rest_end or NO_VOICE)

    def _forgotten(self) -> None:
        self._voice.end_call("on hold for too long")
