"""Recordings: both sides where they were, by the call's clock."""

from __future__ import annotations

import asyncio
import os
import stat
import struct
import threading
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.session import recorder as module
from antiphon.session.recorder import Recorder, RecordingFolder

SAMPLES = 320


class Clock:
    def __init__(self) -> None:
        self.ms = 0

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def writer() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def frame(value: int, rate_hz: int = 16_000) -> bytes:
    return struct.pack("<h", value) * (rate_hz // 50)


def read(path: Path) -> np.ndarray:
    """Shape (samples, 2)."""
    with wave.open(str(path), "rb") as file:
        assert file.getparams()[:3] == (2, 2, 16_000)
        data = file.readframes(file.getnframes())
    assert path.stat().st_size == 44 + len(data)
    return np.frombuffer(data, "<i2").reshape(-1, 2)


def closed(recorder: Recorder) -> np.ndarray:
    asyncio.run(recorder.aclose())
    return read(recorder.path)


def test_nothing_is_on_disk_before_it_starts(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    recorder = Recorder(tmp_path / "a" / "c.wav", Clock(), writer)
    recorder.caller(frame(1))
    recorder.agent(frame(1), 16_000)
    asyncio.run(recorder.aclose())
    assert not (tmp_path / "a").exists()
    assert recorder.started_ms is None


def test_both_sides_are_where_they_were(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    now = Clock()
    recorder = Recorder(tmp_path / "c.wav", now, writer)
    now.ms = 5000
    recorder.start()
    recorder.start()
    for step in range(200):
        now.ms = 5000 + step * 20
        if step:
            recorder.caller(frame(step))
        if 100 <= step < 150:
            recorder.agent(frame(step), 16_000)
    now.ms = 9000
    got = closed(recorder)
    assert recorder.started_ms == 5000
    assert len(got) == 200 * SAMPLES
    # What ends with a step was said before it, what begins with it is heard then.
    assert [int(value) for value in got[::SAMPLES, 0]] == [*range(1, 200), 0]
    assert [int(value) for value in got[::SAMPLES, 1]] == [0] * 100 + [*range(100, 150)] + [0] * 50
    assert stat.S_IMODE((tmp_path / "c.wav").stat().st_mode) == 0o600


@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 48_000])
def test_the_agents_voice_has_any_rate(
    tmp_path: Path, writer: ThreadPoolExecutor, rate_hz: int
) -> None:
    now = Clock()
    recorder = Recorder(tmp_path / "c.wav", now, writer)
    recorder.start()
    tone = np.sin(2 * np.pi * 440 * np.arange(rate_hz) / rate_hz) * 8000
    pcm = tone.astype("<i2").tobytes()
    size = rate_hz // 50 * 2
    for step in range(150):
        now.ms = step * 20
        if 30 <= step < 80:
            recorder.agent(pcm[(step - 30) * size :][:size], rate_hz)
    agent = closed(recorder)[:, 1].astype(float)
    loud = np.flatnonzero(np.abs(agent) > 500)
    assert abs(int(loud[0]) - 30 * SAMPLES) < SAMPLES
    assert abs(int(loud[-1]) - 80 * SAMPLES) < SAMPLES
    middle = agent[40 * SAMPLES : 70 * SAMPLES]
    spectrum = np.abs(np.fft.rfft(middle))
    assert abs(int(spectrum.argmax()) * 16_000 / len(middle) - 440) < 4
    assert 7000 < np.abs(middle).max() < 9000


def test_what_is_said_in_a_pause_is_nowhere(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    now = Clock()
    recorder = Recorder(tmp_path / "c.wav", now, writer)
    recorder.start()
    for step in range(300):
        now.ms = step * 20
        if step == 100:
            recorder.pause()
            recorder.pause()
        if step == 200:
            recorder.resume()
            recorder.resume()
        recorder.caller(frame(1 + step // 100))
        recorder.agent(frame(1 + step // 100), 16_000)
    got = closed(recorder)
    assert recorder.paused_ms == 2000
    assert len(got) == 300 * SAMPLES, "the clock stays true"
    assert 2 not in got
    assert not got[100 * SAMPLES : 199 * SAMPLES].any()
    assert (got[205 * SAMPLES : 295 * SAMPLES] == 3).all()


def test_a_pause_before_the_start_holds(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    now = Clock()
    recorder = Recorder(tmp_path / "c.wav", now, writer)
    recorder.pause()
    now.ms = 1000
    recorder.start()
    now.ms = 1100
    recorder.caller(frame(7))
    now.ms = 1500
    assert recorder.paused_ms == 500
    assert not closed(recorder).any()


def test_what_is_on_disk_is_whole_at_any_time(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    now = Clock()
    recorder = Recorder(tmp_path / "c.wav", now, writer)
    recorder.start()
    for step in range(500):
        now.ms = step * 20
        recorder.caller(frame(9))
        if step % 100 == 99:
            writer.submit(lambda: None).result()
            assert len(read(recorder.path)) >= (step - 80) * SAMPLES, "as after a crash"
    recorder.close()
    recorder.close()
    assert len(closed(recorder)) == 499 * SAMPLES


def test_it_ends_at_its_longest(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    now = Clock()
    recorder = Recorder(tmp_path / "c.wav", now, writer, longest_ms=2000)
    recorder.start()
    for step in range(1000):
        now.ms = step * 20
        recorder.caller(frame(1))
        recorder.agent(frame(1), 16_000)
    assert len(closed(recorder)) == 100 * SAMPLES


def test_a_long_silence_takes_no_room(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    now = Clock()
    recorder = Recorder(tmp_path / "c.wav", now, writer)
    recorder.start()
    now.ms = 20
    recorder.caller(frame(1))
    now.ms = 3_600_000
    recorder.caller(frame(1))
    got = closed(recorder)
    assert len(got) == 3600 * 16_000
    assert recorder.path.stat().st_blocks * 512 < 2**20


def test_a_disk_that_is_gone(
    tmp_path: Path, writer: ThreadPoolExecutor, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    recorder = Recorder(tmp_path / "file" / "c.wav", now := Clock(), writer)
    recorder.start()
    for step in range(200):
        now.ms = step * 20
        recorder.caller(frame(1))
    asyncio.run(recorder.aclose())
    assert recorder.failed
    assert [one.getMessage() for one in caplog.records] == ["a recording cannot be written"]


def test_a_disk_that_is_slow_bounds_what_waits(
    tmp_path: Path, writer: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 3)
    gate = threading.Event()
    writer.submit(gate.wait, 10)
    recorder = Recorder(tmp_path / "c.wav", now := Clock(), writer)
    recorder.start()
    for step in range(1000):
        now.ms = step * 20
        recorder.caller(frame(1))
    assert recorder.failed
    assert len(recorder._pending) <= 3
    gate.set()
    assert len(closed(recorder)) > 0, "what was written before is a recording"


def test_frames_of_odd_sizes_do_no_harm(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    recorder = Recorder(tmp_path / "c.wav", now := Clock(), writer)
    recorder.start()
    for step, pcm in enumerate((b"", frame(1)[:100], frame(1) * 3, frame(1))):
        now.ms = step * 20
        recorder.caller(pcm)
        recorder.agent(None, 24_000)
    assert len(closed(recorder)) == 3 * SAMPLES


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.integers(0, 19), min_size=60, max_size=160), st.booleans(), st.integers(0, 19))
def test_jitter_moves_nothing_by_more_than_a_frame(
    tmp_path: Path, writer: ThreadPoolExecutor, late: list[int], agent: bool, offset: int
) -> None:
    """Frame n is due at `offset` + 20 n and comes up to 19 ms late."""
    now = Clock()
    recorder = Recorder(tmp_path / "c.wav", now, writer)
    recorder.start()
    for number, delay in enumerate(late):
        now.ms = max(now.ms, offset + number * 20 + delay)
        if agent:
            recorder.agent(frame(number + 1), 16_000)
        else:
            recorder.caller(frame(number + 1))
    got = [int(value) for value in closed(recorder)[::SAMPLES, int(agent)]]
    for place, number in enumerate(got):
        if number:
            due = (offset + (number - 1) * 20) / 20 - (0 if agent else 1)
            assert -1 <= place - due < 2
    heard = [number for number in got if number]
    assert heard == sorted(set(heard)), "in their order, none twice"
    assert len(heard) >= len(late) - 2


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(2, 20), st.integers(20, 60))
def test_a_bunch_of_delayed_frames_fills_its_gap(
    tmp_path: Path, writer: ThreadPoolExecutor, size: int, before: int
) -> None:
    recorder = Recorder(tmp_path / "c.wav", now := Clock(), writer)
    recorder.start()
    for number in range(1, before + size + 40):
        stalled = before < number <= before + size
        now.ms = (before + size if stalled else number) * 20
        recorder.caller(frame(number))
    got = [int(value) for value in closed(recorder)[::SAMPLES, 0]]
    assert got == list(range(1, before + size + 40))


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(st.sampled_from("capsr"), st.integers(0, 3000)), max_size=60))
def test_whatever_is_called_the_file_is_whole(
    tmp_path: Path, writer: ThreadPoolExecutor, steps: list[tuple[str, int]]
) -> None:
    path = tmp_path / "c.wav"
    path.unlink(missing_ok=True)
    recorder = Recorder(path, now := Clock(), writer, longest_ms=30_000)
    calls = {
        "c": lambda: recorder.caller(frame(1)),
        "a": lambda: recorder.agent(frame(1, 24_000), 24_000),
        "p": recorder.pause,
        "s": recorder.start,
        "r": recorder.resume,
    }
    for call, wait_ms in steps:
        now.ms += wait_ms
        calls[call]()
    asyncio.run(recorder.aclose())
    assert path.exists() is (recorder.started_ms is not None)
    if path.exists():
        assert recorder.started_ms is not None
        length = min(now.ms - recorder.started_ms, 30_000)
        assert abs(len(read(path)) // SAMPLES - length // 20) <= 3
        assert 0 <= recorder.paused_ms <= now.ms


def test_old_recordings_are_removed(tmp_path: Path) -> None:
    folder = RecordingFolder(tmp_path, keep_days=7)
    now_s = 1_800_000_000.0
    for name, days in (("a.wav", 8), ("b.wav", 6), ("a.call.json", 8), ("c.call.json", 400)):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (now_s - days * 86_400,) * 2)
    assert folder.prune(now_s) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.call.json", "b.wav"]
    folder.close()


def test_a_folder_prunes_by_itself(tmp_path: Path) -> None:
    (tmp_path / "old.wav").write_text("")
    os.utime(tmp_path / "old.wav", (0, 0))
    folder = RecordingFolder(tmp_path, keep_days=7)
    recorder = folder.recorder("call_1", Clock())
    assert recorder.path == tmp_path / "call_1.wav"
    folder.close()
    assert list(tmp_path.iterdir()) == []


def test_a_frame_costs_the_event_loop_little(tmp_path: Path, writer: ThreadPoolExecutor) -> None:
    recorder = Recorder(tmp_path / "c.wav", now := Clock(), writer)
    recorder.start()
    took = []
    for step in range(1000):
        now.ms = step * 20
        begin = time.thread_time()
        recorder.caller(frame(1))
        recorder.agent(frame(1, 24_000), 24_000)
        took.append(time.thread_time() - begin)
    asyncio.run(recorder.aclose())
    assert sorted(took)[990] < 0.002
