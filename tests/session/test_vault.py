"""Secret digits: tools are told them, and nobody else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.session.vault import HIDDEN_KEY, MAX_KEYS, Vault

PLACE = "{{secret.pin}}"


def typed(digits: str, *, secret: bool = True, name: str = "pin") -> tuple[Vault, str]:
    vault = Vault()
    vault.begin(name, secret)
    for key in f"{digits}#":
        vault.key(key)
    return vault, vault.finish()


def test_a_secret_is_told_to_tools_only() -> None:
    vault = Vault()
    vault.begin("pin", secret=True)
    assert [vault.key(key) for key in "12*#"] == [HIDDEN_KEY, HIDDEN_KEY, "*", "#"]
    vault.begin("pin", secret=True)
    for key in "98765432":
        vault.key(key)
    assert json.loads(vault.finish()) == {"digits": PLACE, "count": 8}
    asked = '{"account": "{{secret.pin}}", "note": "no {{ secret.pin }}", "n": 5}'
    told = json.loads(vault.reveal(asked))
    assert told == {"account": "98765432", "note": "no 98765432", "n": 5}


def test_an_open_number_is_told_to_all() -> None:
    vault, output = typed("0123", secret=False)
    assert output == '{"digits": "0123"}'
    assert vault.hide(output) == output
    assert vault.key("5") == "5"


def test_keys_of_no_number_pass() -> None:
    assert [Vault().key(key) for key in "1#*"] == ["1", "#", "*"]


@pytest.mark.parametrize("outcome", ["nothing", "abandoned"])
def test_a_number_that_came_to_nothing(outcome: str) -> None:
    vault = Vault()
    vault.begin("pin", secret=True)
    vault.key("4")
    assert "error" in json.loads(vault.finish(outcome))
    assert vault.lacks(f'{{"pin": "{PLACE}"}}') == "pin"
    assert vault.key("7") == "7"


def test_no_keys_are_no_number() -> None:
    assert "error" in json.loads(typed("")[1])


def test_an_endless_number_is_cut_off() -> None:
    assert json.loads(typed("1" * 500)[1])["count"] == MAX_KEYS


def test_what_was_not_typed_is_not_invented() -> None:
    vault, _ = typed("1234")
    asked = '{"a": "{{secret.account}}"}'
    assert vault.reveal(asked) == asked
    assert vault.lacks(asked) == "account"
    assert vault.lacks(f'{{"a": "{PLACE}"}}') == ""


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"a": 1}', '{"a": "{{x}}"}', "{{secret.pin}"])
def test_other_arguments_stay_as_written(text: str) -> None:
    assert typed("1234")[0].reveal(text) == text


@pytest.mark.parametrize(
    ("result", "hidden"),
    [
        ('{"account":  "98765432"}', {"account": PLACE}),
        ('{"account": 98765432}', {"account": PLACE}),
        ('{"98765432": true}', {PLACE: True}),
        ('[{"said": "no 9876 5432!"}]', [{"said": f"no {PLACE}!"}]),
        ('"98-76-54-32"', PLACE),
    ],
)
def test_results_do_not_echo_it(result: str, hidden: object) -> None:
    assert json.loads(typed("98765432")[0].hide(result)) == hidden


def test_errors_do_not_echo_it() -> None:
    vault, _ = typed("98765432")
    assert vault.hide("ValueError: 98765432 is odd") == f"ValueError: {PLACE} is odd"


def test_a_number_that_lost_its_zeros() -> None:
    assert "12345" not in typed("0012345")[0].hide('{"account": 12345}')


def test_short_secrets_do_not_spoil_other_numbers() -> None:
    vault, _ = typed("12")
    assert (
        vault.hide('{"at": "2012-11-30", "pin": 12}') == f'{{"at": "2012-11-30", "pin": "{PLACE}"}}'
    )


def test_what_was_typed_before_stays_hidden() -> None:
    vault, _ = typed("98765432")
    vault.begin("pin", secret=True)
    for key in "11112222":
        vault.key(key)
    vault.finish()
    assert vault.hide("98765432 11112222") == f"{PLACE} {PLACE}"
    assert vault.reveal(f'"{PLACE}"') == '"11112222"'


def test_it_is_forgotten_at_the_end() -> None:
    vault, _ = typed("98765432")
    vault.begin("other", secret=True)
    vault.forget()
    assert vault.reveal(f'"{PLACE}"') == f'"{PLACE}"'
    assert vault.key("1") == "1"
    assert "secret" in repr(vault)


def test_results_as_deep_as_they_may_be() -> None:
    text = "[" * 5000 + '"98765432"' + "]" * 5000
    assert "98765432" not in typed("98765432")[0].hide(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)


@given(st.text("0123456789", min_size=4, max_size=16), JSON, st.data())
def test_nothing_that_leaves_holds_the_digits(
    digits: str, value: object, data: st.DataObject
) -> None:
    vault, output = typed(digits)
    echo = data.draw(st.sampled_from([digits, int(digits), f"x{digits}y", " ".join(digits)]))
    for text in (output, repr(vault), vault.hide(json.dumps([value, echo])), vault.hide(str(echo))):
        assert digits not in text.replace(" ", "")
    shown = vault.hide(json.dumps({"a": value}))
    assert digits not in shown


@given(st.text(max_size=50))
def test_any_text_passes(text: str) -> None:
    vault, _ = typed("98765432")
    vault.hide(text)
    if "secret." not in text:
        assert vault.reveal(text) == text
