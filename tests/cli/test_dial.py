"""`antiphon dial` and `antiphon campaign`, against a server with a scripted line."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from tests.support.command import run
from tests.support.fake_host import FakeHost
from tests.support.scripted_line import ScriptedLine

from antiphon.channels.phone.vendor import LineStatus
from antiphon.cli import campaign as campaign_module
from antiphon.cli import dial as dial_module
from antiphon.cli.dial import reached, variables
from antiphon.errors import UserFacingError
from antiphon.observe.metrics import Metrics
from antiphon.phone.config import OutboundConfig
from antiphon.server.app import create_app
from antiphon.server.outbound import Outbound
from antiphon.server.run import http_config, listen
from antiphon.server.settings import ServerSettings

ANNA, KEY = "+4930111111", "a-key-of-the-test"
TALKED: tuple[LineStatus, ...] = ("ringing", "answered", "completed")


class Served:
    """A server in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.line = ScriptedLine()
        self.line.at_once = TALKED
        listener = listen(ServerSettings(port=0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = OutboundConfig(
            vendor="scripted",
            sender="+4930999999",
            countries=("DE",),
            hours="always",
            per_number_per_day=100,
        )

        async def serve() -> None:
            host = FakeHost()
            outbound = Outbound(config, self.line, host.check, folder)
            await outbound.start()
            app = create_app(host, ServerSettings(), Metrics(), outbound=outbound)
            self.server = uvicorn.Server(http_config(app))
            self.server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
            ready.set()
            await self.server.serve([listener])
            listener.close()

        ready = threading.Event()
        self.thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
        self.thread.start()
        assert ready.wait(10)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ANTIPHON_API_KEY", KEY)
        one = Served(tmp_path_factory.mktemp("data"))
        yield one
        one.stop()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_API_KEY", KEY)
    monkeypatch.setattr(dial_module, "POLL_S", 0.02)
    monkeypatch.setattr(campaign_module, "POLL_S", 0.02)


def command(monkeypatch: pytest.MonkeyPatch, served: Served, *arguments: str) -> int:
    return run(monkeypatch, *arguments, "--server", served.url)


def test_a_call(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served.line.at_once = TALKED
    arguments = ("dial", "+49 30 111111", "--agent", "Clinic", "--var", "name=Anna=1", "--wait")
    assert command(monkeypatch, served, *arguments) == 0
    id_, last = capsys.readouterr().out.splitlines()
    assert id_.startswith("call_")
    assert last == "completed after 0 s"
    assert served.line.calls[-1].agent == "Clinic"
    assert served.line.calls[-1].variables == {"name": "Anna=1"}


def test_nobody_answers(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served.line.at_once = ("ringing", "no_answer")
    assert command(monkeypatch, served, "dial", ANNA) == 0, "it was made"
    capsys.readouterr()
    assert command(monkeypatch, served, "dial", ANNA, "--wait", "--json") == 1
    assert json.loads(capsys.readouterr().out)["state"] == "no_answer"


def test_a_refused_call(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, served, "dial", "+12125550123") == 1
    assert capsys.readouterr().err.startswith("country: ")


def test_what_cannot_be_done(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, served, "dial", ANNA, "--var", "name") == 2
    assert "--var name=Anna" in capsys.readouterr().err
    assert run(monkeypatch, "dial", ANNA, "--server", "http://127.0.0.1:1") == 2
    assert "antiphon serve --phone" in capsys.readouterr().err
    monkeypatch.setenv("ANTIPHON_API_KEY", "another")
    assert command(monkeypatch, served, "dial", ANNA) == 2
    assert "ANTIPHON_API_KEY" in capsys.readouterr().err
    monkeypatch.delenv("ANTIPHON_API_KEY")
    assert command(monkeypatch, served, "dial", ANNA) == 2
    assert "Set ANTIPHON_API_KEY" in capsys.readouterr().err


def test_variables_and_what_counts_as_reached() -> None:
    assert variables(["a=1", "b="]) == {"a": "1", "b": ""}
    with pytest.raises(UserFacingError):
        variables(["=1"])
    record: dict[str, Any] = {"state": "completed", "answered_by": None, "message_left": False}
    assert reached(record)
    assert not reached(record | {"answered_by": "machine"})
    assert reached(record | {"answered_by": "machine", "message_left": True})
    assert not reached(record | {"state": "busy"})


def test_a_campaign(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    served.line.at_once = TALKED
    people = tmp_path / "people.csv"
    people.write_text("to,name\n+4930111111,Anna\n+4930222222,Bert\n+4930111111,Again\n")
    start = ("campaign", "start", str(people), "--pace", "600", "--wait")
    assert command(monkeypatch, served, *start) == 0
    said = capsys.readouterr()
    id_, *lines = said.out.splitlines()
    assert lines[-1] == "done: 2 of 2, 2 completed"
    assert "left out: 4" in said.err
    assert command(monkeypatch, served, "campaign", "status") == 0
    assert capsys.readouterr().out == f"{id_}  done: 2 of 2, 2 completed  people\n"
    assert command(monkeypatch, served, "campaign", "status", id_, "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 2
    out = tmp_path / "results.csv"
    assert command(monkeypatch, served, "campaign", "results", id_, "--out", str(out)) == 0
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert [row["outcome"] for row in rows] == ["completed", "completed"]
    capsys.readouterr()
    assert command(monkeypatch, served, "campaign", "pause", id_) == 1
    assert "is over" in capsys.readouterr().err


def test_pausing_resuming_cancelling(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    served.line.at_once = TALKED
    people = tmp_path / "people.csv"
    people.write_text("to\n" + "".join(f"+493044444{n}\n" for n in range(10, 40)))
    assert command(monkeypatch, served, "campaign", "start", str(people), "--pace", "0.01") == 0
    id_ = capsys.readouterr().out.splitlines()[0]
    for verb, state in (("pause", "paused"), ("resume", "running"), ("cancel", "canceled")):
        assert command(monkeypatch, served, "campaign", verb, id_) == 0
        assert capsys.readouterr().out.startswith(f"{state}: ")


def test_lists_that_are_refused(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    people = tmp_path / "people.csv"
    people.write_text("to\n12\n")
    assert command(monkeypatch, served, "campaign", "start", str(people)) == 1
    assert "line 2: " in capsys.readouterr().err
    assert command(monkeypatch, served, "campaign", "start", str(tmp_path / "none.csv")) == 2
    assert command(monkeypatch, served, "campaign", "status", "none") == 2
    assert command(monkeypatch, served, "campaign", "results", "none") == 2
