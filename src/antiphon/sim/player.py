"""Playout of a simulated world, with the meaning of the real one (`audio.player`).

Positions count audio heard, not time; a pause keeps the place; progress is told every 100 ms (in
some worlds more seldom, as some channels do) and when the audio runs dry; a flush drops everything
and is confirmed.

Time is continuous here: nothing is read in frames, but the first sample waits for the next frame.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from antiphon.engine.commands import DuckAudio, FlushAudio, PauseAudio, PlayAudio, ResumeAudio
from antiphon.engine.events import (
    PlaybackEnded,
    PlaybackFlushed,
    PlaybackProgressed,
    PlaybackStarted,
)
from antiphon.sim.plan import between

if TYPE_CHECKING:
    from antiphon.sim.world import World

_SOURCE = 5
_PROGRESS_MS = (100, 250, 250, 500, 500)


class Track:
    """Audio of one response: how much there is and how much of it was heard."""

    __slots__ = (
        "available_ms",
        "closed",
        "ended",
        "flushed",
        "played_ms",
        "released",
        "started",
    )

    def __init__(self) -> None:
        self.available_ms = self.played_ms = 0
        self.released = self.started = self.flushed = False
        self.closed = False  # no more audio will come
        self.ended = False  # all of it was heard, and that was said

    @property
    def over(self) -> bool:
        """Whether nothing more of it will be heard."""
        return self.flushed or (self.closed and self.played_ms >= self.available_ms)


class Player:
    """One call's playout."""

    __slots__ = (
        "_front",
        "_rng",
        "_runs",
        "_since_ms",
        "_token",
        "_track",
        "_world",
        "dead",
        "ducked",
        "lost",
        "paused",
        "playing",
        "progress_ms",
        "quiet_from_ms",
        "quiet_until_ms",
        "tracks",
    )

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng
        self.tracks: dict[int, Track] = {}
        self.progress_ms = _PROGRESS_MS[between(rng, 0, len(_PROGRESS_MS) - 1)]
        self._front: int | None = None  # the response that was released last
        self._track = Track()  # what is playing
        self._token = 0
        self._runs: list[tuple[int, int, int, int]] = []  # what was heard when, for echoes
        self._since_ms = 0  # when the run of playing began
        self.playing = False
        self.paused = self.ducked = False
        self.dead = False
        self.lost = False  # nothing reaches the caller
        self.quiet_from_ms = 0  # since when nothing sounds, when nothing does
        self.quiet_until_ms = 0  # when the newest run of playing began
        if rng.random() < world.faults.dead_line:
            world.after(between(rng, 500, 40_000), self._die, 0)

    def track(self, response_id: int) -> Track:
        """The response's track, opened when there is none."""
        track = self.tracks.get(response_id)
        if track is None:
            track = self.tracks[response_id] = Track()
        return track

    def heard_ms(self, response_id: int) -> int:
        """How much of a response has been heard by now."""
        track = self.tracks.get(response_id)
        if track is None:
            return 0
        if self.playing and self._front == response_id:
            return min(
                track.available_ms, track.played_ms + max(0, self._world.now_ms - self._since_ms)
            )
        return track.played_ms

    def came_back(self, from_ms: int, until_ms: int) -> list[tuple[int, str]]:
        """The agent's words on the line between two moments, with their times."""
        words: list[tuple[int, str]] = []
        runs = self._runs
        if self.playing and self._front is not None:
            runs = [*runs, self._run_so_far(self._front)]
        for at_ms, response_id, begin_ms, end_ms in runs:
            if at_ms + end_ms - begin_ms < from_ms:
                continue
            for speech in self._world.tts.speech(response_id):
                for word in speech.words:
                    middle_ms = speech.start_ms + (word.start_ms + word.end_ms) // 2
                    heard_ms = at_ms + middle_ms - begin_ms
                    if begin_ms <= middle_ms < end_ms and from_ms <= heard_ms < until_ms:
                        words.append((heard_ms, word.text))
        return words

    def _run_so_far(self, response_id: int) -> tuple[int, int, int, int]:
        """When the run of playing began, of which response, from where to where in its audio."""
        heard_ms = self.heard_ms(response_id)
        begin_ms = heard_ms - (self._world.now_ms - self.quiet_until_ms)
        return self.quiet_until_ms, response_id, max(0, begin_ms), heard_ms

    # ---- what becomes of the process ----------------------------------------------------------

    def reset(self) -> None:
        """The process died with all that was queued."""
        self._halt()
        self._reset()
        self._front = None
        for track in self.tracks.values():
            track.flushed = True

    # ---- what becomes of the line -----------------------------------------------------------

    def lose(self) -> None:
        """Nothing reaches the caller any more."""
        self._halt()
        self.lost = True

    def find(self) -> None:
        """The caller hears again."""
        self.lost = False
        self._run()

    # ---- what the voice gives ---------------------------------------------------------------

    def append(self, response_id: int, available_ms: int) -> None:
        track = self.track(response_id)
        if not track.flushed:
            track.available_ms = max(track.available_ms, available_ms)
            self._run()

    def close(self, response_id: int) -> None:
        track = self.track(response_id)
        track.closed = True
        if track.started and not self.playing and self._front == response_id and track.over:
            self._world.after(0, self._end, response_id)

    # ---- what the engine asks for -----------------------------------------------------------

    def play(self, command: PlayAudio) -> None:
        self.track(command.response_id).released = True
        self._front = command.response_id
        self._run()

    def duck(self, command: DuckAudio) -> None:
        self.ducked = True
        self._world.vad.agent_softened()

    def pause(self, command: PauseAudio) -> None:
        self._halt()
        self.paused = True

    def resume(self, command: ResumeAudio) -> None:
        self.paused = self.ducked = False
        self._run()

    def flush(self, command: FlushAudio) -> None:
        track = self.track(command.response_id)
        if self._front == command.response_id:
            self._halt()
            self._reset()
        track.flushed = True
        self._world.after(0, self._confirm, command.response_id)

    def step(self, ms: int) -> None:
        """The clock has gone ahead, and nothing was played meanwhile."""
        self._since_ms += ms
        self.quiet_from_ms += ms
        self.quiet_until_ms += ms

    def hang_up(self) -> None:
        """The call is over."""
        self._halt()
        self.dead = True

    # ---- playing ----------------------------------------------------------------------------

    def _run(self) -> None:
        """Begin to play, if there is something to play and nothing against it."""
        if self.playing or self.paused or self.dead or self.lost or self._front is None:
            return
        track = self.tracks[self._front]
        if track.over or track.played_ms >= track.available_ms:
            return
        world = self._world
        wait_ms = 0 if track.started else between(self._rng, 0, 20)
        self.playing, self._track = True, track
        self._since_ms = world.now_ms + wait_ms
        self.quiet_until_ms = self._since_ms
        self._token += 1
        world.after(wait_ms, self._tick, self._token)

    def _halt(self) -> None:
        if not self.playing:
            return
        assert self._front is not None
        track = self.tracks[self._front]
        track.played_ms = self.heard_ms(self._front)
        self._since_ms = self._world.now_ms
        self._fall_silent()

    def _fall_silent(self) -> None:
        if self._world.vad.line and self._front is not None:
            self._runs.append(self._run_so_far(self._front))
        self.playing = False
        self.quiet_from_ms = self._world.now_ms
        self._token += 1
        self._world.vad.agent_stopped()
        self._world.caller.agent_stopped()

    def _tick(self, token: int) -> None:
        if token != self._token:
            return
        response_id, track, world = self._front, self._track, self._world
        assert response_id is not None
        now_ms = world.now_ms
        if now_ms == self._since_ms:  # begins, or goes on after a pause or after running dry
            world.caller.agent_started()
            world.vad.agent_started()
            self._next_tick(track)
            if not track.started:
                track.started = True
                world.send(PlaybackStarted(now_ms, response_id), _SOURCE)
            return
        track.played_ms += now_ms - self._since_ms
        self._since_ms = now_ms
        if track.played_ms < track.available_ms:
            self._next_tick(track)
            world.send(PlaybackProgressed(now_ms, response_id, track.played_ms), _SOURCE)
            return
        track.played_ms = track.available_ms
        self._fall_silent()
        if track.closed:
            self._end(response_id)
        else:
            world.send(PlaybackProgressed(now_ms, response_id, track.played_ms), _SOURCE)

    def _next_tick(self, track: Track) -> None:
        played_ms = track.played_ms
        step_ms = self.progress_ms - played_ms % self.progress_ms
        left_ms = track.available_ms - played_ms
        self._world.after(step_ms if step_ms < left_ms else left_ms, self._tick, self._token)

    def _end(self, response_id: int) -> None:
        track = self.tracks[response_id]
        if track.flushed or track.ended or self.dead:
            return
        track.ended = True
        self._reset()
        world = self._world
        world.send(PlaybackEnded(world.now_ms, response_id, track.played_ms), _SOURCE)

    def _confirm(self, response_id: int) -> None:
        world = self._world
        played_ms = self.tracks[response_id].played_ms
        world.send(PlaybackFlushed(world.now_ms, response_id, played_ms), _SOURCE)

    def _reset(self) -> None:
        """Level and pause belong to the response that was playing."""
        self.paused = self.ducked = False

    def _die(self, _: int) -> None:
        self._halt()
        self.dead = True
