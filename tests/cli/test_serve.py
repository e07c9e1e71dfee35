from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, cast

import pytest

from antiphon.cli import serve as command
from antiphon.errors import UserFacingError
from antiphon.server.settings import ServerSettings
from tests.support.fake_host import FakeHost


def test_a_taken_port_is_said_before_anything_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = FakeHost()
    monkeypatch.setattr(command, "_load", lambda paths: {})
    monkeypatch.setattr(command, "_supervisor", lambda agents, max_calls, day_budget: host)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
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
    service = command._phone(str(path), cast("Any", FakeHost()))
    assert (list(service.companies), service.public_url) == (
        ["twilio"],
        "https://voice.example.com",
    )
    path.write_text(text.replace("NAME", "Nobody"))
    with pytest.raises(UserFacingError, match="Nobody"):
        command._phone(str(path), cast("Any", FakeHost()))
