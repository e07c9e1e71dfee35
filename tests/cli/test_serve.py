from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.fake_host import FakeHost

from antiphon.cli import serve as command
from antiphon.cli import serve_worker
from antiphon.errors import UserFacingError
from antiphon.server.run import Parts
from antiphon.server.settings import ServerSettings
from antiphon.server.slot import Slot


def test_a_taken_port_is_said_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = FakeHost()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(
            command, "_parts", lambda options: (Parts(host), ServerSettings(port=options.port))
        )
        with pytest.raises(UserFacingError, match="is taken"):
            command.serve(agent=["x.yaml"], port=port)
    assert not host.started


def test_two_agents_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    for path in paths:
        path.write_text("name: cafe\nvad: silero\nstt: scripted\nllm: scripted\ntts: scripted\n")
    with pytest.raises(UserFacingError, match=r"two\.yaml and .*one\.yaml are both named 'cafe'"):
        command._load([str(path) for path in paths])


def test_the_address_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    command._announce(ServerSettings(port=8080))
    assert capsys.readouterr().out == "Antiphon is ready: open http://localhost:8080\n"
    command._announce(ServerSettings(host="0.0.0.0", port=8080))
    assert "https" in capsys.readouterr().out


def test_a_telephone_file_makes_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_TOKEN", "t")
    path = tmp_path / "phone.yaml"
    text = (
        "public_url: https://voice.example.com\nvendors:\n  twilio:\n    account_sid: AC1\n"
        "    auth_token: ${TWILIO_TOKEN}\n    numbers: {'+15550199': NAME}\n"
    )
    path.write_text(text.replace("NAME", "Clinic"))
    service = command._phone(str(path), cast("Any", FakeHost()), None)
    assert (list(service.companies), service.public_url) == (
        ["twilio"],
        "https://voice.example.com",
    )
    path.write_text(text.replace("NAME", "Nobody"))
    with pytest.raises(UserFacingError, match="Nobody"):
        command._phone(str(path), cast("Any", FakeHost()), None)


SLOT = Slot(number=1, count=3, control_fd=8, door_fd=9, folder="/tmp/x", port=8080)


def test_calls_are_divided_among_workers_and_say_whose_they_are(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("name: cafe\nvad: energy\nstt: scripted\nllm: scripted\ntts: scripted\n")
    options = command.ServeOptions(agents=(str(path),), max_calls=10)
    for slot, share, prefix in (
        (None, 10, ""),
        (SLOT, 3, "w1_"),
        (replace(SLOT, number=0), 4, "w0_"),
    ):
        parts, _ = command._parts(options, slot)
        supervisor = cast("Any", parts.host)
        assert (supervisor._max_calls, supervisor._call_prefix) == (share, prefix)


def test_more_workers_than_calls_are_refused() -> None:
    with pytest.raises(UserFacingError, match="--max-calls to 3 or more, or --workers to 2 or"):
        command.serve(workers=3, max_calls=2)


def test_only_the_first_worker_calls_people_and_has_a_sip_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_DATA", str(tmp_path))
    monkeypatch.setenv("TWILIO_TOKEN", "t")
    agent, phone = tmp_path / "agent.yaml", tmp_path / "phone.yaml"
    agent.write_text("name: cafe\nvad: energy\nstt: scripted\nllm: scripted\ntts: scripted\n")
    phone.write_text(
        "public_url: https://voice.example.com\n"
        "vendors:\n  twilio: {account_sid: AC1, auth_token: '${TWILIO_TOKEN}'}\n"
        "sip: {port: 0}\n"
        "outbound: {vendor: twilio, sender: '+15550100', countries: [US]}\n"
    )
    options = command.ServeOptions(agents=(str(agent),), phone=str(phone))
    first, settings = command._parts(options, replace(SLOT, number=0))
    assert first.sip is not None
    assert first.outbound is not None
    assert settings.public_paths == ("/twilio/",)
    other, _ = command._parts(options, SLOT)
    assert (other.sip, other.outbound) == (None, None)
    assert other.phone is not None
    assert other.phone.url("twilio", "status") == "https://voice.example.com/w1/twilio/status"
    assert other.phone.public_url == "https://voice.example.com"


def test_a_worker_is_told_all_that_the_server_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    options = command.ServeOptions(
        agents=("a.yaml", "b.yaml"), port=0, allow_origin=("https://a.example",), day_budget="5"
    )
    told = command._command(options)(SLOT)[-1]
    found: list[object] = []
    monkeypatch.setattr(command, "run_as_worker", lambda *given: found.extend(given))
    assert serve_worker.main(told) == 0
    assert found == [options, SLOT]


def test_why_a_worker_cannot_run_is_told_to_the_front() -> None:
    ours, theirs = socket.socketpair()
    options = command.ServeOptions(agents=("no_such_agent.yaml",))
    told = command._command(options)(replace(SLOT, control_fd=theirs.detach()))[-1]
    assert serve_worker.main(told) == 2
    with ours:
        assert "no_such_agent.yaml" in json.loads(ours.recv(4096))["failed"]
