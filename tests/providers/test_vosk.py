"""The real package's errors; its results by a stand-in, as there is no model to be had here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
import vosk as package
from tests.contracts import test_stt as contract
from tests.support import stand_in_vosk
from tests.support.loudness import NO, QUIET, YES, sound
from tests.support.stt_talk import failure, read_final

from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints, FinalText, PartialText, SttEvent
from antiphon.providers.stt import vosk as module
from antiphon.providers.stt.vosk import VoskOptions, VoskStt, _final
from antiphon.types import Word


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "vosk", stand_in_vosk)
    return kaldi_folder(tmp_path / "vosk-small-en")


def kaldi_folder(folder: Path) -> Path:
    (folder / "am").mkdir(parents=True)
    (folder / "am" / "final.mdl").write_bytes(b"\0B<TransitionModel> ")
    return folder


async def started(model: Path | str, hints: AgentHints | None = None, **more: Any) -> VoskStt:
    stt = VoskStt(VoskOptions.model_validate({"model": str(model), **more}), hints or AgentHints())
    await stt.start()
    return stt


@pytest.fixture
async def stt(model: Path) -> AsyncIterator[VoskStt]:
    one = await started(model)
    yield one
    await one.aclose()


async def talk(stt: VoskStt, frames: Iterable[bytes]) -> tuple[FinalText, list[SttEvent]]:
    stream = await stt.open()
    stream.begin(1, 0)
    for frame in frames:
        stream.push(frame)
    stream.finalize(1, 1)
    said = await read_final(stream)
    await stream.aclose()
    return said


async def test_words_as_they_are_spoken(stt: VoskStt) -> None:
    final, before = await talk(stt, sound((QUIET, 10), (YES, 20), (QUIET, 10), (NO, 20)))
    assert before[0] == PartialText(1, "yes")
    assert before[-1] == PartialText(1, "yes no")
    assert final.text == "yes no"
    assert final.confidence == pytest.approx(0.9)
    assert final.words == (Word("yes", 200, 600, 0.9), Word("no", 800, 1200, 0.9))


async def test_pauses_that_it_finds_do_not_end_the_utterance(stt: VoskStt) -> None:
    final, before = await talk(stt, sound((YES, 20), (QUIET, 40), (NO, 20)))
    assert final.text == "yes no"
    assert [word.start_ms for word in final.words] == [0, 1200]
    assert PartialText(1, "yes no") in before


@pytest.mark.parametrize("name", [n for n in dir(contract) if n.startswith("test_")])
async def test_the_contract(stt: VoskStt, name: str) -> None:
    await getattr(contract, name)(stt)


async def test_many_calls_share_one_model(stt: VoskStt) -> None:
    said = await asyncio.gather(*(talk(stt, sound((YES if n % 2 else NO, 20))) for n in range(8)))
    assert [final.text for final, _ in said] == ["no", "yes"] * 4
    assert len(stt._model.made) == 8


async def test_the_agents_phrases(model: Path) -> None:
    hints = AgentHints(
        sentences=("I'd like a table.", "Yes, please!"),
        vocabulary=("Okonkwo",),
        interjections=("mm-hm",),
    )
    stt = await started(model, hints, grammar=True, phrases=("call me",))
    await talk(stt, [])
    assert json.loads(stt._model.made[0].grammar) == [
        *("call me", "i'd like a table", "yes please", "okonkwo", "mm-hm", "[unk]"),
    ]
    plain = await started(model, hints)
    await talk(plain, [])
    assert plain._model.made[0].grammar is None


def test_what_it_did_not_know_is_no_word() -> None:
    word = {"word": "yes", "start": 1.0, "end": 1.234, "conf": 1.000001}
    unknown = {"word": "[unk]", "start": 1.3, "end": 1.5, "conf": 1.0}
    raw = json.dumps({"text": "yes [unk]", "result": [word, unknown]})
    (piece,) = _final(raw)
    assert (piece.text, piece.words) == ("yes", (Word("yes", 1000, 1234, 1.0),))  # type: ignore[union-attr]
    assert _final('{"text": ""}')[0].text == ""  # type: ignore[union-attr]


async def test_models_that_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTIPHON_MODELS", str(tmp_path))
    assert VoskStt.missing(VoskOptions()) is None
    assert "pull" in str(VoskStt.missing(VoskOptions(model="vosk-small-fr")))
    with pytest.raises(UserFacingError, match="antiphon models pull vosk-small-de"):
        await started("", AgentHints(language="de-AT"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserFacingError, match=r"am/final.mdl is missing"):
        await started("empty")
    kaldi_folder(tmp_path / "damaged")
    with pytest.raises(UserFacingError, match="may be damaged"):
        await started("damaged")


async def test_a_failure_in_the_thread_ends_the_stream(
    stt: VoskStt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise Exception("Failed to process waveform")

    monkeypatch.setattr(stand_in_vosk.KaldiRecognizer, "AcceptWaveform", fail)
    error = await failure(await stt.open())
    assert "vosk: Exception: Failed to process waveform" in str(error)


def test_the_stand_in_has_what_is_used_of_the_package() -> None:
    for name in ("Model", "KaldiRecognizer", "SetLogLevel"):
        assert hasattr(package, name)
    used = {name for name in vars(stand_in_vosk.KaldiRecognizer) if name[0].isupper()}
    assert used == {"SetWords", "AcceptWaveform", "PartialResult", "Result", "FinalResult"}
    assert used <= set(dir(package.KaldiRecognizer))
