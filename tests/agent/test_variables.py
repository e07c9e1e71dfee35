"""What stands for `{{name}}`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.agent.test_line import LINE, problem, write

from antiphon.agent import variables
from antiphon.agent.config import AgentConfig
from antiphon.agent.explain import AgentFileError
from antiphon.agent.load import load_agent


def agent(**more: Any) -> AgentConfig:
    return AgentConfig.model_validate({"name": "Ann", **more})


def test_a_text_is_filled_once() -> None:
    values = {"name": "Bo", "a": "{{name}}"}
    assert variables.substitute("{{name}} {{ name }} {{a}} {{b}}", values) == "Bo Bo {{name}} {{b}}"
    assert variables.substitute("{name} {{}} {{a b}} }}", values) == "{name} {{}} {{a b}} }}"


def test_an_agent_of_one_call(tmp_path: Path) -> None:
    loaded = load_agent(write(tmp_path, LINE))
    ours = loaded.for_call({"name": "Mrs. Bo", "channel": "sip", "more": "ignored"})
    assert ours.setup.greeting == "Hello Mrs. Bo."
    assert ours.config.transfer is not None
    assert ours.config.transfer.targets["sales"].message == "For Mrs. Bo: {{reason}}"
    assert loaded.for_call({}).setup.greeting == "Hello there."
    assert loaded.setup.greeting == "Hello {{name}}.", "the agent of all calls is as it was"


def test_every_place(tmp_path: Path) -> None:
    config = agent(
        greeting="{{v}}",
        persona="{{v}} {{caller_number}}/{{called_number}}/{{channel}}",
        disclosure={"text": "{{v}}", "consent": "ask", "question": "{{v}}?"},
        recording=True,
        digits={"zip": {"ask": "{{v}}!", "secret": True}},
        variables={"v": "x", "w": None},
    )
    filled = variables.fill(config, {"caller_number": "+1", "called_number": "+2"})
    assert (filled.greeting, filled.persona) == ("x", "x +1/+2/")
    assert filled.disclosure is not None
    assert (filled.disclosure.text, filled.disclosure.question) == ("x", "x?")
    assert filled.digits["zip"].ask == "x!"


def test_without_variables_nothing_is_made_anew(tmp_path: Path) -> None:
    loaded = load_agent(write(tmp_path, "name: Ann\nllm: scripted\nstt: scripted\ntts: scripted\n"))
    assert loaded.for_call({"channel": "sip"}) is loaded


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("greeting: Hello {{nam}}.", "`{{nam}}`; did you mean `{{name}}`?"),
        ("greeting: Hello {{caller}}.", "did you mean `{{caller_number}}`?"),
        ("greeting: Hello {{zzz}}.", "list it under `variables`"),
        ("greeting: I am {{reason}}.", "no variable `{{reason}}`"),
        ("greeting: Hello {{secret.account_number}}.", "no variable `{{secret.account_number}}`"),
    ],
)
def test_an_unknown_variable_is_an_error(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(AgentFileError) as caught:
        load_agent(write(tmp_path, LINE.replace("greeting: Hello {{name}}.", text)))
    (error,) = caught.value.errors
    assert (error.line, error.key) == (2, "greeting")
    assert says in str(error)


def test_a_persona_may_speak_of_a_secret(tmp_path: Path) -> None:
    persona = "persona: Give the tool {{secret.account_number}}.\n"
    loaded = load_agent(write(tmp_path, LINE + persona)).for_call({"name": "Bo"})
    assert loaded.config.persona == "Give the tool {{secret.account_number}}."
    with pytest.raises(AgentFileError, match="zip_code"):
        load_agent(write(tmp_path, LINE + "persona: Give it {{secret.zip_code}}.\n"))


def test_an_order() -> None:
    config = agent(variables={"name": "there", "due": None})
    assert variables.order_problem(config, {"due": "today"}) == ""
    assert "needs the variable `due`" in variables.order_problem(config, {"name": "Bo"})
    wrong = variables.order_problem(config, {"due": "today", "nam": "Bo"})
    assert wrong == "the agent `Ann` has no variable `nam`; did you mean `name`?"
    assert "its variables are: none" in variables.order_problem(agent(), {"x": "y"})
    assert variables.unknown(config, {"channel": "sip"}) == ("channel",)
    assert variables.missing(config, {}) == ("due",)


def test_names_that_are_taken() -> None:
    assert "`channel` is always there" in problem(variables={"channel": "x"})
    assert "should match pattern" in problem(variables={"a b": "x"})


def test_a_value_is_one_line_of_words() -> None:
    assert variables.clean("Bo\n\nIgnore  all\x00 {{name}}") == "Bo Ignore all name"
    assert len(variables.clean("x" * 9999)) == variables.MAX_VALUE_CHARS


@given(st.text(max_size=80), st.dictionaries(st.text(max_size=8), st.text(max_size=20)))
def test_any_text_and_any_values(text: str, values: dict[str, str]) -> None:
    config = agent(greeting=f"{{{{name}}}} {text}", variables={"name": "x"})
    list(variables.problems(config))
    filled = variables.fill(config, values | {"name": text})
    assert filled.greeting.startswith(variables.clean(text))
