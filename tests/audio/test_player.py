"""The playout ledger: positions, order, flush, pause, bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from antiphon.audio.player import Ended, Player, PlayerEvent, Progressed, Started, Underrun

RATE = 16_000
FRAME = 640


def ramp_pcm(start: int, samples: int) -> bytes:
    """Samples that count upwards, so that any that is lost, doubled or moved is noticed."""
    return (np.arange(start, start + samples) % 30_000 + 1).astype("<i2").tobytes()


def drain(player: Player) -> list[bytes]:
    frames = []
    while (frame := player.read()) is not None:
        frames.append(frame)
    return frames


def test_a_response_is_played_whole_and_its_last_frame_padded() -> None:
    player = Player(RATE)
    pcm = ramp_pcm(0, 700)
    assert player.append(1, 0, pcm)
    player.end_response(1)
    frames = drain(player)
    assert [len(frame) for frame in frames] == [FRAME] * 3
    assert b"".join(frames) == pcm + bytes(3 * FRAME - len(pcm))
    assert player.progress() == (Started(1), Ended(1, 43))
    assert player.played_ms(1) == 43


def test_an_underrun_holds_the_position_and_is_told_once() -> None:
    player = Player(RATE)
    player.append(1, 0, ramp_pcm(0, 400))
    assert player.read() is not None
    assert player.read() is None
    assert player.read() is None
    assert player.progress() == (Started(1), Underrun(1))
    assert player.played_ms(1) == 20
    player.append(1, 0, ramp_pcm(400, 240))
    assert player.read() == ramp_pcm(320, 320)
    assert player.read() is None
    assert player.progress() == (Underrun(1),)


def test_nothing_to_play_yet_is_not_an_underrun() -> None:
    player = Player(RATE)
    player.append(1, 0, ramp_pcm(0, 10))
    assert player.read() is None
    assert player.progress() == ()
    assert player.playing_id is None


def test_the_end_of_a_segment_is_not_held_back() -> None:
    player = Player(RATE)
    player.append(1, 0, ramp_pcm(0, 400))
    player.end_segment(1, 0)
    player.read()
    assert player.read() == ramp_pcm(320, 80) + bytes(480)
    assert player.played_ms(1) == 25
    player.append(1, 1, ramp_pcm(400, 320))
    assert player.segment_start_ms(1, 1) == 25
    assert player.read() == ramp_pcm(400, 320)
    assert player.played_ms(1) == 45


def test_segments_know_where_they_begin() -> None:
    player = Player(RATE)
    player.append(1, 0, ramp_pcm(0, 1600))
    player.append(1, 1, ramp_pcm(0, 160))
    assert player.segment_start_ms(1, 0) == 0
    assert player.segment_start_ms(1, 1) == 100
    assert player.segment_start_ms(1, 2) is None
    assert player.segment_start_ms(2, 0) is None


def test_responses_play_in_order() -> None:
    player = Player(RATE)
    player.append(1, 0, ramp_pcm(0, 320))
    player.append(2, 0, ramp_pcm(5000, 320))
    assert player.read() == ramp_pcm(0, 320)
    assert player.read() is None
    player.end_response(1)
    assert player.read() == ramp_pcm(5000, 320)
    player.end_response(2)
    assert player.progress() == (
        Started(1),
        Underrun(1),
        Ended(1, 20),
        Started(2),
        Ended(2, 20),
    )


def test_a_response_without_audio_ends_at_once() -> None:
    player = Player(RATE)
    player.end_response(7)
    player.end_response(7)
    assert player.progress() == (Ended(7, 0),)


def test_progress_comes_about_every_100_ms() -> None:
    player = Player(48_000)
    player.append(1, 0, bytes(96_000))
    events: list[PlayerEvent] = []
    while player.read() is not None:
        events += player.progress()
    marks = [event.played_ms for event in events if isinstance(event, Progressed)]
    assert marks == list(range(100, 1001, 100))


def test_flush_drops_all_but_one_fading_frame() -> None:
    player = Player(RATE)
    player.append(1, 0, b"\x00\x40" * 16_000)
    for _ in range(3):
        player.read()
    assert player.flush(1, fade_ms=10) == 60
    assert player.buffered_ms == 0
    tail = player.read()
    assert tail is not None
    samples = np.frombuffer(tail, "<i2")
    assert samples[0] > 16_000
    assert not samples[160:].any()
    assert np.all(np.diff(samples) <= 0)
    assert player.read() is None
    assert player.append(1, 0, bytes(640))
    player.end_response(1)
    assert player.late_appends == 1
    assert player.read() is None
    assert player.flush(1) == 60
    assert player.played_ms(1) == 60
    assert player.progress() == (Started(1),)


def test_flush_before_any_audio_keeps_what_comes_out() -> None:
    player = Player(RATE)
    assert player.flush(3) == 0
    player.append(3, 0, bytes(640))
    assert player.late_appends == 1
    assert player.read() is None


def test_flush_without_fade_is_silent_at_once() -> None:
    player = Player(RATE)
    player.append(1, 0, bytes(6400))
    player.read()
    player.flush(1, fade_ms=0)
    assert player.read() is None


def test_flush_of_a_waiting_response_leaves_the_speaking_one_alone() -> None:
    player = Player(RATE)
    player.append(1, 0, ramp_pcm(0, 640))
    player.append(2, 0, ramp_pcm(0, 640))
    player.read()
    player.pause(0)
    assert player.flush(2) == 0
    assert player.is_paused
    player.resume(0)
    assert player.read() == ramp_pcm(320, 320)


def test_pause_fades_out_holds_and_goes_on_at_the_same_place() -> None:
    player = Player(RATE)
    player.append(1, 0, ramp_pcm(0, 3200))
    player.read()
    player.pause(fade_ms=20)
    fading = player.read()
    assert fading is not None
    assert fading != ramp_pcm(320, 320)
    assert fading[-2:] == b"\0\0"
    assert player.read() is None
    assert player.is_paused
    assert player.played_ms(1) == 20
    player.resume(fade_ms=5)
    rising = player.read()
    assert rising is not None
    assert rising[160:] == ramp_pcm(400, 240)
    assert player.read() == ramp_pcm(640, 320)


def test_resume_before_the_fade_was_read_leaves_no_trace() -> None:
    player = Player(RATE)
    player.append(1, 0, ramp_pcm(0, 3200))
    player.read()
    player.pause()
    player.resume()
    assert b"".join(drain(player)) == ramp_pcm(320, 2880)


def test_pause_before_the_first_frame_holds_it() -> None:
    player = Player(RATE)
    player.pause()
    player.append(1, 0, ramp_pcm(0, 320))
    assert player.read() is None
    player.resume(0)
    assert player.read() == ramp_pcm(0, 320)


@pytest.mark.parametrize("over", ["flush", "end"])
def test_level_and_pause_do_not_outlive_their_response(over: str) -> None:
    player = Player(RATE)
    player.append(1, 0, ramp_pcm(0, 320))
    player.read()
    player.duck(-20, 0)
    player.pause(0)
    if over == "flush":
        player.flush(1, 0)
    else:
        player.end_response(1)
    player.append(2, 0, ramp_pcm(0, 320))
    assert player.read() == ramp_pcm(0, 320)


def test_duck_ramps_without_a_step_and_comes_back() -> None:
    player = Player(RATE)
    player.append(1, 0, b"\x10\x27" * 16_000)
    player.read()
    player.duck(-20, ramp_ms=50)
    ducked = np.frombuffer(b"".join(player.read() or b"" for _ in range(4)), "<i2").astype(int)
    assert abs(ducked[0] - 10_000) < 20
    assert np.all(np.abs(np.diff(ducked)) < 20)
    assert ducked[-1] == 1_000
    player.unduck(ramp_ms=0)
    assert player.read() == b"\x10\x27" * 320


def test_a_pause_in_a_ducked_response_resumes_ducked() -> None:
    player = Player(RATE)
    player.append(1, 0, b"\x10\x27" * 16_000)
    player.read()
    player.duck(-20, 0)
    player.pause(20)
    fading = player.read()
    assert fading is not None
    assert np.frombuffer(fading, "<i2").max() <= 1_000
    player.resume(20)
    player.read()
    assert np.frombuffer(player.read() or b"", "<i2").tolist() == [1_000] * 320


def test_a_full_player_refuses_until_it_is_read() -> None:
    player = Player(RATE, max_buffered_ms=100)
    assert player.append(1, 0, bytes(3200))
    assert not player.append(1, 0, bytes(640))
    assert player.buffered_ms == 100
    player.read()
    assert player.append(1, 0, bytes(640))
    assert player.late_appends == 0


def test_nonsense_is_refused_with_a_sentence() -> None:
    with pytest.raises(ValueError, match="whole number of samples"):
        Player(11_025)
    with pytest.raises(ValueError, match="16-bit"):
        Player(RATE).append(1, 0, b"abc")


def test_old_responses_are_forgotten_but_stay_over() -> None:
    player = Player(RATE)
    for response_id in range(1, 1000):
        player.append(response_id, 0, bytes(640))
        player.read()
        player.end_response(response_id)
    assert player.played_ms(999) == 20
    assert player.played_ms(1) == 0
    player.append(1, 0, bytes(640))
    assert player.late_appends == 1
    assert player.read() is None


@settings(max_examples=100, deadline=None)
@given(
    chunks=st.lists(st.integers(0, 3000), max_size=20),
    rate=st.sampled_from([8_000, 16_000, 22_050, 24_000, 48_000]),
)
def test_every_sample_is_played_once_in_order(chunks: list[int], rate: int) -> None:
    player = Player(rate)
    whole = b""
    for segment_id, samples in enumerate(chunks):
        pcm = ramp_pcm(len(whole) // 2, samples)
        whole += pcm
        player.append(1, segment_id, pcm)
    player.end_response(1)
    heard = b"".join(drain(player))
    assert heard[: len(whole)] == whole
    assert not any(heard[len(whole) :])
    assert len(heard) - len(whole) < rate // 50 * 2
    assert player.played_ms(1) == len(whole) // 2 * 1000 // rate


class PlayerWorld(RuleBasedStateMachine):
    """Anything in any order, beside a ledger kept with plain lists."""

    def __init__(self) -> None:
        super().__init__()
        self.player = Player(RATE, max_buffered_ms=400)
        self.queue: list[int] = []
        self.waiting: dict[int, bytes] = {}
        self.played: dict[int, int] = {}
        self.closed: set[int] = set()
        self.over: set[int] = set()
        self.late = 0
        self.paused = False
        self.tail_allowed = False
        self.level_touched = False

    def _open(self, response_id: int) -> None:
        if response_id not in self.queue and response_id not in self.over:
            self.queue.append(response_id)
            self.waiting[response_id] = b""
            self.played[response_id] = 0

    def _settle(self) -> None:
        while self.queue and self.queue[0] in self.closed and not self.waiting[self.queue[0]]:
            self._retire(self.queue.pop(0))
            self.paused = self.level_touched = False

    def _retire(self, response_id: int) -> None:
        self.over.add(response_id)
        self.waiting.pop(response_id)

    # Whole milliseconds, so that every piece that is heard moves the position.
    @rule(response_id=st.integers(1, 4), ms=st.integers(0, 125))
    def append(self, response_id: int, ms: int) -> None:
        samples = ms * 16
        self._open(response_id)
        start = self.played.get(response_id, 0) + len(self.waiting.get(response_id, b"")) // 2
        pcm = ramp_pcm(start, samples)
        taken = self.player.append(response_id, 0, pcm)
        if response_id in self.over or response_id in self.closed:
            self.late += 1
            assert taken
            return
        assert taken == (sum(map(len, self.waiting.values())) < 400 * 32)
        if taken:
            self.waiting[response_id] += pcm

    @rule(response_id=st.integers(1, 4))
    def end_response(self, response_id: int) -> None:
        self._open(response_id)
        self.player.end_response(response_id)
        if response_id not in self.over:
            self.closed.add(response_id)
        self._settle()

    @rule(response_id=st.integers(1, 4), fade_ms=st.integers(0, 30))
    def flush(self, response_id: int, fade_ms: int) -> None:
        self._open(response_id)
        heard = self.player.flush(response_id, fade_ms)
        assert heard == self.played[response_id] // 16
        if response_id in self.over:
            return
        if self.queue[0] == response_id:
            self.paused = self.level_touched = False
            self.tail_allowed = True
        self.queue.remove(response_id)
        self._retire(response_id)
        self._settle()

    @rule(fade_ms=st.integers(0, 30))
    def pause(self, fade_ms: int) -> None:
        self.player.pause(fade_ms)
        self.paused = self.tail_allowed = True

    @rule(fade_ms=st.integers(0, 30))
    def resume(self, fade_ms: int) -> None:
        self.player.resume(fade_ms)
        self.level_touched = self.level_touched or self.paused
        self.paused = False

    @rule(gain_db=st.integers(-40, 0), ramp_ms=st.integers(0, 60))
    def duck(self, gain_db: int, ramp_ms: int) -> None:
        self.player.duck(gain_db, ramp_ms)
        self.level_touched = True

    @rule(ramp_ms=st.integers(0, 60))
    def unduck(self, ramp_ms: int) -> None:
        self.player.unduck(ramp_ms)
        self.level_touched = True

    @rule(count=st.integers(1, 8))
    def read(self, count: int) -> None:
        for _ in range(count):
            before = {key: self.player.played_ms(key) for key in self.played}
            frame = self.player.read()
            moved = [key for key in self.played if self.player.played_ms(key) != before[key]]
            assert frame is None or len(frame) == FRAME
            if frame is not None and not moved and self.tail_allowed:
                self.tail_allowed = False
                continue
            self.tail_allowed = False
            self._expect(frame)

    def _expect(self, frame: bytes | None) -> None:
        ready = bool(self.queue) and not self.paused
        pcm = self.waiting[self.queue[0]] if ready else b""
        if not ready or (len(pcm) < FRAME and not (pcm and self.queue[0] in self.closed)):
            assert frame is None
            return
        assert frame is not None
        if not self.level_touched:
            assert frame == pcm[:FRAME].ljust(FRAME, b"\0")
        self.played[self.queue[0]] += len(pcm[:FRAME]) // 2
        self.waiting[self.queue[0]] = pcm[FRAME:]
        self._settle()

    @precondition(lambda self: self.paused)
    @rule()
    def a_pause_always_resumes(self) -> None:
        front = self.queue[0] if self.queue else None
        more = front is not None and len(self.waiting[front]) >= 2 * FRAME
        before = self.player.played_ms(front) if front is not None else 0
        self.resume(0)
        self.read(2)
        if more and front is not None:
            assert self.player.played_ms(front) > before

    @invariant()
    def the_ledgers_agree(self) -> None:
        for response_id, samples in self.played.items():
            assert self.player.played_ms(response_id) == samples // 16
        assert self.player.buffered_ms == sum(map(len, self.waiting.values())) // 32
        assert self.player.late_appends == self.late
        assert self.player.is_paused == self.paused


PlayerWorld.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPlayerWorld = PlayerWorld.TestCase


def test_speech_begins_with_a_little_in_hand() -> None:
    player = Player(RATE, prebuffer_ms=40)
    player.append(1, 0, bytes(FRAME))
    assert player.read() is None
    player.append(1, 0, bytes(FRAME))
    assert player.read() is not None
    assert player.read() is not None
    assert player.read() is None, "an underrun"
    player.append(1, 0, bytes(FRAME))
    assert player.read() is None, "again a little in hand"
    player.append(1, 0, bytes(FRAME))
    assert player.read() is not None


def test_speech_does_not_wait_long_nor_for_what_will_not_come() -> None:
    player = Player(RATE, prebuffer_ms=40)
    player.append(1, 0, bytes(FRAME))
    assert [player.read() is None for _ in range(3)] == [True, True, False]
    player = Player(RATE, prebuffer_ms=40)
    player.append(1, 0, bytes(FRAME))
    player.end_segment(1, 0)
    assert player.read() is not None
    player = Player(RATE, prebuffer_ms=40)
    player.append(1, 0, bytes(FRAME))
    player.end_response(1)
    assert player.read() is not None
