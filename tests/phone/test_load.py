"""Reading `phone.yaml`."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.agent.explain import AgentFileError
from antiphon.errors import ConfigError
from antiphon.phone.load import load_phone
from antiphon.phone.vendors import make_vendors

GOOD = """\
public_url: https://voice.example.com
secret: ${PHONE_SECRET}
vendors:
  twilio:
    account_sid: AC1
    auth_token: ${TWILIO_TOKEN}
    signing_keys:
      key1: ${TWILIO_TOKEN}
    numbers:
      "+15550199": Cafe
outbound:
  vendor: twilio
  sender: "+15550199"
  do_not_call: never.txt
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_TOKEN", "t")
    monkeypatch.setenv("PHONE_SECRET", "s")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "phone.yaml"
    path.write_text(text)
    return path


def wrong(tmp_path: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(AgentFileError) as caught:
        load_phone(written(tmp_path, text))
    return [(one.line, one.key, one.message) for one in caught.value.errors]


def test_a_whole_file(tmp_path: Path) -> None:
    config = load_phone(written(tmp_path, GOOD))
    assert config.secret is not None
    assert config.secret.value == "s"
    assert config.outbound is not None
    assert config.outbound.do_not_call == str(tmp_path / "never.txt")
    company = make_vendors(config)["twilio"]
    assert company.vendor.name == "twilio"
    assert company.options.numbers == {"+15550199": "Cafe"}


def test_everything_wrong_is_said_with_its_line(tmp_path: Path) -> None:
    text = GOOD.replace("auth_token", "auth_tokn").replace("sender:", "sendr:")
    found = wrong(tmp_path, text)
    assert (6, "vendors.twilio.auth_tokn", "unknown key; did you mean `auth_token`?") in found
    assert (13, "outbound.sendr", "unknown key; did you mean `sender`?") in found


def test_an_unknown_company(tmp_path: Path) -> None:
    found = wrong(tmp_path, GOOD.replace("  twilio:", "  twillio:"))
    message = "there is no telephone company called `twillio`; did you mean `twilio`?"
    assert (4, "vendors.twillio", message) in found


def test_a_secret_in_the_file_and_a_variable_where_none_belongs(tmp_path: Path) -> None:
    found = wrong(tmp_path, GOOD.replace("auth_token: ${TWILIO_TOKEN}", "auth_token: abc"))
    assert len(found) == 1
    assert "does not belong in the file" in found[0][2]
    assert "abc" not in str(found)
    found = wrong(tmp_path, GOOD.replace("AC1", "${TWILIO_TOKEN}"))
    assert [(line, key) for line, key, _ in found] == [(5, "vendors.twilio.account_sid")]


def test_a_variable_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWILIO_TOKEN")
    assert all("TWILIO_TOKEN is not set" in message for _, _, message in wrong(tmp_path, GOOD))


def test_companies_need_to_know_how_to_reach_us(tmp_path: Path) -> None:
    found = wrong(tmp_path, GOOD.replace("public_url: https://voice.example.com\n", ""))
    assert [key for _, key, _ in found] == ["public_url"]
    found = wrong(tmp_path, GOOD.replace("voice.example.com", "voice.example.com/path"))
    assert [line for line, _, _ in found] == [1]


@pytest.mark.parametrize("text", ["", "- a\n", "a: [\n"])
def test_files_that_are_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_phone(written(tmp_path, text))
    assert "agent" not in caught.value.message
