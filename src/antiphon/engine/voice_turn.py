"""The agent's voice: segments given to it, their audio, playback, and the end of a response.

A response is closed in one place, `close`, and what arrives late for one that is over is dropped in
one place, `live`. A voice that fails is replaced by the next one, which says what was not heard.
"""

from __future__ import annotations

from antiphon.engine import events as e
from antiphon.engine import notice
from antiphon.engine.commands import (
    CancelGeneration,
    EndCall,
    FlushAudio,
    PlayAudio,
    ReportHeard,
    ReportLatency,
    ReportResponse,
    ResumeAudio,
    SynthesizeText,
)
from antiphon.engine.floor import Floor
from antiphon.engine.history import NOT_TRANSFERRED
from antiphon.engine.overlap import Overlap
from antiphon.engine.response import Pace, Response, ResponseState, Then
from antiphon.errors import IllegalEvent

NO_VOICE = "the voice failed"
"""Why a call ends in which nothing can be said any more."""


class VoiceTurn:
    """The voice in one call. See the module."""

    __slots__ = (
        "_failures",
        "_floor",
        "_voice",
        "pace",
        "rest",
        "rest_end",
        "rest_protected",
        "rest_then",
    )

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._failures = 0  # since the voice last spoke a response to its end
        self._voice = 0
        self.pace = Pace()
        # What is left of an answer whose voice failed, and why to hang up after it.
        self.rest = self.rest_end = ""
        self.rest_protected = False
        self.rest_then: Then | None = None

    def live(self, response_id: int) -> Response | None:
        """The response, when it is under way and was not stopped, or when it is prepared: the one
        place where late results are dropped."""
        floor, response = self._floor, self._floor.response
        if response is None or response.response_id != response_id:
            prepared = floor.prepared
            ours = prepared is not None and prepared.response_id == response_id
            return prepared if ours else None
        return None if response.state is ResponseState.FLUSHING else response

    @property
    def has_another(self) -> bool:
        """Whether there is a voice to fall back on."""
        return self._floor.setup.voices > 1

    # ---- synthesis -------------------------------------------------------------------------

    def speak(self, response: Response, text: str) -> None:
        """Give a segment to the voice."""
        response.signs_of_life = 0
        segment_id = response.add_segment(text, self._floor.now_ms)
        self._floor.out.append(
            SynthesizeText(response.response_id, segment_id, text, response.voice)
        )

    def open(
        self, response_id: int, turn_id: int | None, speech_end_ms: int, manner: str
    ) -> Response:
        """A new response, for the voice that is in use."""
        response = Response(response_id, turn_id, self._floor.now_ms, speech_end_ms, self.pace)
        voices = self._floor.setup.voices
        response.voice = self._floor.health.best("tts", self._voice, voices)
        response.manner = manner
        return response

    def on_audio(self, event: e.AudioSynthesized) -> None:
        """More audio of a segment."""
        response = self._voiced(event.response_id, event.segment_id)
        if response is not None:
            self._add_audio(response, event.segment_id, event.duration_ms)

    def on_segment(self, event: e.SegmentSynthesized) -> None:
        """A segment is whole."""
        response = self._voiced(event.response_id, event.segment_id)
        if response is not None:
            response.finish_segment(event.segment_id, event.duration_ms, event.words)
            self._add_audio(response, event.segment_id, event.duration_ms)

    def _add_audio(self, response: Response, segment_id: int, duration_ms: int) -> None:
        response.add_audio(segment_id, duration_ms, self._floor.now_ms)
        if response.state is ResponseState.WAITING and response.played_ms < response.audio_ms:
            response.state = ResponseState.SPEAKING
        if response.draft is None:
            self.play_if_ready()

    def failed(self) -> None:
        """Go on with the next voice, or once more with the same one, from what was not heard. When
        that fails, too, all that can be said is what was recorded, and the call ends."""
        floor, response = self._floor, self._floor.response
        assert response is not None
        self._failures += 1
        self._voice = (response.voice + 1) % floor.setup.voices
        if self._failures <= max(1, floor.setup.voices):
            self.put_off("voice", "failed")
            return
        self.stop("voice", status="failed")
        if floor.setup.recorded and response.voice < floor.setup.voices:
            self.rest, self.rest_end = floor.setup.phrases.voice_gone, NO_VOICE
            self.rest_protected = True
        else:
            self.end_call(NO_VOICE)

    def forget_rest(self) -> None:
        """The caller wants something else."""
        if self.rest_then is not None:
            self._floor.history.set_output(self.rest_then.tool_call_id, NOT_TRANSFERRED)
        self.rest, self.rest_end, self.rest_then = "", "", None

    def put_off(self, reason: str, status: str = "cancelled") -> None:
        """Stop the response, and say the rest of it as soon as nobody speaks, as it would have
        been."""
        response = self._floor.response
        assert response is not None
        rest, ending, protected = response.unheard(), response.end_call_reason, response.protected
        then, response.then = response.then, None
        self.stop(reason, status)
        self.rest, self.rest_end, self.rest_protected = rest, ending, protected
        if rest:
            self.rest_then = then
            return
        # All of it was heard; only the player had not said so.
        self._floor.then = then or self._floor.then
        if self._floor.disclosing and protected and not ending:
            notice.disclosed(self._floor)

    def _voiced(self, response_id: int, segment_id: int) -> Response | None:
        response = self.live(response_id)
        if response is not None and not 0 <= segment_id < len(response.segments):
            raise IllegalEvent(f"audio for segment {segment_id} that was not asked for")
        return response

    # ---- playback --------------------------------------------------------------------------

    def play_if_ready(self) -> None:
        """Let the response be heard, once there is audio and nobody withholds it."""
        floor, response = self._floor, self._floor.response
        if response is None or response.play_requested or floor.overlap is Overlap.HELD:
            return
        if response.first_audio_ms is not None:
            response.play_requested = True
            floor.out.append(PlayAudio(response.response_id))

    def on_playback_started(self, event: e.PlaybackStarted) -> None:
        """The first sound."""
        floor, response = self._floor, self.live(event.response_id)
        if response is None or response.audible:
            return
        if not response.play_requested:
            raise IllegalEvent("playback of audio that was not let go")
        response.state = ResponseState.SPEAKING
        response.started_ms = response.quiet_from_ms = floor.now_ms
        if response.turn_id is not None:
            parts, total_ms = response.latency(), floor.now_ms - response.speech_end_ms
            floor.out.append(ReportLatency(response.turn_id, response.response_id, total_ms, parts))

    def on_playback_progressed(self, event: e.PlaybackProgressed) -> None:
        """So much was heard."""
        response = self.live(event.response_id)
        if response is None or not response.audible:
            return
        response.played(event.played_ms, self._floor.now_ms)
        waiting = response.played_ms >= response.audio_ms and response.unfinished
        response.state = ResponseState.WAITING if waiting else ResponseState.SPEAKING
        self._report_heard(response)

    def on_playback_ended(self, event: e.PlaybackEnded) -> None:
        """All was heard."""
        response = self.live(event.response_id)
        if response is None or not response.audible or not response.synthesis_ended:
            return
        response.played(response.audio_ms, self._floor.now_ms)
        self.close(response)

    def on_playback_flushed(self, event: e.PlaybackFlushed) -> None:
        """The player confirms: this much was heard, and nothing more will be."""
        response = self._floor.response
        if response is None or response.response_id != event.response_id:
            return
        if response.state is ResponseState.FLUSHING:
            response.played(event.played_ms, self._floor.now_ms)
            self.close(response)

    def _report_heard(self, response: Response) -> None:
        words = response.heard_since(response.reported_words)
        if words:
            response.reported_words += len(words)
            self._floor.out.append(ReportHeard(response.response_id, " ".join(words)))

    # ---- the end of a response -------------------------------------------------------------

    def stop(self, reason: str, status: str = "cancelled") -> None:
        """Stop the response: nothing more of it leaves. Its tools go on."""
        floor, response = self._floor, self._floor.response
        if response is None or response.state is ResponseState.FLUSHING:
            return
        self.silence(response)
        response.close_status, response.close_reason = status, reason
        floor.overlap = Overlap.NONE
        if response.play_requested:
            response.state, response.flushed_ms = ResponseState.FLUSHING, floor.now_ms
        else:
            self.close(response)

    def silence(self, response: Response) -> None:
        """Nothing more is written or spoken for it."""
        if response.generating:
            self._floor.out.append(CancelGeneration(response.response_id))
            response.generating = False
        if response.segments:
            self._floor.out.append(FlushAudio(response.response_id))

    def abandon(self, reason: str) -> None:
        """The line is gone: close what is under way with what is known to have been heard."""
        self.stop(reason)
        if self._floor.response is not None:
            self.close(self._floor.response)

    def close(self, response: Response) -> None:
        """The response is over: the one place where it ends, however it ended."""
        floor = self._floor
        self._report_heard(response)
        completed = response.close_status == "completed"
        if completed and floor.disclosing and response.protected and not response.end_call_reason:
            notice.disclosed(floor)
        if completed:
            floor.then = response.then or floor.then
        elif response.then is not None:
            floor.history.set_output(response.then.tool_call_id, NOT_TRANSFERRED)
        floor.history.close(response.response_id, response.heard_steps(), interrupted=not completed)
        floor.out.append(
            ReportResponse(
                response.response_id, response.close_status, response.heard(), response.close_reason
            )
        )
        if response.audible:
            floor.last_words, floor.last_sound_ms = response.last_words(), floor.now_ms
        floor.response = None
        if floor.overlap in (Overlap.DUCKED, Overlap.PAUSED):
            floor.out.append(ResumeAudio())
        floor.overlap = Overlap.NONE
        floor.idle_from_ms = floor.now_ms
        if completed:
            self._failures = 0
            self.rest_end = response.end_call_reason  # unless the caller has something to say

    def end_call(self, reason: str) -> None:
        """Hang up."""
        self._floor.ending = reason
        self._floor.out.append(EndCall(reason))
