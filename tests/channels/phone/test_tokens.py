"""Tokens of streams."""

from __future__ import annotations

import pytest

from antiphon.channels.base import CallFacts
from antiphon.channels.phone import tokens as module
from antiphon.channels.phone.tokens import MAX_TOKEN_CHARS, Admission, Tokens
from antiphon.channels.phone.vendor import Forged

FACTS = CallFacts("outbound", "+15550100", "+15550199", "CA1", {"name": "Zoë"})
ADMISSION = Admission("Cafe", FACTS, "call_7")


def why(tokens: Tokens, token: str, now_s: float = 0.0) -> str:
    with pytest.raises(Forged) as caught:
        tokens.admit(token, now_s)
    return caught.value.why


def test_it_admits_once() -> None:
    tokens = Tokens()
    token = tokens.issue(ADMISSION, 60, 0.0)
    assert len(token) < MAX_TOKEN_CHARS
    assert tokens.admit(token, 59.9) == ADMISSION
    assert why(tokens, token) == "replayed"
    other = tokens.issue(Admission(), 60, 0.0)
    assert other != tokens.issue(Admission(), 60, 0.0)
    assert tokens.admit(other, 1.0) == Admission()


def test_it_is_over() -> None:
    tokens = Tokens()
    assert why(tokens, tokens.issue(ADMISSION, 60, 0.0), 60.2) == "stale"


@pytest.mark.parametrize("token", ["x", "x.y", "é.é", "." * 5000, "a" * 10**5])
def test_it_is_none_of_ours(token: str) -> None:
    assert why(Tokens(), token) == "forged"


def test_none_at_all() -> None:
    assert why(Tokens(), "") == "unsigned"


def test_a_changed_one_is_forged() -> None:
    tokens = Tokens()
    token = tokens.issue(ADMISSION, 60, 0.0)
    for at in range(len(token)):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        # The last letter of the signature has bits that mean nothing to base64, but they are signed
        # as they are written.
        assert why(tokens, changed) == "forged"
    assert why(Tokens(), token) == "forged"


def test_another_process_with_the_same_secret_takes_it() -> None:
    assert Tokens(b"s").admit(Tokens(b"s").issue(ADMISSION, 60, 0.0), 1.0) == ADMISSION


def test_many_variables_stay_here() -> None:
    tokens = Tokens(b"s")
    facts = CallFacts("outbound", variables={f"name{i}": "x" * 40 for i in range(40)})
    token = tokens.issue(Admission("Cafe", facts), 60, 0.0)
    assert len(token) < MAX_TOKEN_CHARS
    assert tokens.admit(token, 1.0).facts == facts


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 10)
    tokens = Tokens()
    for number in range(40):
        facts = CallFacts(variables={"a": "x" * 600})
        tokens.issue(Admission("Cafe", facts), 60, float(number))
        tokens.admit(tokens.issue(Admission(), 60, float(number)), float(number))
    assert len(tokens._used) <= 10
    assert len(tokens._long) <= 10


def test_used_ones_are_forgotten_when_their_time_is_over() -> None:
    tokens = Tokens()
    tokens.admit(tokens.issue(Admission(), 60, 0.0), 1.0)
    tokens.admit(tokens.issue(Admission(), 60, 100.0), 101.0)
    assert len(tokens._used) == 1
