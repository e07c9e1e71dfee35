"""Agent files: what loads, and what is said of those that do not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon.agent.explain import AgentFileError
from antiphon.agent.load import load_agent
from antiphon.agent.yaml_lines import MAX_BYTES
from antiphon.errors import ConfigError
from antiphon.types import ToolSpec

TOOLS = """
def price(drink, size="small"):
    return {"eur": 4}

async def order(drink):
    return None

not_a_function = 3
"""

AGENT = """\
name: Cafe
greeting: Welcome to the cafe.
persona: |
  You sell coffee.
language: en
# Everything else is the default.
stt: {provider: scripted}
llm:
  provider: openai
  base_url: http://127.0.0.1:8080/v1
  model: some-model
tts: scripted
turn:
  endpointing:
    min_ms: 250
phrases:
  filler: One second.
tools:
  - name: price
    description: The price of a drink.
    python: tools.py:price
    parameters:
      type: object
      properties:
        drink: {type: string}
        size: {enum: [small, large]}
      required: [drink]
  - name: order
    description: Orders a drink.
    python: tools.py:order
    timeout_ms: 5000
    parameters: {type: object, properties: {drink: {type: string}}, required: [drink]}
vocabulary:
  latte:
  ristretto: R IH S T R EH T OW
flow:
  help: You can order a drink.
  intents:
    order:
      phrases: ["[i would like] a {drink}"]
      slots:
        drink:
          values: [latte, mocha]
          required: true
          ask: Which drink?
      confirm: "A {drink}, right?"
      tool: order
      done: Done.
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.py").write_text(TOOLS)
    return tmp_path


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "agent.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def errors_of(folder: Path, text: str | bytes) -> list[str]:
    """Each error as `line: key: message`, without the path."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_agent(path)
    errors = getattr(caught.value, "errors", (caught.value,))
    assert all(one.path == str(path) for one in errors)
    return [str(one).removeprefix(f"{path}:").strip() for one in errors]


def test_a_whole_agent(folder: Path) -> None:
    agent = load_agent(write(folder, AGENT))
    assert agent.config.turn.endpointing.min_ms == 250
    assert agent.config.phrases.filler == ("One second.",)
    assert [(tool.spec.name, tool.timeout_ms) for tool in agent.tools] == [
        ("price", agent.config.turn.dead_air.tool_deadline_ms),
        ("order", 5000),
    ]
    assert isinstance(agent.tools[0].spec, ToolSpec)
    assert agent.setup.tool_deadlines == (("order", 5000),)
    assert agent.setup.greeting == "Welcome to the cafe."
    assert agent.hints.brain is not None
    assert {"latte", "mocha", "ristretto"} <= set(agent.hints.vocabulary)
    assert agent.hints.pronunciations == {"ristretto": "R IH S T R EH T OW"}
    assert any("mocha" in sentence for sentence in agent.hints.sentences)
    assert {"mm-hm", "right", "wait"} <= set(agent.hints.interjections)


def test_the_agents_own_interjections_are_hints_as_well(folder: Path) -> None:
    text = "name: x\nturn:\n  interruption:\n    backchannels: [righto]\n    stop_words: [enough]\n"
    hints = load_agent(write(folder, text)).hints
    assert {"righto", "enough", "mm-hm", "stop"} <= set(hints.interjections)


def test_the_smallest_agent(folder: Path) -> None:
    agent = load_agent(write(folder, "name: x\n"))
    assert (agent.config.llm.provider, agent.tools, agent.hints.brain) == ("auto", (), None)


def test_all_errors_at_once_with_line_key_and_nearest(folder: Path) -> None:
    text = """\
nam: Cafe
greting: Hi
turn:
  endpointing:
    min_mss: 3
    max_ms: "500"
  silence:
    check_ins: 99
stt: pocketsfinx
llm: {provider: openai, modle: x}
tools:
  - name: price
    description: x
    python: tools.py:prize
  - {name: 2, description: x, python: nothing.py:x, patience: 3}
"""
    assert errors_of(folder, text) == [
        "1: nam: unknown key; did you mean `name`?",
        "2: greting: unknown key; did you mean `greeting`?",
        "5: turn.endpointing.min_mss: unknown key; did you mean `min_ms`?",
        "6: turn.endpointing.max_ms: should be a whole number, but is the text `500`",
        "8: turn.silence.check_ins: 99 is too large; the most is 10",
        "9: stt: there is no stt called `pocketsfinx`; did you mean `pocketsphinx`?",
        "10: llm.modle: unknown key; did you mean `model`?",
        "14: tools[0].python: tools.py has no function `prize`; did you mean `price`?",
        "15: tools[1].patience: unknown key; keys here are `name`, `description`, `parameters`, "
        "`python`, `timeout_ms`",
        "15: tools[1].name: should be text, but is the number 2",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1: the file is empty"),
        ("# only a comment\n", "1: the file is empty"),
        ("- a\n- b\n", "1: an agent's file is a mapping"),
        ("just words", "1: an agent's file is a mapping"),
        ("name: x\n\tgreeting: y\n", "2: a tab; YAML is indented with spaces only"),
        ("name: x\nname: y\n", "2: name: given twice; the first is in line 1"),
        ("name: x\ngreeting: Hello: you\n", "2: a colon that YAML does not expect"),
        ("name: x\n---\nname: y\n", "2: a second document"),
        (b"name: x\ngreeting: caf\xe9\n", "2: byte 0xe9 is not UTF-8"),
        (b"name: x\ngreeting: \x07\n", "2: a control character"),
        (b"name: \x00\n", "1: a control character"),
        ("name: [x\n", "2: "),
        ("a: &a [*a]\n", "1: an alias that contains itself"),
        ("name: *nobody\n", "1: found undefined alias"),
        ("name: !!python/object/apply:os.system [ls]\n", "1: name: the tag"),
        ("? [a, b]\n: c\nname: x\n", "1: a key must be a plain word"),
        ("name: " + "[" * 100 + "]" * 100, "1: nested more than 40 levels deep"),
        ("name: !!int word\n", "1: name: this is not a number"),
        (b"x" * (MAX_BYTES + 1), "the file is larger than 512 KB"),
        (b"\xff\xfename", "1: byte 0xff is not UTF-8"),
    ],
)
def test_files_that_are_not_agents(folder: Path, text: str | bytes, says: str) -> None:
    assert errors_of(folder, text)[0].startswith(says)


def test_a_bomb_of_aliases(folder: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "more than 50000 values" in errors_of(folder, "\n".join(lines))[0]


def test_missing_file_and_directory(folder: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_agent(folder / "none.yaml")
    with pytest.raises(ConfigError, match="this is a directory"):
        load_agent(folder)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_agent("a\0b")


def test_timing_that_is_refused_names_line_key_and_what_is_allowed(folder: Path) -> None:
    text = """\
name: Cafe
turn:
  endpointing: {mode: autmatic, min_ms: 10}
  interruption:
    speech: gentle
    pause_ms: "300"
  speculation:
    prepare: all
    limit: 21
"""
    assert errors_of(folder, text) == [
        "3: turn.endpointing.mode: the text `autmatic` is not known here; "
        "did you mean `automatic`?",
        "3: turn.endpointing.min_ms: 10 is too small; the least is 50",
        "5: turn.interruption.speech: the text `gentle` is not known here; "
        "it may be 'interruptible', 'patient' or 'protected'",
        "6: turn.interruption.pause_ms: should be a whole number, but is the text `300`",
        "8: turn.speculation.prepare: the text `all` is not known here; "
        "it may be 'nothing', 'text' or 'voice'",
        "9: turn.speculation.limit: 21 is too large; the most is 20",
    ]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("min_ms: 250", "min_ms: 950"), "13: turn: endpointing.min_ms <= unknown_ms"),
        (("language: en", "language: English"), "5: language: the text `English` does not have"),
        (("name: Cafe", "name: ''"), "1: name: must not be empty"),
        (("name: Cafe", "name:"), "1: name: should be text, but is empty"),
        (("T OW", "T XX"), "33: vocabulary: `XX` in the pronunciation of `ristretto`"),
        (("tool: order", "tool: oder"), "the flow calls a tool `oder` that is not there; did you"),
        (("name: order", "name: price"), "two tools are called `price`"),
        (("py:price", "py:not_a_function"), "21: tools[0].python: `not_a_function` in tools.py is"),
        (("tools.py:price", "other.py:price"), "there is no file"),
        (("tools.py:price", "no.such.module:price"), "no.such.module cannot be imported"),
        (("tools.py:price", "price"), "does not have the form"),
        (("drink: {type: string}\n", "cup: {type: string}\n"), "has no parameter `cup`"),
        (("required: [drink]\n  -", "required: []\n  -"), "the function needs `drink`"),
        (("drink: {type: string}\n", "drink: {type: strin}\n"), "not a JSON Schema"),
        (("model: some-model", "api_key: sk-123"), "a secret does not belong in the file"),
        (("model: some-model", "api_key: ${NO_SUCH}"), "variable NO_SUCH is not set"),
        (("model: some-model", "model: ${HOME}"), "11: llm.model: only secrets, such as"),
        (("Welcome to the cafe.", "${HOME}"), "2: greeting: only secrets, such as"),
        (("127.0.0.1:8080/v1", ""), "10: llm.base_url: `http://` is not an address"),
        (("provider: openai", "provider: 3"), "llm.provider: should be text"),
        (("provider: openai\n", ""), "8: llm: "),
        (("help: You can order a drink.", "hlep: x"), "37: flow.hlep: unknown key; did you mean"),
        (("values: [latte", "kind: choise\n          values: [latte"), "did you mean `choice`?"),
    ],
)
def test_what_is_said_of_one_mistake(folder: Path, change: tuple[str, str], says: str) -> None:
    if says == "8: llm: ":
        text = AGENT.replace("  provider: openai\n", "")
        says = "llm.provider: this key is missing"
    else:
        assert change[0] in AGENT
        text = AGENT.replace(*change, 1)
    assert any(says in one for one in errors_of(folder, text)), errors_of(folder, text)


def test_a_secret_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAFE_KEY", "sk-secret")
    agent = load_agent(write(folder, AGENT.replace("model: some-model", "api_key: ${CAFE_KEY}")))
    assert "sk-secret" not in repr(agent)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def price(:", "cannot be imported (line 1): SyntaxError"),
        ("x = 1\n1 / 0", "cannot be imported (line 2): ZeroDivisionError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("import no_such_thing", "No module named"),
    ],
)
def test_tools_that_cannot_be_imported(folder: Path, code: str, says: str) -> None:
    (folder / "tools.py").write_text(code)
    before = set(sys.modules)
    assert says in errors_of(folder, AGENT)[0]
    assert not {name for name in set(sys.modules) - before if name.startswith("antiphon_tools")}


_TOKENS = ["", " ", "\t", "\n", "- ", ": ", *"{}[]|'#@\"\x00é", "&a ", "*a", "!!str ", "!x "]
_TOKENS += ["---\n", "null", "3", "true", "${HOME}", "<<: ", "? ", "\U0001f600"]


@st.composite
def mutations(draw: st.DrawFn) -> str:
    text = AGENT
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        length = draw(st.sampled_from([0, 1, 2, 8, 40]))
        text = text[:start] + draw(st.sampled_from(_TOKENS)) + text[start + length :]
    return text


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
    database=None,
)
@given(text=mutations())
def test_no_mutation_gives_anything_but_a_config_error(folder: Path, text: str) -> None:
    found = outcome(write(folder, text))
    if found is not None:
        assert str(folder) in str(found)
    if isinstance(found, AgentFileError):
        assert all(1 <= one.line <= text.count("\n") + 1 for one in found.errors)


def outcome(path: Path) -> ConfigError | None:
    try:
        load_agent(path)
    except ConfigError as error:
        return error
    return None


def test_the_cheaper_brain_is_checked_and_is_the_last_of_all(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    budget = "budget: {call: {cheaper: 1, end: 2}, cheaper_llm: {provider: scripted}}\n"
    path.write_text(
        "name: Cafe\nllm: scripted\nfallback: {llm: scripted}\n" + budget, encoding="utf-8"
    )
    setup = load_agent(path).setup
    assert (setup.llms, setup.cheaper_llm) == (3, 2)
    path.write_text(
        "name: Cafe\nllm: scripted\n" + budget.replace("{provider: scripted}", "scriptd"),
        encoding="utf-8",
    )
    with pytest.raises(AgentFileError, match=r":3: budget.cheaper_llm: .*`scripted`"):
        load_agent(path)
