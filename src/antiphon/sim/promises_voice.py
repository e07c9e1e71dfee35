"""Promises about what the caller hears."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.engine.line import MACHINE
from antiphon.sim.promise import Promise

if TYPE_CHECKING:
    from antiphon.sim.world import World


_BROKEN_OFF_WORDS = 2


class NothingAfterFlush(Promise):
    """No sample of a cancelled response leaves after the flush: what was flushed is never given to
    the voice or let go again, and what is over has nothing left to play or to synthesize."""

    name = "1 nothing after a flush"
    __slots__ = ("_flushed",)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._flushed: set[int] = set()

    def watches(self) -> dict[type, Callable[[Any], None]]:
        return {
            c.FlushAudio: lambda command: self._flushed.add(command.response_id),
            c.PlayAudio: self._on_use,
            c.SynthesizeText: self._on_use,
            c.StartGeneration: self._on_use,
            c.ReportResponse: self._on_report,
        }

    def _on_use(self, command: Any) -> None:
        if command.response_id in self._flushed:
            self.fail(f"{type(command).__name__} of response {command.response_id} after its flush")

    def _on_report(self, command: c.ReportResponse) -> None:
        if command.status == "in_progress":
            return
        world, response_id = self.world, command.response_id
        track = world.player.tracks.get(response_id)
        if track is not None and track.released and not track.flushed and not world.player.dead:
            left_ms = track.available_ms - world.player.heard_ms(response_id)
            if left_ms > 0:
                self.fail(f"response {response_id} is over with {left_ms} ms still to be played")
        if world.tts.working(response_id):
            self.fail(f"response {response_id} is over and still being synthesized")


class HistoryIsWhatWasHeard(Promise):
    """History says what the caller heard, to within one word; in a segment whose times are not
    known yet, because the voice broke off or is still at it, to within two and one in
    eight: how long it would have become is a guess. An answer cut in the middle of what the LLM
    wrote is marked. What was told piece by piece agrees to within one word. Nothing else that an
    LLM wrote is in it."""

    name = "2 history is what was heard"
    __slots__ = ("_cut", "_heard", "_reported", "_steps")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._heard: list[str] = []  # of every response that is over
        self._cut = 0  # responses that were cut in the middle of a step
        self._reported: dict[int, list[str]] = {}  # piece by piece
        self._steps: dict[int, list[int]] = {}  # words to speak, of each step of a response

    def watches(self) -> dict[type, Callable[[Any], None]]:
        return {
            c.StartGeneration: self._on_generation,
            c.SynthesizeText: self._on_segment,
            c.ReportHeard: self._on_heard,
            c.ReportResponse: self._on_report,
        }

    def _on_generation(self, command: c.StartGeneration) -> None:
        # Another LLM that begins where one failed goes on with the same step.
        steps = self._steps.setdefault(command.response_id, [])
        if len(steps) <= self.world.llm.finished.get(command.response_id, 0):
            steps.append(0)

    def _on_segment(self, command: c.SynthesizeText) -> None:
        self._steps.setdefault(command.response_id, [0])[-1] += len(command.text.split())

    def _on_heard(self, command: c.ReportHeard) -> None:
        self._reported.setdefault(command.response_id, []).append(command.text)

    def _on_report(self, command: c.ReportResponse) -> None:
        if command.status == "in_progress":
            return
        response_id, heard = command.response_id, command.heard
        pieces, words = " ".join(self._reported.get(response_id, ())).split(), heard.split()
        shared = min(len(pieces), len(words))
        if pieces[:shared] != words[:shared] or abs(len(pieces) - len(words)) > 1:
            self.fail(f"heard was reported as {pieces} in pieces and {words} in the end")
        self._compare(response_id, words)
        if heard:
            self._heard.append(heard)
        if words and command.status != "completed" and self._is_cut(response_id, len(words)):
            self._cut += 1
        self._compare_messages()

    def _is_cut(self, response_id: int, heard: int) -> bool:
        """Whether so many words end in the middle of a step."""
        for words in self._steps.get(response_id, ()):
            if heard < words:
                return heard > 0
            heard -= words
        return False

    def _compare(self, response_id: int, heard: list[str]) -> None:
        """The truth lies between what the engine knows, which learns of it from time to time and is
        told nothing more by an abrupt end, and what was played by now."""
        unknown_ms = self.world.player.progress_ms + 100
        now_ms = self.world.player.heard_ms(response_id)
        spoken: list[str] = []
        least = most = 0
        slack = 1
        for speech in self.world.tts.speech(response_id):
            spoken.extend(word.text for word in speech.words)
            inside_ms = now_ms - speech.start_ms
            if inside_ms <= 0:
                continue
            most += sum(1 for w in speech.words if w.start_ms + w.end_ms <= 2 * inside_ms)
            inside_ms -= unknown_ms
            least += sum(1 for w in speech.words if w.start_ms + w.end_ms <= 2 * inside_ms)
            cut_inside = now_ms < speech.start_ms + speech.duration_ms
            whole = speech.done_ms == speech.duration_ms
            if cut_inside and not whole:
                slack = _BROKEN_OFF_WORDS + len(speech.words) // 8
        if heard != spoken[: len(heard)]:
            self.fail(f"response {response_id}: heard {heard}, but spoken was {spoken}")
        if not least - slack <= len(heard) <= most + slack:
            self.fail(
                f"response {response_id}: {len(heard)} words in the history, {least} to {most} "
                f"of {len(spoken)} were heard ({now_ms} ms played)"
            )

    def finish(self) -> None:
        said = [m.content for m in self.world.engine.messages() if m.role == "assistant"]
        if " ".join(text for text in said if text) != " ".join(self._heard):
            self.fail(f"in the end history has {said}, heard was {self._heard}")

    def _compare_messages(self) -> None:
        messages = self.world.engine.messages()
        said = [m.content for m in messages if m.role == "assistant" and m.content]
        closed = " ".join(self._heard)
        if not " ".join(said).startswith(closed):
            self.fail(f"the LLM is shown {said}, heard was {self._heard}")
        marked = sum(1 for m in messages if m.interrupted)
        if marked < self._cut:
            self.fail(f"{self._cut} answers were cut short, {marked} are marked as such")


class OneSpeaks(Promise):
    """At most one response is under way or speaks. Lowered or paused always has a way out."""

    name = "4 one speaks, and never stays paused"
    __slots__ = ("_held_ms", "under_way")

    _LONGEST_MS = 3000

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.under_way: set[int] = set()
        self._held_ms = 0  # when the agent was lowered or paused last

    def watches(self) -> dict[type, Callable[[Any], None]]:
        return {
            c.ReportResponse: self._on_report,
            c.PlayAudio: self._on_play,
            c.DuckAudio: self._on_held,
            c.PauseAudio: self._on_held,
        }

    def step(self, ms: int) -> None:
        self._held_ms += ms

    def _on_held(self, command: c.Command) -> None:
        self._held_ms = self.world.now_ms

    def _on_report(self, command: c.ReportResponse) -> None:
        if command.status != "in_progress":
            if command.response_id not in self.under_way:
                self.fail(f"response {command.response_id} ended twice, or never began")
            self.under_way.discard(command.response_id)
            return
        if self.under_way:
            self.fail(f"response {command.response_id} begins while {self.under_way} is under way")
        self.under_way.add(command.response_id)

    def _on_play(self, command: c.PlayAudio) -> None:
        for response_id, track in self.world.player.tracks.items():
            other = response_id != command.response_id
            if other and track.released and not track.over and not self.world.player.dead:
                self.fail(f"response {command.response_id} is let go while {response_id} plays")

    def tick(self) -> None:
        player, caller = self.world.player, self.world.caller
        if player.dead or self.world.vad.speaking or not (player.paused or player.ducked):
            return
        since_ms = max(self._held_ms, caller.quiet_from_ms)
        if self.world.now_ms - since_ms > self._LONGEST_MS:
            how = "paused" if player.paused else "lowered"
            self.fail(f"the caller is silent and the agent still {how} since {since_ms} ms")

    def finish(self) -> None:
        if self.under_way:
            self.fail(f"the call is over, and response {self.under_way} is not")


class FailureIsHonest(Promise):
    """The agent says that it failed only when something did, and hangs up for a dead line or a lost
    voice only when they are. What a broken voice left unsaid may be said again. Where there is
    another LLM or voice, that one is tried next."""

    name = "6 an honest failure"
    __slots__ = (
        "_again", "_asked", "_down", "_down_then",
        "_failed_voice", "_generated", "_sentences", "_voices",
    )  # fmt: skip

    def __init__(self, world: World) -> None:
        super().__init__(world)
        phrases = world.setup.phrases
        self._sentences = (phrases.llm_failed[:20], phrases.llm_gone[:20])
        self._generated: set[int] = set()
        self._again = False
        self._asked = (0, 0, 0)  # newest generation: response, LLM, generations finished before
        self._voices: dict[int, int] = {}  # which one speaks a response
        self._failed_voice: int | None = None
        self._down: frozenset[tuple[str, int]] = frozenset()
        self._down_then: dict[int, frozenset[tuple[str, int]]] = {}  # when a response began

    def watches(self) -> dict[type, Callable[[Any], None]]:
        return {
            e.ProviderChanged: self._on_changed,
            c.StartGeneration: self._on_generation,
            c.SynthesizeText: self._on_segment,
            c.ReportResponse: self._on_response,
            c.EndCall: self._on_end,
        }

    def _on_end(self, command: c.EndCall) -> None:
        world = self.world
        if command.reason == "the line is dead" and not (world.player.dead or world.lost_line.lost):
            self.fail("the line was given up, and it works")
        if command.reason == "the voice failed" and not world.tts.doubted:
            self.fail("the voice was given up, and nothing was wrong with it")

    def _on_generation(self, command: c.StartGeneration) -> None:
        response_id, llm = command.response_id, command.attempt
        self._generated.add(response_id)
        asked = (response_id, llm, self.world.llm.finished.get(response_id, 0))
        self._down_then.setdefault(response_id, self._down)
        if asked == self._asked and _others("llm", llm, self.world.setup.llms, self._down):
            self.fail(f"LLM {llm} failed, and is asked again though there is another one")
        self._asked = asked

    def _on_changed(self, event: e.ProviderChanged) -> None:
        one = (event.kind, event.number)
        self._down = self._down - {one} if event.works else self._down | {one}

    def _on_response(self, command: c.ReportResponse) -> None:
        if command.status == "in_progress":
            self._down_then.setdefault(command.response_id, self._down)
        if command.status == "failed" and command.reason == "voice":
            self._failed_voice = self._voices.get(command.response_id)

    def _on_segment(self, command: c.SynthesizeText) -> None:
        self._voices[command.response_id] = command.voice
        voice, voices = command.voice, self.world.setup.voices
        down = self._down_then.get(command.response_id, self._down)
        if voice == self._failed_voice and _others("tts", voice, voices, down):
            self.fail(f"voice {command.voice} failed, and speaks again though there is another one")
        self._failed_voice = None
        if not command.text.startswith(self._sentences):
            return
        response_id = command.response_id
        if response_id in self.world.llm.excused:
            self._again = True
        elif response_id in self._generated or not self._again:
            self.fail(f"response {response_id}: {command.text!r}, and nothing failed")


class ProtectedIsHeard(Promise):
    """Protected speech is heard to its end. The end of the call, a broken voice or line, a line
    on hold, a machine at its end and the death of the process excuse it, and nothing else."""

    name = "8 protected speech is heard to its end"
    __slots__ = ("_all", "_spoken", "_texts", "live")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._all = world.setup.policy.interruption.speech == "protected"
        self.live = 0  # the response that is protected
        self._texts: list[str] = []  # given to the voice
        self._spoken = 0  # the response that they are of

    def watches(self) -> dict[type, Callable[[Any], None]]:
        setup = self.world.setup
        greeted = setup.greeting_protected and setup.greeting
        if not self._all and not greeted and not setup.disclosure:
            return {}
        return {
            e.CallEnded: self._on_ended,
            c.SynthesizeText: self._on_segment,
            c.DuckAudio: self._on_touch,
            c.PauseAudio: self._on_touch,
            c.FlushAudio: self._on_touch,
            c.ReportResponse: self._on_report,
        }

    def crashed(self) -> None:
        self.live = 0

    def _on_ended(self, event: e.CallEnded) -> None:
        self.live = 0

    def _on_segment(self, command: c.SynthesizeText) -> None:
        if command.segment_id == 0:
            self._texts.clear()
            self._spoken = command.response_id
        self._texts.append(command.text)

    def _on_touch(self, command: Any) -> None:
        phone = self.world.phone
        if not self.live or self.world.tts.doubted or self.world.player.dead:
            return
        if phone.held or phone.machine:
            return
        if getattr(command, "response_id", self.live) == self.live:
            self.fail(f"{type(command).__name__} during protected speech")

    def _on_report(self, command: c.ReportResponse) -> None:
        if command.status == "in_progress":
            if self._all or command.response_id == 1:
                self.live = command.response_id
            return
        live, self.live = self.live, 0
        if command.reason in ("hold", MACHINE):
            return  # nobody hears it
        if live != command.response_id or self.world.tts.doubted or self.world.player.dead:
            return
        if live != self._spoken:
            self._texts.clear()  # it had nothing to say
        if command.status != "completed" or command.heard != " ".join(self._texts):
            self.fail(f"of protected speech {self._texts} only {command.heard!r} was heard")


def _others(kind: str, number: int, count: int, down: frozenset[tuple[str, int]]) -> bool:
    """Whether there is another one that is not known to be broken."""
    return any((kind, n) not in down for n in range(count) if n != number)
