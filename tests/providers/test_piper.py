from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fakes.piper import FakePiper, tone, wav_file
from tests.support.tiny_models import PIPER_RATE_HZ, piper_voice

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import AgentHints, TtsAudio, TtsSegment, TtsSegmentDone
from antiphon.providers.tts import piper
from antiphon.providers.tts._wav import WavStream
from antiphon.providers.tts.piper import PiperOptions, PiperTts


async def segments(*texts: str) -> AsyncIterator[TtsSegment]:
    for number, text in enumerate(texts):
        yield TtsSegment(number, text)


def make(rate: int = 150, **options: Any) -> PiperTts:
    if isinstance(options.get("model"), Path):
        options["model"] = str(options["model"])
    return PiperTts(PiperOptions.model_validate(options), AgentHints(rate=rate))


async def spoken(tts: PiperTts, *texts: str) -> list[bytes]:
    """The sound of each segment, which must come in order, and be done."""
    await tts.start()
    sounds = [b""] * len(texts)
    done: list[int] = []
    try:
        async for event in tts.stream(segments(*texts)):
            assert event.segment_id == len(done)
            if isinstance(event, TtsAudio):
                sounds[event.segment_id] += event.pcm
            elif isinstance(event, TtsSegmentDone):
                done.append(event.segment_id)
    finally:
        await tts.aclose()
    assert done == list(range(len(texts)))
    return sounds


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return piper_voice(tmp_path_factory.mktemp("piper"))


# ---- in this process -----------------------------------------------------------------------


async def test_the_package_speaks_with_a_model_of_a_file(voice: Path) -> None:
    usual, mark, twice = await spoken(
        make(model=voice, sample_rate_hz=PIPER_RATE_HZ),
        "Hello there.",
        " — ",
        "Hello there. Hello there.",
    )
    assert 0.2 < len(usual) / 2 / PIPER_RATE_HZ < 1.5
    assert not mark
    assert len(twice) == 2 * len(usual) + PIPER_RATE_HZ * 150 // 1000 * 2
    samples = np.frombuffer(usual, "<i2")
    assert 0.15 < np.abs(samples).max() / 32768 < 0.25


async def test_rate_speed_and_resampling(voice: Path) -> None:
    text = "I would like a large latte."
    (usual,) = await spoken(make(model=voice), text)
    (faster,) = await spoken(make(model=voice, speed=2.0), text)
    (slow_agent,) = await spoken(make(rate=75, model=voice), text)
    (other_rate,) = await spoken(make(model=voice, sample_rate_hz=48_000), text)
    assert len(faster) / len(usual) == pytest.approx(0.5, abs=0.02)
    assert len(slow_agent) / len(usual) == pytest.approx(2, abs=0.02)
    assert len(other_rate) / len(usual) == pytest.approx(48_000 / 22_050, abs=0.02)


async def test_speakers_by_number_and_name(tmp_path: Path) -> None:
    path = piper_voice(tmp_path, speakers=3)
    loudest = []
    for speaker in (None, 0, 2, "s1"):
        tts = make(model=path, speaker=speaker, sample_rate_hz=PIPER_RATE_HZ)
        (pcm,) = await spoken(tts, "Hello.")
        loudest.append(round(float(np.abs(np.frombuffer(pcm, "<i2")).max() / 32768), 1))
    assert loudest == [0.2, 0.2, 0.6, 0.4]
    with pytest.raises(UserFacingError, match="no speaker `s9`; it has s0, s1, s2"):
        await make(model=path, speaker="s9").start()
    with pytest.raises(UserFacingError, match="no speaker 3; the voice has 3"):
        await make(model=path, speaker=3).start()


async def test_what_is_wrong_with_a_voice_is_explained(
    voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_MODELS", str(tmp_path / "models"))
    with pytest.raises(UserFacingError, match="name a voice with `model`"):
        await make().start()
    with pytest.raises(UserFacingError, match=r"no file or folder .*none\.onnx"):
        await make(model=tmp_path / "none.onnx").start()
    with pytest.raises(UserFacingError, match="pull en_US-amy-medium"):
        await make(model="en_US-amy-medium").start()
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(UserFacingError, match=r"broken\.onnx\.json does not describe a voice"):
        await make(model=broken).start()
    with pytest.raises(UserFacingError, match=r"broken\.onnx is not a voice"):
        await make(model=broken, config_path=f"{voice}.json").start()
    (tmp_path / "empty.json").write_text("{}")
    with pytest.raises(UserFacingError, match="no 'num_symbols'"):
        await make(model=voice, config_path=tmp_path / "empty.json").start()
    with pytest.raises(ProviderError, match="not started"):
        await anext(make(model=voice).stream(segments("Hello.")))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert PiperTts.missing() == piper._PACKAGE
    assert PiperTts.missing(PiperOptions(base_url="http://127.0.0.1:5000")) is None
    with pytest.raises(UserFacingError, match="pip install"):
        await make(model=voice).start()


async def test_what_is_cancelled_makes_no_further_sentence(
    voice: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tts = make(model=voice)
    await tts.start()
    began, made = threading.Event(), []
    real = tts._voice.phoneme_ids_to_audio

    def counted(*args: Any, **more: Any) -> Any:
        made.append(1)
        began.set()
        return real(*args, **more)

    monkeypatch.setattr(tts._voice, "phoneme_ids_to_audio", counted)

    async def speak() -> None:
        async for _ in tts.stream(segments("One. " * 50)):
            pass

    task = asyncio.create_task(speak())
    await asyncio.to_thread(began.wait, 5)
    task.cancel()
    await asyncio.wait([task], timeout=20)
    assert task.cancelled()
    await asyncio.sleep(0.02)
    assert len(made) < 10
    await tts.aclose()


# ---- from a server -------------------------------------------------------------------------


@pytest.fixture
async def fake() -> AsyncIterator[FakePiper]:
    async with FakePiper() as server:
        yield server


async def test_a_server_is_asked_for_each_segment(fake: FakePiper) -> None:
    tts = make(
        rate=120, base_url=fake.http_url, voice="en_US-lessac-medium", speaker="s1", noise_scale=0.3
    )
    first, empty, second = await spoken(tts, "Hello there.", "", "Yes.")
    asked = [one for one in fake.connections if one.path == "/synthesize"]
    assert asked[0].body == (
        b'{"text":"Hello there.","voice":"en_US-lessac-medium","speaker":"s1",'
        b'"noise_scale":0.3,"length_scale":1.25}'
    )
    assert len(asked) == 2
    assert (len(first), len(empty), len(second)) == pytest.approx(
        (12 * 0.06 * 1.25 * 44_100, 0, 4 * 0.06 * 1.25 * 44_100), abs=4
    )


async def test_a_server_with_another_rate_is_resampled(fake: FakePiper) -> None:
    fake.rate_hz = 16_000
    (pcm,) = await spoken(make(base_url=fake.http_url, speaker=2), "Hello there.")
    assert len(pcm) / 44_100 == pytest.approx(12 * 0.06, abs=0.01)
    assert b'"speaker_id":2' in fake.last.body
    assert b"length_scale" not in fake.last.body
    crossings = np.flatnonzero(np.diff(np.signbit(np.frombuffer(pcm, "<i2"))))
    assert len(crossings) == pytest.approx(12 * 0.06 * 400, abs=5)


@pytest.mark.parametrize(("status", "retryable"), [(401, False), (429, True), (500, True)])
async def test_refusals(fake: FakePiper, status: int, retryable: bool) -> None:
    fake.faults.status = status
    with pytest.raises(ProviderError, match=f"piper: HTTP {status}: refused") as caught:
        await spoken(make(base_url=fake.http_url), "Hello.")
    assert (caught.value.retryable, caught.value.status) == (retryable, status)


async def test_garbage_silence_and_nobody(fake: FakePiper) -> None:
    fake.faults.garbage = True
    with pytest.raises(ProviderError, match="no WAV file"):
        await spoken(make(base_url=fake.http_url), "Hello.")
    fake.faults.garbage, fake.faults.silent = False, True
    with pytest.raises(ProviderError, match=r"no answer within 0\.05 s") as caught:
        await spoken(make(base_url=fake.http_url, first_audio_ms=50), "Hello.")
    assert caught.value.retryable
    with pytest.raises(ProviderError, match="cannot be reached") as caught:
        await spoken(make(base_url="http://127.0.0.1:9"), "Hello.")
    assert caught.value.retryable


@pytest.mark.parametrize("size", [2, 10, 46, 100_000])
def test_wav_files_in_pieces(size: int) -> None:
    pcm = tone(0.05, 16_000)
    file = wav_file(pcm, 16_000)
    # A file may tell more of itself before its samples.
    file = file[:36] + b"LIST\x04\x00\x00\x00INFO" + file[36:]
    wav = WavStream("piper", 16_000)
    for _ in range(2):
        pieces = [file[start : start + size] for start in range(0, len(file), size)]
        assert b"".join([wav.push(piece) for piece in pieces] + [wav.flush()]) == pcm


def test_wav_files_that_are_none() -> None:
    stereo = bytearray(wav_file(b"", 16_000))
    stereo[22] = 2
    for data in (b"OggS" + bytes(100), bytes(stereo), b"RIFF" + bytes(5000)):
        with pytest.raises(ProviderError):
            WavStream("piper", 16_000).push(data)
    cut = WavStream("piper", 16_000)
    cut.push(wav_file(b"", 16_000)[:20])
    with pytest.raises(ProviderError, match="no WAV file"):
        cut.flush()
