"""Secrets come from the environment and are shown nowhere."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from antiphon.providers.secret import Secret


class Options(BaseModel):
    key: Secret | None = None


def test_from_the_environment_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", " sk-1 ")
    options = Options.model_validate({"key": "${MY_KEY}"})
    assert options.key == Secret("sk-1", "MY_KEY")
    shown = f"{options!r} {options.key} {options.model_dump_json()} {options.model_dump()}"
    assert "sk-1" not in shown
    assert options.model_dump()["key"] == "${MY_KEY}"
    assert Options(key=options.key) == options


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("${NOT_SET}", "the environment variable NOT_SET is not set"),
        ("${EMPTY}", "the environment variable EMPTY is not set"),
        ("sk-real", "does not belong in the file"),
        ("x${MY_KEY}", "does not belong in the file"),
        (3, "does not belong in the file"),
    ],
)
def test_what_is_refused(monkeypatch: pytest.MonkeyPatch, written: object, says: str) -> None:
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(ValidationError, match=says) as caught:
        Options.model_validate({"key": written})
    assert "sk-real" not in caught.value.errors()[0]["msg"]


def test_one_without_a_variable_is_not_shown_either() -> None:
    assert "x" not in f"{Secret('x')}".replace("(secret)", "")
