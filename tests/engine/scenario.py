"""A conversation as a story: what the caller, the LLM, the voice and the line do, a line each.

Time passes only by `wait`, which also delivers the deadlines that fall due on the way. A stopped
response is flushed at once, as the session does, unless `answer_flush` is False.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.conversation import Conversation
from antiphon.engine.endpointing import Clues, wait_ms
from antiphon.engine.language import language_of
from antiphon.engine.policy import Interruption, Phrases, Setup, Speculation, TurnPolicy
from antiphon.types import Message, Word

T = TypeVar("T", bound=c.Command)

_OVERLAPS = Interruption(
    duck_db=-18.0,
    pause_ms=300,
    min_words_ms=120,
    resume_ms=700,
    backchannel_max_ms=1200,
    unclear_ms=1500,
    far_db=-38.0,
)


def policy(**groups: Any) -> TurnPolicy:
    """The default policy with some numbers changed: `policy(silence={"check_ins": 1})`. Nothing is
    prepared before a turn is over, unless the story is about that; and the times that stories tell
    of overlaps are set here, whatever the defaults become."""
    base = TurnPolicy(speculation=Speculation(prepare="nothing"), interruption=_OVERLAPS)
    changed = {name: replace(getattr(base, name), **values) for name, values in groups.items()}
    return replace(base, **changed)


class Scenario:
    """One call. `new` has the commands since it was last cleared by an action."""

    def __init__(self, setup: Setup | None = None, *, started: bool = True, **changes: Any) -> None:
        self.setup = replace(setup or Setup(policy=policy()), **changes)
        self.conversation = Conversation(self.setup)
        self.events: list[e.Event] = []
        self.now_ms = 0
        self.commands: list[c.Command] = []
        self.new: list[c.Command] = []
        self.answer_flush = True
        self.played_ms = 0
        self._voiced: set[tuple[int, int]] = set()
        if started:
            self.send(e.CallStarted(0))

    # ---- time and events -------------------------------------------------------------------

    def send(self, *happened: e.Event) -> list[c.Command]:
        """Give events to the engine; return what it wants done."""
        self.new = []
        for event in happened:
            self._give(event)
        return self.new

    def send_all(self, events: Sequence[e.Event]) -> None:
        """Tell a story again, with its times."""
        for event in events:
            self.now_ms = max(self.now_ms, event.at_ms)
            self._give(event)

    def _give(self, event: e.Event) -> None:
        self.events.append(event)
        given = self.conversation.handle(event)
        self.commands += given
        self.new += given
        due = self.conversation.deadline
        assert due is None or due.at_ms > self.now_ms, f"{due} is over, it is {self.now_ms}"
        for command in given:
            if isinstance(command, c.PlayAudio):
                self.played_ms = 0
            if isinstance(command, c.FlushAudio) and self.answer_flush:
                self._give(e.PlaybackFlushed(self.now_ms, command.response_id, self.played_ms))

    def wait(self, ms: int) -> list[c.Command]:
        """Let time pass and deadlines fall due."""
        self.new = []
        end_ms = self.now_ms + ms
        while (due := self.conversation.deadline) is not None and due.at_ms <= end_ms:
            self.now_ms = due.at_ms
            self._give(e.DeadlineReached(self.now_ms))
        self.now_ms = end_ms
        return self.new

    # ---- the caller ------------------------------------------------------------------------

    def speaks(self, text: str = "") -> list[c.Command]:
        """The caller begins (with words understood so far)."""
        self.send(e.UserSpeechStarted(self.now_ms, self.now_ms))
        if text:
            told = self.new
            self.new = [*told, *self.hears_partly(text)]
        return self.new

    def hears_partly(self, text: str, complete: float | None = None) -> list[c.Command]:
        """The STT tells what it understands so far."""
        return self.send(e.TranscriptUpdated(self.now_ms, self.utterance, text, complete))

    def falls_silent(self) -> list[c.Command]:
        return self.send(e.UserSpeechStopped(self.now_ms, self.now_ms))

    def understood(
        self, text: str, confidence: float = 1.0, complete: float | None = None
    ) -> list[c.Command]:
        """The final transcript that was asked for last."""
        asked = self.last(c.FinalizeUtterance)
        return self.send(
            e.TranscriptCompleted(
                self.now_ms, asked.utterance_id, asked.revision, text, confidence, complete
            )
        )

    def says(self, text: str, voiced_ms: int = 800) -> list[c.Command]:
        """A whole turn: speech, transcript, and the wait that ends it."""
        self.speaks()
        self.wait(voiced_ms)
        self.falls_silent()
        self.understood(text, complete=1.0)
        return self.waits_for_the_end()

    def pauses(
        self, text: str, voiced_ms: int = 800, complete: float | None = 1.0, confidence: float = 1.0
    ) -> list[c.Command]:
        """Speech and its transcript, and a pause that has just begun."""
        self.speaks()
        self.wait(voiced_ms)
        self.falls_silent()
        return self.understood(text, confidence, complete)

    def coughs(self, ms: int = 150) -> list[c.Command]:
        """A sound that gives no new words; ends in a pause."""
        known = self.last(c.ReportTranscript).text
        self.speaks()
        self.wait(ms)
        self.falls_silent()
        return self.understood(known, complete=1.0)

    def waits_for_the_end(self) -> list[c.Command]:
        """Let the pause be as long as it has to be to end the turn."""
        due = self.conversation.deadline
        while due is not None and due.reason not in ("end of turn", "overlap"):
            self.wait(due.at_ms - self.now_ms)
            due = self.conversation.deadline
        assert due is not None, "nothing ends this turn"
        return self.wait(due.at_ms - self.now_ms)

    def pause_ms(self, text: str, complete: float | None = None, **known: Any) -> int:
        """How long the pause has to be that ends a turn with these words."""
        return wait_ms(
            Clues(text, complete, **known),
            self.setup.policy.endpointing,
            language_of(self.setup.language),
        )

    def types(self, text: str) -> list[c.Command]:
        return self.send(e.TextReceived(self.now_ms, text))

    @property
    def utterance(self) -> int:
        return self.last(c.BeginUtterance).utterance_id

    def presses(self, *keys: str) -> list[c.Command]:
        """Keys of the telephone."""
        return self.send(*(e.KeyPressed(self.now_ms, key) for key in keys))

    def holds_key(self, held: bool) -> list[c.Command]:
        """Push to talk."""
        return self.send(e.TalkKeyMoved(self.now_ms, held))

    def sounds_done(self, complete: float, speech_end_ms: int | None = None) -> list[c.Command]:
        """The turn detector's opinion, of the last speech if nothing else is said."""
        if speech_end_ms is None:
            speech_end_ms = self.last(c.PredictTurn).speech_end_ms
        return self.send(e.TurnPredicted(self.now_ms, speech_end_ms, complete))

    def signals(self, signal: str) -> list[c.Command]:
        """The recogniser's own opinion."""
        return self.send(e.TurnSignalled(self.now_ms, self.utterance, signal))

    def measures(self, level_db: float, echo: float = 0.0) -> list[c.Command]:
        """How the caller sounds."""
        return self.send(e.SpeechMeasured(self.now_ms, level_db, echo))

    # ---- the LLM and its tools -------------------------------------------------------------

    @property
    def response(self) -> int:
        """The newest response's id; one that is only prepared counts."""
        told = [one.response_id for one in self.all(c.ReportResponse)]
        return max(told + [one.response_id for one in self.all(c.StartGeneration)])

    def writes(self, text: str) -> list[c.Command]:
        return self.send(e.TextGenerated(self.now_ms, self.response, text))

    def wants_tool(self, name: str, call_id: str = "t1", arguments: str = "{}") -> list[c.Command]:
        return self.send(e.ToolRequested(self.now_ms, self.response, call_id, name, arguments))

    def is_done_writing(self) -> list[c.Command]:
        return self.send(e.GenerationEnded(self.now_ms, self.response))

    def answers(self, text: str) -> list[c.Command]:
        """The LLM writes a whole answer."""
        now_ms, response_id = self.now_ms, self.response
        return self.send(
            e.TextGenerated(now_ms, response_id, text), e.GenerationEnded(now_ms, response_id)
        )

    def llm_fails(self) -> list[c.Command]:
        return self.send(e.GenerationFailed(self.now_ms, self.response, "gone"))

    def tool_returns(self, output: str = '{"ok": true}', call_id: str = "t1") -> list[c.Command]:
        return self.send(e.ToolCompleted(self.now_ms, call_id, output))

    # ---- the voice and the line ------------------------------------------------------------

    def voices(self, ms_per_word: int = 300, *, word_times: bool = True) -> list[c.Command]:
        """The voice makes all segments that it was given and has not made yet."""
        events = []
        for segment in self.all(c.SynthesizeText):
            key = (segment.response_id, segment.segment_id)
            if key in self._voiced or segment.response_id != self.response:
                continue
            self._voiced.add(key)
            texts = segment.text.split()
            spans = [(text, i * ms_per_word) for i, text in enumerate(texts)]
            words = tuple(Word(text, at, at + ms_per_word) for text, at in spans)
            events.append(
                e.SegmentSynthesized(
                    self.now_ms,
                    *key,
                    len(texts) * ms_per_word,
                    words if word_times else (),
                )
            )
        return self.send(*events)

    def line_starts(self) -> list[c.Command]:
        return self.send(e.PlaybackStarted(self.now_ms, self.response))

    def plays(self, ms: int) -> list[c.Command]:
        """So much more of the response's audio is heard; time passes with it."""
        told = self.line_starts() if not self.played_ms else []
        for _ in range(ms // 100):
            told += self.wait(100)
            self.played_ms += 100
            told += self.send(e.PlaybackProgressed(self.now_ms, self.response, self.played_ms))
        self.new = told
        return told

    def plays_out(self) -> list[c.Command]:
        """The rest of the response is heard."""
        told = self.line_starts() if not self.played_ms else []
        told += self.send(e.PlaybackEnded(self.now_ms, self.response, 10**6))
        self.played_ms = 0
        self.new = told
        return told

    def speaks_so_far(self) -> list[c.Command]:
        """The voice makes what it was given, and that is heard; the answer is not over."""
        segments = len(self._voiced)
        told = self.voices()
        if len(self._voiced) > segments:
            told += self.line_starts()
            told += self.send(e.PlaybackProgressed(self.now_ms, self.response, 10**6))
        self.new = told
        return told

    def agent_speaks(self, answer: str, question: str = "hello there") -> None:
        """A turn whose answer has begun to sound."""
        self.says(question)
        self.answers(answer)
        self.voices()
        self.plays(600)

    def finishes(self, answer: str, question: str = "hello there") -> None:
        """A whole turn, heard to its end."""
        self.agent_speaks(answer, question)
        self.plays_out()

    def voice_fails(self) -> list[c.Command]:
        return self.send(e.SynthesisFailed(self.now_ms, self.response, "gone"))

    def is_restored(self) -> list[c.Command]:
        """The process died; another one has been fed the same events, and goes on."""
        conversation = Conversation(self.setup)
        for event in self.events:
            conversation.handle(event)
        assert conversation.deadline == self.conversation.deadline
        assert conversation.messages() == self.conversation.messages()
        self.conversation = conversation
        self.played_ms = 0
        return self.send(e.CallRestored(self.now_ms))

    def hangs_up(self) -> list[c.Command]:
        return self.send(e.CallEnded(self.now_ms, "hung up"))

    # ---- what came of it -------------------------------------------------------------------

    def all(self, kind: type[T]) -> list[T]:
        """All commands of a kind in the call."""
        return [one for one in self.commands if isinstance(one, kind)]

    def last(self, kind: type[T]) -> T:
        return self.all(kind)[-1]

    def told(self, kind: type[T]) -> list[T]:
        """Commands of a kind that came of the last action."""
        return [one for one in self.new if isinstance(one, kind)]

    @property
    def states(self) -> tuple[str, str]:
        """Who is doing what."""
        return self.conversation.user_state.value, self.conversation.agent_state.value

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Text and outcome of every turn."""
        return [(turn.text, turn.outcome) for turn in self.all(c.ReportTurn)]

    @property
    def spoken(self) -> str:
        """Everything given to the voice in the newest response."""
        return " ".join(
            one.text for one in self.all(c.SynthesizeText) if one.response_id == self.response
        )

    @property
    def messages(self) -> list[tuple[str, str]]:
        return [(one.role, one.content) for one in self.conversation.messages()]

    @property
    def raw_messages(self) -> tuple[Message, ...]:
        return self.conversation.messages()

    @property
    def due(self) -> str:
        """Why the engine wants to be woken, `` when it does not."""
        deadline = self.conversation.deadline
        return "" if deadline is None else deadline.reason


DEFAULT_PHRASES = Phrases()
