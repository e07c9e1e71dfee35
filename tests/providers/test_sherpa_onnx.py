"""The real package with a model made on the spot, which hears loud noise as YES, louder as NO."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from tests.support.loudness import NO, QUIET, YES, sound
from tests.support.stt_talk import failure, read_final
from tests.support.tiny_sherpa import make_ctc, make_transducer, sentencepiece

from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints, EndOfTurn, FinalText, PartialText, SttEvent
from antiphon.providers.stt._sherpa_files import look, vocabulary
from antiphon.providers.stt.sherpa_onnx import SherpaOptions, SherpaStt, _Decoder, _words
from antiphon.types import Word


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ctc(tmp_path_factory.mktemp("models") / "sherpa-mini")


async def started(model: Path | str, hints: AgentHints | None = None, **more: Any) -> SherpaStt:
    options = SherpaOptions.model_validate({"model": str(model), **more})
    stt = SherpaStt(options, hints or AgentHints())
    await stt.start()
    return stt


async def talk(
    stt: SherpaStt, frames: Iterable[bytes], revision: int = 1
) -> tuple[FinalText, list[SttEvent]]:
    stream = await stt.open()
    stream.begin(1, 0)
    for frame in frames:
        stream.push(frame)
    stream.finalize(1, revision)
    said = await read_final(stream, within_s=20)
    await stream.aclose()
    return said


async def test_words_as_they_are_spoken(model: Path) -> None:
    stt = await started(model)
    frames = sound((QUIET, 20), (YES, 20), (NO, 20), (QUIET, 20))
    final, before = await talk(stt, frames)
    assert (final.text, final.confidence) == ("yes no", 1.0)
    assert before[-1] == PartialText(1, "yes no")
    first, second = final.words
    assert (first.text, second.text) == ("yes", "no")
    assert first.start_ms == pytest.approx(400, abs=80)
    assert second.start_ms == pytest.approx(800, abs=80)
    assert first.end_ms <= second.start_ms < second.end_ms <= 1600
    await stt.aclose()


async def test_an_utterance_goes_on_after_its_first_final(model: Path) -> None:
    stream = await (await started(model)).open()
    stream.begin(1, 0)
    for frame in sound((YES, 20), (QUIET, 10)):
        stream.push(frame)
    stream.finalize(1, 1)
    assert (await read_final(stream))[0].text == "yes"
    for frame in sound((NO, 20), (QUIET, 5)):
        stream.push(frame)
    stream.finalize(1, 2)
    final, _ = await read_final(stream)
    assert (final.revision, final.text) == (2, "yes no")
    assert final.words[1].start_ms == pytest.approx(600, abs=80)
    stream.end(1)
    for frame in sound((YES, 20)):
        stream.push(frame)
    stream.begin(2, 200)
    stream.finalize(2, 1)
    final, _ = await read_final(stream)
    assert (final.text, len(final.words)) == ("yes", 1)
    assert final.words[0].start_ms < 100
    await stream.aclose()


async def test_many_calls_share_one_model(model: Path) -> None:
    stt = await started(model)
    said = await asyncio.gather(
        *(talk(stt, sound((QUIET, 5), (YES if n % 2 else NO, 30))) for n in range(10))
    )
    assert ["no" in final.text for final, _ in said] == [True, False] * 5
    assert {final.text for final, _ in said[1::2]} == {"yes"}


@pytest.mark.parametrize("own", [True, False])
async def test_its_own_end_of_turn(model: Path, own: bool) -> None:
    stt = await started(model, end_of_turn_ms=300 if own else 0)
    _, before = await talk(stt, sound((YES, 20), (QUIET, 40), (NO, 20)))
    ends = [event for event in before if isinstance(event, EndOfTurn)]
    assert ends == ([EndOfTurn(1, "final")] if own else [])


async def test_capitals(model: Path, tmp_path: Path) -> None:
    assert (await talk(await started(model, lower_case=False), sound((YES, 20))))[0].text == "YES"
    mixed = make_ctc(tmp_path / "nemo", ("▁Yes", "▁no"))
    assert (await talk(await started(mixed), sound((YES, 20))))[0].text == "Yes"


def transducer_files(model: Path, folder: Path) -> Path:
    folder.mkdir()
    for name in ("encoder.int8.onnx", "encoder.onnx", "decoder.onnx", "joiner.onnx"):
        (folder / name).write_bytes(b"\x08\x08 model_type")
    (folder / "tokens.txt").write_bytes((model / "tokens.txt").read_bytes())
    return folder


async def test_a_transducer_listens_for_the_agents_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = make_transducer(tmp_path / "zipformer", prefers_yes=3)
    frames = [*sound((QUIET, 10), (YES, 20), (QUIET, 20))]
    hints = AgentHints(vocabulary=("A/B", "no"))
    for told, heard in ((AgentHints(), "yes"), (hints, "no")):
        final, before = await talk(await started(folder, told, hotwords_score=5), frames)
        assert final.text == heard
        assert before == [PartialText(1, heard)]
        assert final.words[0].start_ms == pytest.approx(200, abs=40)
        assert 0 < final.confidence < 1
    assert caplog.text.count("cannot spell") == 1
    assert not capfd.readouterr().err
    (folder / "bpe.model").unlink()
    final, _ = await talk(await started(folder, hints, hotwords_score=5), frames)
    assert final.text == "yes"
    assert "not boosted" in caplog.text


def test_words_of_pieces() -> None:
    words = _words([" HE", "L", "LO", " TH", "ERE"], [0.0, 0.04, 0.12, 0.4, 0.44], 1000)
    assert words == (Word("HELLO", 1000, 1400), Word("THERE", 1400, 1740))
    assert _words(["你", "好"], [0.0, 0.2], 0) == (Word("你好", 0, 500),)
    assert _words([], [], 0) == ()


def test_pieces_of_a_vocabulary(tmp_path: Path) -> None:
    assert vocabulary(tmp_path) is None
    (tmp_path / "bpe.model").write_bytes(sentencepiece({"▁YES": -1.5, "▁NO": -2}))
    assert vocabulary(tmp_path) == "▁YES\t-1.5\n▁NO\t-2\n"
    whole = sentencepiece({"a": -1})
    for damaged in (whole[:-2], b"\x0a\xff", b"\x0b\x01"):
        (tmp_path / "bpe.model").write_bytes(damaged)
        with pytest.raises(UserFacingError, match="damaged"):
            vocabulary(tmp_path)
    (tmp_path / "bpe.vocab").write_text("x\t0\n")
    assert vocabulary(tmp_path) == "x\t0\n"


def test_kinds_of_models(model: Path, tmp_path: Path) -> None:
    assert look(model, None).kind == "nemo-ctc"
    files = look(transducer_files(model, tmp_path / "t"), None)
    assert files.kind == "transducer"
    assert [Path(path).name for path in files.parts.values()] == [
        *("encoder.int8.onnx", "decoder.onnx", "joiner.onnx"),
    ]
    for names, word, kind in (
        (("encoder.onnx", "decoder.onnx"), b"lfr_window_size", "paraformer"),
        (("ctc-epoch-20.onnx",), b"decode_chunk_len", "zipformer2-ctc"),
        (("t-one.onnx",), b"frame_length_ms", "t-one-ctc"),
        (("wenet.onnx",), b"subsampling_factor", "wenet-ctc"),
    ):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "tokens.txt").write_text("a 0\n<blk> 1\n")
        for name in names:
            (folder / name).write_bytes(b"\x08\x08" + word)
        assert look(folder, None).kind == kind


async def test_models_that_cannot_be_used(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_MODELS", str(tmp_path))
    assert SherpaStt.missing() is None
    assert "pull" in str(SherpaStt.missing(SherpaOptions()))
    with pytest.raises(UserFacingError, match="antiphon models pull sherpa-zipformer-en"):
        await started("sherpa-zipformer-en")
    folder = tmp_path / "some"
    folder.mkdir()
    with pytest.raises(UserFacingError, match=r"tokens.txt is missing"):
        await started("some")
    (folder / "tokens.txt").write_text("a 0\n")
    with pytest.raises(UserFacingError, match="Set `kind`"):
        await started("some")
    with pytest.raises(UserFacingError, match="has no file model"):
        await started("some", kind="nemo-ctc")
    (folder / "nemo.onnx").write_bytes(b"version https://git-lfs")
    with pytest.raises(UserFacingError, match="is not an ONNX model"):
        await started("some")
    (folder / "nemo.onnx").write_bytes(b"\x08\x08rubbish")
    with pytest.raises(UserFacingError, match="no streaming model of the kind nemo-ctc"):
        await started("some")
    (folder / "nemo.onnx").write_bytes(b"\x08\x08rubbish chunk_shift")
    with pytest.raises(UserFacingError, match="has no blank"):
        await started("some")
    (folder / "tokens.txt").write_text("a 0\n<blk> 1\n")
    with pytest.raises(UserFacingError, match="cannot load"):
        await started("some")


def test_the_package_ends_the_process_when_metadata_is_missing(model: Path, tmp_path: Path) -> None:
    """Why what can be seen from outside is looked at first."""
    code = (
        "import onnx, sherpa_onnx, sys\n"
        "model = onnx.load(sys.argv[1] + '/nemo.onnx')\n"
        "del model.metadata_props[:]\n"
        "onnx.save(model, sys.argv[2])\n"
        "sherpa_onnx.OnlineRecognizer.from_nemo_ctc(sys.argv[1] + '/tokens.txt', sys.argv[2])\n"
    )
    bad = str(tmp_path / "bad.onnx")
    run = subprocess.run([sys.executable, "-c", code, str(model), bad], capture_output=True)
    assert run.returncode not in (0, 1)


async def test_a_failure_in_the_thread_ends_the_stream(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(_Decoder, "accept", fail)
    error = await failure(await (await started(model)).open())
    assert "sherpa-onnx: RuntimeError: out of memory" in str(error)


async def test_closing_while_it_decodes(model: Path) -> None:
    stream = await (await started(model)).open()
    stream.begin(1, 0)
    for frame in sound((YES, 500)):
        stream.push(frame)
    async with aclosing(stream.events()) as events:  # type: ignore[type-var]
        await anext(aiter(events))
    async with asyncio.timeout(20):
        await stream.aclose()
