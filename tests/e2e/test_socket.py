"""A person's recorded voice over a WebSocket, with the whole embedded stack: the cafe takes an
order. The caller is the example program, which has nothing of ours."""

from __future__ import annotations

import asyncio
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.e2e.capture import likeness
from tests.e2e.test_conversation import CAFE, ORDER, READ_BACK, RECORDINGS, ROOT, speech
from tests.support.live import serving
from tests.support.patient import patient
from tests.support.socket_caller import calling, cut, eventually

from antiphon.audio import g711
from antiphon.channels.rtp.opus import OpusEncoder
from antiphon.session.supervisor import Supervisor

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANTIPHON_DATA", str(tmp_path))
    return tmp_path


def order(path: Path) -> Path:
    spoken, _ = soundfile.read(RECORDINGS / "aab1f54a.flac", dtype="int16")
    soundfile.write(path, spoken, 16_000, subtype="PCM_16")
    return path


async def test_an_order_by_the_example_program(data: Path) -> None:
    supervisor = Supervisor([patient(CAFE)], traces=data)
    await supervisor.start()
    answer = data / "answer.wav"
    try:
        async with serving(supervisor) as url, asyncio.timeout(200):
            program = await asyncio.create_subprocess_exec(
                *(sys.executable, ROOT / "examples" / "socket_client.py"),
                *(url.replace("http", "ws"), order(data / "order.wav"), answer),
                stdout=asyncio.subprocess.PIPE,
            )
            printed, _ = await program.communicate()
            await eventually(lambda: not supervisor.active_calls, 60)
    finally:
        await supervisor.drain(0)
    lines = printed.decode().splitlines()
    assert program.returncode == 0
    assert f"caller: make me a {ORDER}" in lines
    assert f"agent:  {READ_BACK}" in lines
    with wave.open(str(answer)) as file:
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    # 24 kHz; levels are compared, at 48.
    tape = np.repeat(heard, 2)
    samples, rate_hz = await speech(f"That's a {ORDER}.")
    assert likeness(tape, samples, rate_hz) > 0.8
    samples, rate_hz = await speech("That's a large dark roast americano with a bit of sugar.")
    assert likeness(tape, samples, rate_hz) < 0.7


async def test_an_order_by_opus_goes_on_after_a_lost_connection(data: Path) -> None:
    """The connection is lost while the agent reads the order back; all of it is heard at last."""
    spoken, _ = soundfile.read(RECORDINGS / "aab1f54a.flac", dtype="int16")
    encoder = OpusEncoder(16_000)
    packets = [encoder.encode(one) for one in cut(spoken.tobytes(), 640)]
    supervisor = Supervisor([patient(CAFE)], traces=data)
    await supervisor.start()
    try:
        async with serving(supervisor) as url:
            async with calling(url, "?format=opus") as caller:
                opened = await caller.until("antiphon.socket.opened", 60)
                await caller.until("response.done", 60)
                await caller.speak(packets)
                kind = "conversation.item.input_audio_transcription.completed"
                assert (await caller.until(kind, 60))["transcript"].endswith(ORDER)
                await caller.until("response.output_audio_transcript.delta", 60)
                caller.socket.transport.abort()
            await asyncio.sleep(0.5)
            query = f"?session={opened['session_id']}&down_format=alaw"
            async with calling(url, query) as caller:
                await caller.tell({"type": "antiphon.socket.resume", "token": opened["token"]})
                await caller.until("antiphon.session.resumed", 60)
                done = await caller.until("response.output_audio_transcript.done", 60)
                heard = np.frombuffer(g711.decode(b"".join(caller.sound), "alaw"), "<i2")
            await eventually(lambda: not supervisor.active_calls, 60)
    finally:
        await supervisor.drain(0)
    assert done["transcript"].endswith("Is that right?")
    samples, rate_hz = await speech("Is that right?")
    # The silence after it was not sent; a sentence has some.
    assert likeness(np.repeat(np.pad(heard, (0, 8_000)), 6), samples, rate_hz) > 0.8
