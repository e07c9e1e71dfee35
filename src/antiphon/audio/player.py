"""The playout ledger: what is queued to be heard, and exactly how much of it has been.

Reading is playing: whoever takes a frame from `Player.read` has played it. The player has no clock
and no task; the channel reads every 20 ms, and the session polls `progress` after each read.

Positions are in the audio of a response, from its first sample. Pauses, underruns and padding are
not counted, so a position can be compared with the times of words.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from antiphon.audio import levels
from antiphon.types import FRAME_MS

MAX_BUFFERED_MS = 120_000
PROGRESS_EVERY_MS = 100
_PREBUFFER_READS = 3
"""Speech waits for its prebuffer for at most so many frames."""
_REMEMBERED_RESPONSES = 256
_MAX_EVENTS = 1024


@dataclass(frozen=True, slots=True)
class Started:
    """The first frame of a response has been read."""

    response_id: int


@dataclass(frozen=True, slots=True)
class Progressed:
    """The response has been heard up to here. About every 100 ms of audio."""

    response_id: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class Ended:
    """All audio of the response has been read, and no more will come. Not sent after a flush."""

    response_id: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class Underrun:
    """The response has begun and is not over, but there is nothing to play. Once per gap."""

    response_id: int


PlayerEvent = Started | Progressed | Ended | Underrun


@dataclass(slots=True)
class _Track:
    """Audio of one response. CPython drops the front of a bytearray without moving the rest, so it
    serves as the queue and no chunk is ever joined to another by copying both."""

    response_id: int
    buffer: bytearray = field(default_factory=bytearray)
    appended_bytes: int = 0
    played_bytes: int = 0
    reported_ms: int = 0
    filling: int = 0
    """Reads that waited for the prebuffer to fill."""
    segment_starts: dict[int, int] = field(default_factory=dict)
    at_joint: bool = False
    closed: bool = False
    started: bool = False
    starved: bool = False


class Player:
    """Plays responses one after another, in the order in which they were first named.

    Level and pause belong to the response that is playing: when it is flushed or ends, the player
    is back at full level and not paused, so a forgotten `unduck` or `resume` cannot silence the
    next response.

    Args:
        sample_rate_hz: rate of all audio here; a multiple of 50, so that 20 ms are whole samples.
        max_buffered_ms: `append` refuses audio when this much is already waiting.
        prebuffer_ms: what waits before speech begins, and begins again after a gap: a voice whose
            next piece is a little late is then not broken by it. Never waits longer than 60 ms.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        *,
        max_buffered_ms: int = MAX_BUFFERED_MS,
        prebuffer_ms: int = 0,
    ) -> None:
        if sample_rate_hz <= 0 or sample_rate_hz % 50:
            raise ValueError(f"20 ms at {sample_rate_hz} Hz are not a whole number of samples")
        self.sample_rate_hz = sample_rate_hz
        self.position = (0, 0)
        """The response that was read last, and how much of it has been."""
        self.late_appends = 0
        """Chunks dropped because their response was flushed or over."""
        self._bytes_per_s = sample_rate_hz * 2
        self._frame_bytes = self._bytes_per_s * FRAME_MS // 1000
        self._prebuffer_bytes = self._bytes_per_s * prebuffer_ms // 1000
        self._max_bytes = self._bytes_per_s * max_buffered_ms // 1000
        self._tracks: deque[_Track] = deque()
        self._retired: dict[int, int] = {}
        self._forgotten_up_to = -1
        self._buffered_bytes = 0
        self._events: deque[PlayerEvent] = deque(maxlen=_MAX_EVENTS)
        self._tail: bytes | None = None
        self._paused = False
        self._gain = self._target_gain = 1.0
        self._ramp_left = 0

    # ---- what goes in ------------------------------------------------------------------------

    def append(self, response_id: int, segment_id: int, pcm: bytes) -> bool:
        """Queue s16 PCM of a segment; segments are appended in the order of their speech.

        Returns False, and takes nothing, when `max_buffered_ms` are already waiting: try again
        after some reads. Audio of a response that was flushed or is over is dropped, counted in
        `late_appends`, and answered with True, since offering it again would not help.

        Raises:
            ValueError: half a sample.
        """
        if len(pcm) % 2:
            raise ValueError(f"{len(pcm)} bytes are not whole 16-bit samples")
        track = self._find_or_open(response_id)
        if track is None or track.closed:
            self.late_appends += 1
            return True
        if self._buffered_bytes >= self._max_bytes:
            return False
        track.segment_starts.setdefault(segment_id, track.appended_bytes)
        if pcm:
            track.at_joint = False
            track.buffer += pcm
            track.appended_bytes += len(pcm)
            self._buffered_bytes += len(pcm)
        return True

    def end_segment(self, response_id: int, segment_id: int) -> None:
        """No more audio of this segment will come. Its last piece of less than a frame is then
        played with padding rather than held back until the next segment."""
        track = self._find(response_id)
        if track is not None:
            track.segment_starts.setdefault(segment_id, track.appended_bytes)
            track.at_joint = True

    def end_response(self, response_id: int) -> None:
        """No more audio of this response will come. `Ended` follows once all has been read, or at
        once when there is nothing left. Idempotent."""
        track = self._find_or_open(response_id)
        if track is not None:
            track.closed = True
            self._retire_finished()

    # ---- what comes out ----------------------------------------------------------------------

    def read(self) -> bytes | None:
        """The next 20 ms, exactly; None when there is nothing to play. Reading is playing."""
        if self._tail is not None:
            tail, self._tail = self._tail, None
            return tail
        if self._paused or not self._tracks:
            return None
        track = self._tracks[0]
        have = len(track.buffer)
        if have < self._frame_bytes and not (have and (track.closed or track.at_joint)):
            if track.started and not track.starved:
                track.starved = True
                self._events.append(Underrun(track.response_id))
            return None
        if self._is_filling(track, have):
            return None
        frame = bytes(track.buffer[: self._frame_bytes])
        del track.buffer[: self._frame_bytes]
        self._account(track, len(frame))
        if self._gain != 1.0 or self._ramp_left:
            frame = self._shape(frame)
        if have <= self._frame_bytes:
            frame = frame.ljust(self._frame_bytes, b"\0")
            self._retire_finished()
        return frame

    def progress(self) -> Sequence[PlayerEvent]:
        """What happened since the last poll, oldest first. Of more than 1,024 unread events the
        oldest are lost."""
        if not self._events:
            return ()
        events = tuple(self._events)
        self._events.clear()
        return events

    def played_ms(self, response_id: int) -> int:
        """How much of the response's audio has been heard; 0 for one never seen. The last 256
        responses are remembered."""
        track = self._find(response_id)
        if track is None:
            return self._retired.get(response_id, 0)
        return self._ms(track.played_bytes)

    def segment_start_ms(self, response_id: int, segment_id: int) -> int | None:
        """Where in the response's audio a segment begins: add it to the times of the segment's
        words. None when nothing of it has been appended, or the response is over."""
        track = self._find(response_id)
        start = track.segment_starts.get(segment_id) if track is not None else None
        return None if start is None else self._ms(start)

    @property
    def buffered_ms(self) -> int:
        """Audio waiting, of all responses."""
        return self._ms(self._buffered_bytes)

    @property
    def is_paused(self) -> bool:
        return self._paused

    @property
    def playing_id(self) -> int | None:
        """The response that has begun and is not over, paused or starved included."""
        return self._tracks[0].response_id if self._tracks and self._tracks[0].started else None

    # ---- level, pause, flush -----------------------------------------------------------------

    def duck(self, gain_db: float, ramp_ms: int) -> None:
        """Go to `gain_db` (negative is quieter) within `ramp_ms` of played audio."""
        self._ramp_to(levels.gain_from_db(gain_db), ramp_ms)

    def unduck(self, ramp_ms: int) -> None:
        """Go back to full level."""
        self._ramp_to(1.0, ramp_ms)

    def pause(self, fade_ms: int = FRAME_MS) -> None:
        """Hold the position. What is sounding fades out within the next frame (`fade_ms` is at
        most 20) and is played again from its start after `resume`. Idempotent."""
        if self._paused:
            return
        self._fade_into_tail(fade_ms)
        self._paused = True

    def resume(self, fade_ms: int = FRAME_MS) -> None:
        """Go on where the pause began, fading in. Idempotent."""
        if not self._paused:
            return
        self._paused = False
        if self._tail is not None:
            # Resumed before the fade-out was read: the caller has heard no gap, so go straight on.
            self._tail = None
            return
        self._gain = 0.0
        self._ramp_to(self._target_gain, fade_ms)

    def flush(self, response_id: int, fade_ms: int = FRAME_MS) -> int:
        """Drop everything of a response at once, also what is still to come of it.

        What is sounding fades out within the next frame (`fade_ms` is at most 20); that frame is
        not counted as heard. Returns `played_ms`. Idempotent, and allowed before any audio.
        """
        track = self._find_or_open(response_id)
        if track is None:
            return self._retired.get(response_id, 0)
        at_front = track is self._tracks[0]
        if at_front and not self._paused:
            self._fade_into_tail(fade_ms)
        self._tracks.remove(track)
        self._buffered_bytes -= len(track.buffer)
        self._retire(track)
        if at_front:
            self._reset_level()
            self._retire_finished()
        return self._ms(track.played_bytes)

    # ---- inside ------------------------------------------------------------------------------

    def _ms(self, size: int) -> int:
        return size * 1000 // self._bytes_per_s

    def _find(self, response_id: int) -> _Track | None:
        for track in self._tracks:
            if track.response_id == response_id:
                return track
        return None

    def _find_or_open(self, response_id: int) -> _Track | None:
        """The response's track, opened at the end of the queue; None when it is over."""
        track = self._find(response_id)
        if track is not None:
            return track
        if response_id in self._retired or response_id <= self._forgotten_up_to:
            return None
        track = _Track(response_id)
        self._tracks.append(track)
        return track

    def _is_filling(self, track: _Track, have: int) -> bool:
        """Whether speech should wait for a little more of it."""
        if track.started and not track.starved:
            return False
        if have >= self._prebuffer_bytes or track.closed or track.at_joint:
            return False
        track.filling += 1
        return track.filling < _PREBUFFER_READS

    def _account(self, track: _Track, size: int) -> None:
        track.played_bytes += size
        self._buffered_bytes -= size
        track.starved = False
        track.filling = 0
        if not track.started:
            track.started = True
            self._events.append(Started(track.response_id))
        played_ms = self._ms(track.played_bytes)
        self.position = (track.response_id, played_ms)
        if played_ms - track.reported_ms >= PROGRESS_EVERY_MS:
            track.reported_ms = played_ms
            self._events.append(Progressed(track.response_id, played_ms))

    def _retire_finished(self) -> None:
        while self._tracks and self._tracks[0].closed and not self._tracks[0].buffer:
            track = self._tracks.popleft()
            self._retire(track)
            self._reset_level()
            self._events.append(Ended(track.response_id, self._ms(track.played_bytes)))

    def _retire(self, track: _Track) -> None:
        self._retired[track.response_id] = self._ms(track.played_bytes)
        if len(self._retired) > _REMEMBERED_RESPONSES:
            # Ids grow, so whatever is as old as a forgotten response is over as well.
            oldest = next(iter(self._retired))
            del self._retired[oldest]
            self._forgotten_up_to = max(self._forgotten_up_to, oldest)

    def _reset_level(self) -> None:
        self._paused = False
        self._gain = self._target_gain = 1.0
        self._ramp_left = 0

    def _ramp_to(self, gain: float, ramp_ms: int) -> None:
        self._target_gain = gain
        self._ramp_left = max(0, ramp_ms) * self.sample_rate_hz // 1000
        if not self._ramp_left:
            self._gain = gain

    def _shape(self, frame: bytes) -> bytes:
        ramped = min(self._ramp_left, len(frame) // 2)
        start, end = self._gain, self._target_gain
        shaped = levels.ramp(frame, start, end, self._ramp_left)
        if ramped:
            self._gain = start + (end - start) * ramped / self._ramp_left
            self._ramp_left -= ramped
            if not self._ramp_left:
                self._gain = end
        return shaped

    def _fade_into_tail(self, fade_ms: int) -> None:
        """Make the next frame a fade-out of what would have been played; the position stays."""
        track = self._tracks[0] if self._tracks else None
        fade = min(max(fade_ms, 0), FRAME_MS) * self.sample_rate_hz // 1000
        if track is None or not track.started or track.starved or self._tail is not None:
            return
        frame = bytes(track.buffer[: self._frame_bytes])
        if fade and frame:
            faded = levels.fade_out(frame, fade, self._gain)
            self._tail = faded.ljust(self._frame_bytes, b"\0")
