"""The caller's side of the conversation: what was heard of them, when their turn is over, and what
it means that they speak while the agent does.

In `manual` mode the caller holds a key while speaking: voice activity then decides nothing.
"""

from __future__ import annotations

from operator import itemgetter

from antiphon.engine import events as e
from antiphon.engine.agent_turn import AgentTurn
from antiphon.engine.commands import (
    DuckAudio,
    PauseAudio,
    ReportOverlap,
    ReportTranscript,
    ReportTurn,
    ResumeAudio,
)
from antiphon.engine.consent import Opening
from antiphon.engine.dead_air import DeadAir, Due
from antiphon.engine.floor import Floor
from antiphon.engine.line import Line
from antiphon.engine.overlap import (
    Decision,
    Evidence,
    Judgement,
    Overlap,
    asks_to_hold,
    judge,
)
from antiphon.engine.own_voice import is_own_voice
from antiphon.engine.phrase import expected_after
from antiphon.engine.preparation import Preparation
from antiphon.engine.response import Response, ResponseState
from antiphon.engine.user_turn import END_OF_KEYS, Phase
from antiphon.engine.voice_turn import VoiceTurn
from antiphon.errors import IllegalEvent

_MISHEARD_LIMIT = 3
_AT = itemgetter(0)
_NOT_THE_CALLER = ("echo", "own words", "far")
_LEVEL_SHARE = 0.2
"""How much the newest level counts for the caller's usual one."""


class CallerSide:
    """Turns and overlaps. See the module."""

    __slots__ = (
        "_agent",
        "_deaf",
        "_floor",
        "_line",
        "_manual",
        "_misheard",
        "_opening",
        "_silence",
        "_voice",
        "preparation",
    )

    def __init__(
        self,
        floor: Floor,
        agent: AgentTurn,
        voice: VoiceTurn,
        silence: DeadAir,
        line: Line,
        opening: Opening,
    ) -> None:
        self._floor, self._agent, self._voice, self._silence = floor, agent, voice, silence
        self._line, self._opening = line, opening
        self.preparation = Preparation(floor, agent)
        self._manual = floor.policy.endpointing.mode == "manual"
        self._misheard = 0
        self._deaf = False  # speech recognition is gone

    def hear_again(self) -> None:
        """Speech recognition is back."""
        self._deaf = False

    # ---- speech ----------------------------------------------------------------------------

    def on_speech_started(self, event: e.UserSpeechStarted) -> None:
        """Voice activity."""
        if self._manual:
            return
        if self._floor.user.phase is Phase.SPEAKING:
            raise IllegalEvent("UserSpeechStarted while the caller speaks")
        self._speech_started(event.speech_at_ms)

    def on_speech_stopped(self, event: e.UserSpeechStopped) -> None:
        """The end of voice activity."""
        if self._manual:
            return
        if self._floor.user.phase is not Phase.SPEAKING:
            raise IllegalEvent("UserSpeechStopped while the caller is silent")
        self._speech_stopped(event.speech_at_ms)

    def on_talk_key(self, event: e.TalkKeyMoved) -> None:
        """Push to talk: the key says what voice activity says elsewhere. A key that is said to move
        to where it is has been said twice."""
        speaking = self._floor.user.phase is Phase.SPEAKING
        if not self._manual or event.held is speaking:
            return
        if event.held:
            self._speech_started(self._floor.now_ms)
            self._interrupt("talk key")
        else:
            self._speech_stopped(self._floor.now_ms)

    def _speech_started(self, speech_at_ms: int) -> None:
        floor = self._floor
        opens = floor.user.phase is Phase.IDLE
        floor.user.speech_started(min(speech_at_ms, floor.now_ms))
        self._silence.caller_acted()
        if opens:
            self._expect()
            floor.level_db, floor.echo = None, 0.0
        if floor.overlap is Overlap.NONE:
            self._begin_overlap()

    def _expect(self) -> None:
        floor = self._floor
        under_way = floor.response is not None and floor.response.audible
        words = floor.response.last_words() if under_way and floor.response else floor.last_words
        floor.user.expected = expected_after(words, floor.language)

    def _begin_overlap(self) -> None:
        floor, response = self._floor, self._floor.response
        if response is None or response.state is ResponseState.FLUSHING:
            return
        if response.manner != "interruptible":
            floor.overlap = Overlap.PATIENT
        elif response.play_requested:
            floor.overlap = Overlap.DUCKED
            floor.out.append(DuckAudio(floor.policy.interruption.duck_db))
            floor.out.append(ReportOverlap("duck", "onset"))
        else:
            floor.overlap = Overlap.HELD

    def _speech_stopped(self, speech_at_ms: int) -> None:
        floor = self._floor
        floor.user.speech_stopped(min(speech_at_ms, floor.now_ms))
        floor.idle_from_ms = floor.now_ms

    def on_measured(self, event: e.SpeechMeasured) -> None:
        """How the caller sounds: in an overlap evidence, otherwise what is usual for them."""
        floor = self._floor
        if floor.overlap is not Overlap.NONE:
            floor.level_db, floor.echo = event.level_db, event.echo
            return
        usual = floor.own_level_db
        if usual is None:
            floor.own_level_db = event.level_db
        else:
            floor.own_level_db = usual + (event.level_db - usual) * _LEVEL_SHARE

    # ---- words -----------------------------------------------------------------------------

    def on_partial(self, event: e.TranscriptUpdated) -> None:
        """Words, so far."""
        user = self._floor.user
        if user.partial(event.utterance_id, event.text, event.complete, self._floor.now_ms):
            self._report_transcript()

    def on_final(self, event: e.TranscriptCompleted) -> None:
        """Words that stay."""
        if self._floor.user.completed(
            event.utterance_id,
            event.revision,
            event.text,
            event.confidence,
            event.complete,
            self._floor.now_ms,
        ):
            self._report_transcript()

    def _report_transcript(self) -> None:
        user = self._floor.user
        self._floor.out.append(ReportTranscript(user.turn_id, user.text))

    def on_predicted(self, event: e.TurnPredicted) -> None:
        """The turn detector's opinion."""
        self._floor.user.predicted(event.speech_end_ms, event.complete)

    def on_signalled(self, event: e.TurnSignalled) -> None:
        """The recogniser's own opinion."""
        self._floor.user.signalled(event.utterance_id, event.signal)

    def on_transcription_failed(self, event: e.TranscriptionFailed) -> None:
        """Nothing that is said will be understood from now on."""
        self._deaf = True
        self._agent.own_sentence(self._floor.setup.phrases.stt_failed)

    def on_typed(self, event: e.TextReceived) -> None:
        """A turn by text."""
        self._floor.user.typed(event.text, self._floor.now_ms)
        self._silence.caller_acted()
        self._interrupt("typed")

    def on_key(self, event: e.KeyPressed) -> None:
        """A key of the telephone."""
        floor, user = self._floor, self._floor.user
        if floor.digits is not None:
            self._silence.caller_acted()
            self._interrupt("key")
            self._line.on_key(event.key)
            return
        if event.key == END_OF_KEYS and user.phase is Phase.IDLE:
            return  # it ends nothing: the keys before it are answered already
        user.pressed(event.key, floor.now_ms)
        if floor.consent:
            user.pressed(END_OF_KEYS, floor.now_ms)  # one is all that is asked for
        self._silence.caller_acted()
        self._interrupt("key")

    def _interrupt(self, why: str) -> None:
        """The caller has done something that is surely meant for the agent."""
        floor, response = self._floor, self._floor.response
        if response is None or response.state is ResponseState.FLUSHING:
            return
        if not response.protected:
            self._stop(response, why)
        elif floor.user.phase is not Phase.IDLE:
            floor.overlap = Overlap.PATIENT

    # ---- both ------------------------------------------------------------------------------

    def _judge(self) -> Judgement | None:
        """What the evidence says about an overlap, when there is one to decide."""
        floor, response = self._floor, self._floor.response
        if floor.overlap is Overlap.NONE or response is None or response.protected:
            return None
        user = floor.user
        speaking = user.phase is Phase.SPEAKING
        text = user.text
        return judge(
            Evidence(
                overlap=floor.overlap,
                now_ms=floor.now_ms,
                started_ms=user.speech_start_ms,
                ended_ms=None if speaking else user.speech_end_ms,
                text=text,
                final=user.final,
                asked=response.asked(),
                language=floor.language,
                level_db=floor.level_db,
                own_level_db=floor.own_level_db,
                echo=floor.echo,
                spoken=response.last_words() if text else "",
            ),
            floor.policy.interruption,
        )

    def decide_overlap(self) -> None:
        """Pause, stop, go on, or wait for more evidence."""
        judgement = self._judge()
        if judgement is None or judgement.decision is Decision.WAIT:
            return
        floor, response = self._floor, self._floor.response
        assert response is not None
        if judgement.decision is Decision.PAUSE:
            floor.overlap = Overlap.PAUSED
            floor.out.append(PauseAudio())
            floor.out.append(ReportOverlap("pause", judgement.why))
        elif judgement.decision is Decision.RESUME:
            self._resume(response, judgement.why)
        elif judgement.decision is Decision.IGNORE:
            floor.out.append(ReportOverlap("ignore", judgement.why))
            self._carry_on(response, Overlap.PATIENT)
        else:
            self._stop(response, judgement.why)

    def _stop(self, response: Response, why: str) -> None:
        """The caller has the floor. An answer that was not heard is taken back, and the turn it
        answered goes on with what the caller says now."""
        floor = self._floor
        floor.out.append(ReportOverlap("stop", why))
        floor.overlap = Overlap.NONE
        turn_id = response.turn_id
        if turn_id is None or response.play_requested or response.tools_called:
            self._voice.stop("turn_detected")
            return
        own_id, text = floor.user.turn_id, floor.answered_text
        self._voice.stop("reopened")
        floor.history.reopen(turn_id, response.response_id)
        floor.user.reopen(turn_id, text, floor.answered_end_ms)
        floor.out.append(ReportTurn(own_id, "", "merged"))
        self._report_transcript()

    def _resume(self, response: Response, why: str) -> None:
        """It was nothing: the agent goes on."""
        floor, user = self._floor, self._floor.user
        floor.out.append(ReportOverlap("resume", why))
        if why in _NOT_THE_CALLER:
            self._silence.was_not_caller()
        floor.out.append(
            ReportTurn(user.turn_id, user.text, "backchannel" if user.text else "noise")
        )
        user.close()
        self._carry_on(response, Overlap.NONE)

    def _carry_on(self, response: Response, overlap: Overlap) -> None:
        """The agent's voice is as it was before the caller's sound."""
        floor = self._floor
        if floor.overlap in (Overlap.DUCKED, Overlap.PAUSED):
            floor.out.append(ResumeAudio())
        floor.overlap = overlap
        response.voice_progress_ms = response.quiet_from_ms = floor.now_ms
        self._voice.play_if_ready()

    # ---- the end of a turn -----------------------------------------------------------------

    def _commit(self) -> None:
        floor, user = self._floor, self._floor.user
        ends = floor.policy.endpointing
        # What was understood before stays, when what came after it was not.
        heard, text, source = user.text, user.believed(ends.min_confidence), user.source
        turn_id, began_ms, end_ms = user.turn_id, user.speech_start_ms, user.speech_end_ms
        if source == "text":
            end_ms = floor.now_ms
        voiced_ms, final = user.voiced_ms(floor.now_ms), user.final
        echo = source == "speech" and is_own_voice(floor, text)
        user.restart(floor.now_ms)
        floor.idle_from_ms = floor.now_ms
        if not heard and final and (source == "keys" or voiced_ms < ends.min_speech_ms):
            floor.out.append(ReportTurn(turn_id, "", "noise"))
        elif echo:
            floor.out.append(ReportTurn(turn_id, heard, "echo"))
            self._silence.was_not_caller()
        elif not text:
            floor.out.append(ReportTurn(turn_id, heard, "unclear"))
            self._ask_again(end_ms)
        else:
            self._misheard = 0
            self._silence.caller_answered()
            self._silence.granted = asks_to_hold(text, floor.language)
            floor.answered_text, floor.answered_end_ms = text, end_ms
            self._line.on_turn(text)
            if not self._opening.answered(turn_id, text, source, began_ms):
                floor.history.add_user(turn_id, text)
                floor.out.append(ReportTurn(turn_id, text, "answered", source))
                self._agent.answer(turn_id, end_ms, text)
        self.preparation.turn_over()

    def _ask_again(self, end_ms: int) -> None:
        phrases = self._floor.setup.phrases
        self._voice.rest_end = ""  # they have something to say, whatever it is
        self._misheard += 1
        if self._deaf:
            self._agent.say(phrases.stt_failed, speech_end_ms=end_ms)
        elif self._misheard >= _MISHEARD_LIMIT:
            self._misheard = 0
            self._agent.say(phrases.offer_text, speech_end_ms=end_ms)
        else:
            self._agent.say(self._agent.next_phrase(phrases.repeat), speech_end_ms=end_ms)

    def _roll(self) -> None:
        """A long utterance. Half a minute of sound without a word is not speech that we
        understand: say so, rather than listen for ever to a noise."""
        floor, user = self._floor, self._floor.user
        if user.text or floor.response is not None:
            user.roll(floor.now_ms)
            return
        floor.out.append(ReportTurn(user.turn_id, "", "unclear"))
        user.restart(floor.now_ms)
        self._ask_again(floor.now_ms)

    # ---- deadlines -------------------------------------------------------------------------

    def next_due(self) -> Due | None:
        """When the caller's side wants to look again, why, and what happens then."""
        floor, user = self._floor, self._floor.user
        if (user.phase is Phase.IDLE and floor.overlap is Overlap.NONE) or floor.away:
            return None
        due: list[Due] = []
        free = floor.response is None and not floor.disclosing
        if free and (at_ms := user.due_ms()) is not None:
            due.append((at_ms, "end of turn", self._commit))
            if not floor.consent:
                self.preparation.deadline(due, at_ms)
        if (at_ms := user.roll_ms()) is not None:
            due.append((at_ms, "long utterance", self._roll))
        judgement = self._judge()
        if judgement is not None and judgement.again_ms is not None:
            due.append((judgement.again_ms, "overlap", self.decide_overlap))
        return min(due, key=_AT, default=None)
