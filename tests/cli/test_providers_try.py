"""`antiphon providers try`: one thing is asked of one provider."""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path

import pytest
from tests.fakes.deepgram_stt import DeepgramListen
from tests.fakes.openai_llm import FakeChat
from tests.house.source import ROOT
from tests.support.command import run

from antiphon.cli import providers_try
from antiphon.errors import UserFacingError

SPEECH = str(ROOT / "tests" / "data" / "speech" / "s2i_ec21e470.flac")
Capture = pytest.CaptureFixture[str]


def tried(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, *arguments: str
) -> tuple[int, str, str]:
    code = run(monkeypatch, "providers", "try", *arguments)
    out = capsys.readouterr()
    return code, out.out, out.err


def test_a_voice(monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    text = ("--text", "Two words.", "--out", str(path))
    code, out, _ = tried(monkeypatch, capsys, "flite", *text)
    assert code == 0, out
    for part in (
        "tts flite: ready after",
        "says: Two words.",
        "first sound after",
        "times as long",
    ):
        assert part in out
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        assert 0.3 < file.getnframes() / file.getframerate() < 3


def test_a_file_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    code, _, err = tried(monkeypatch, capsys, "flite", "--out", "/no/such/folder/x.wav")
    assert (code, "cannot be written" in err) == (2, True)


def test_a_recogniser(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    script = ("--set", "transcripts=[make me a mocha]", "--set", "partial_every_ms=100")
    code, out, _ = tried(
        monkeypatch, capsys, "scripted", "--kind", "stt", *script, "--file", SPEECH, "--fast"
    )
    assert code == 0, out
    for part in ("hears: ", " s  make", "final: make me a mocha", "after the last sound of speech"):
        assert part in out


def test_a_brain(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    code, out, _ = tried(monkeypatch, capsys, "flow", "--text", "a large latte please")
    assert code == 0, out
    assert "says: That's a large latte. Is that right?\nfirst text after" in out


def test_a_brain_that_wants_a_tool(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    script = "replies=[{tool_calls: [{name: order, arguments: {size: large}}]}]"
    code, out, _ = tried(monkeypatch, capsys, "scripted", "--kind", "llm", "--set", script)
    assert code == 0, out
    assert 'wants the tool order({"size": "large"})' in out.replace('":"', '": "')
    assert "says" not in out


@pytest.mark.parametrize("name", ["silero", "energy", "webrtc"])
def test_a_voice_activity_detector(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    code, out, _ = tried(monkeypatch, capsys, name, "--file", SPEECH)
    assert code == 0, out
    assert "speech from" in out


def test_a_turn_detector(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    code, out, _ = tried(monkeypatch, capsys, "phrases", "--file", SPEECH)
    assert code == 0, out
    assert "the caller is done with 0.50" in out


def test_silence(monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(16_000))
    assert "no speech" in tried(monkeypatch, capsys, "silero", "--file", str(path))[1]
    assert "no pause" in tried(monkeypatch, capsys, "phrases", "--file", str(path))[1]


async def test_a_vendor(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    async with DeepgramListen() as vendor:
        where = ("--set", f"base_url={vendor.http_url}")
        code, out, err = await asyncio.to_thread(
            tried, monkeypatch, capsys, "deepgram", "--kind", "stt", *where, "--file", SPEECH
        )
    assert code == 0, err
    assert "final: I would like" in out
    assert "words I@" in out


async def test_a_vendor_that_refuses(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    async with FakeChat() as vendor:
        where = ("--set", f"base_url={vendor.http_url}/v1")
        code, out, _ = await asyncio.to_thread(tried, monkeypatch, capsys, "groq", *where)
        assert "tokens: " in out
        vendor.faults.status = 401
        code, out, err = await asyncio.to_thread(tried, monkeypatch, capsys, "groq", *where)
    assert code == 1
    assert err.startswith("it failed: groq: HTTP 401")
    assert "says" not in out


def test_it_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(providers_try, "DEADLINE_S", 0.1)
    script = ("--kind", "llm", "--set", "hang_after_chunks=0")
    code, _, err = tried(monkeypatch, capsys, "scripted", *script)
    assert (code, "not done within" in err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["zzz"], "there is no provider called `zzz`"),
        (["flit"], "did you mean `flite`?"),
        (["flit", "--kind", "tts"], "there is no tts called `flit`; did you mean `flite`?"),
        (["flite", "--kind", "voice"], "there is no kind `voice`; it is vad, "),
        (["deepgram"], "--kind stt, --kind tts or --kind realtime"),
        (["flite", "--set", "speeed=1"], "has no option `speeed`; did you mean `speed`?"),
        (["flite", "--set", "speed"], "write KEY=VALUE"),
        (["flite", "--set", "speed=["], "not YAML"),
        (["flite", "--set", "speed=fast"], "tts `flite`: speed: "),
        (["deepgram", "--kind", "tts"], "set the environment variable DEEPGRAM_API_KEY"),
        (["deepgram", "--kind", "tts", "--set", "api_key=sk-1"], "write ${VARIABLE}"),
        (["smart-turn"], "antiphon models pull smart-turn-v3"),
        (["silero", "--file", "/no/such.wav"], "there is no such file"),
    ],
)
def test_what_is_wrong_is_said(
    arguments: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("DEEPGRAM_API_KEY", raising=False)
    monkeypatch.setenv("ANTIPHON_MODELS", str(tmp_path))
    code, _, err = tried(monkeypatch, capsys, *arguments)
    assert code == 2
    assert says in err
    assert "sk-1" not in err


def test_nested_options() -> None:
    pairs = ["first_delay_ms.ms=5", "first_delay_ms.jitter_ms=1", "seed=2"]
    assert providers_try.read_options("llm", "scripted", pairs) == {
        "first_delay_ms": {"ms": 5, "jitter_ms": 1},
        "seed": 2,
    }
    with pytest.raises(UserFacingError, match="is a value already"):
        providers_try.read_options("llm", "scripted", ["seed=1", "seed.x=1"])


def test_the_agent_s_own_options_are_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("name: a\nllm: {provider: scripted, replies: [From the file.]}\n")
    arguments = ("scripted", "--kind", "llm", "--agent", str(path))
    assert "says: From the file." in tried(monkeypatch, capsys, *arguments)[1]
