"""`antiphon phone-sim` as a person uses it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.bench.phone_double import Double, running
from typer.testing import CliRunner

from antiphon.cli import app
from antiphon.errors import UserFacingError

SPEECH = str(Path(__file__).parents[1] / "data" / "speech" / "s2i_0ec187f5.flac")


@contextmanager
def served(double: Double) -> Iterator[str]:
    """The double on an event loop of its own, as the command has its own."""
    ready, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with running(double):
            ready.set()
            await stop.wait()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(5)
        yield double.url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)
        loop.close()


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["phone-sim", *arguments])
    if isinstance(result.exception, UserFacingError):
        return 2, str(result.exception)
    return result.exit_code, result.output


@pytest.mark.e2e
def test_a_call_with_recorded_speech_is_measured(tmp_path: Path) -> None:
    record = tmp_path / "call.wav"
    with served(Double(greeting_frames=5, answer_frames=10)) as url:
        code, said = run(
            url, "--audio", SPEECH, "--keys", "1#", "--record", str(record), "--json"
        )  # fmt: skip
    figures = json.loads(said)
    assert code == 0
    assert figures["failures"] == []
    assert figures["turns"] == 1
    assert figures["each"][0]["ended"] == "the caller was done"
    assert record.stat().st_size > 16_000


def test_an_expectation_that_is_not_met_fails() -> None:
    with served(Double(broken=("{",))) as url:
        code, said = run(url, "--hang-up-after", "60")
    assert code == 1
    assert "FAILED the server wrote: not JSON" in said


def test_the_same_line_again_with_a_seed() -> None:
    with served(Double()) as url:
        code, said = run(url, "--hang-up-after", "60", "--chaos-seed", "3", "--calls", "2")
    assert code == 0
    assert "calls: 2 (the caller hung up 2)" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Name either a stream"),
        (["ws://a/", "--voice", "http://a/"], "Name either a stream"),
        (["http://a/"], "begins with ws://"),
        (["sip:a@127.0.0.1", "--hang-up-after", "60", "--jitter", "5"], "by --loss alone"),
        (["--voice", "ws://a/"], "begins with http"),
        (["ws://a/"], "Name a recording with --audio"),
        (["ws://a/", "--hang-up-after", "60", "--keys", "1x"], "no key 'x'"),
        (["ws://a/", "--hang-up-after", "60", "--param", "x"], "write NAME=VALUE"),
        (["ws://a/", "--audio", "nothing.wav"], "no such file"),
        (["ws://a/", "--hang-up-after", "60", "--auth-token-env", "NOT_SET_X"], "is not set"),
        (["ws://127.0.0.1:9/", "--hang-up-after", "60"], "cannot connect"),
    ],
)
def test_what_cannot_be_done_is_told(arguments: list[str], complaint: str) -> None:
    code, said = run(*arguments)
    assert code == 2
    assert complaint in said
