"""YAML with the line of everything."""

from __future__ import annotations

import pytest

from antiphon.agent.yaml_lines import Document, dotted, parse_document
from antiphon.errors import ConfigError


def test_lines_of_keys_and_values() -> None:
    text = "a: 1\nb:\n  - x\n  - c: >\n      long\n      text\n    d: 2\n"
    document = parse_document(text, "f")
    assert document.value == {"a": 1, "b": ["x", {"c": "long text\n", "d": 2}]}
    assert document.lines[("b",)] == 2
    assert document.lines[("b", 0)] == 3
    assert document.lines[("b", 1, "d")] == 7


def test_the_line_of_what_is_not_written_is_that_of_what_is_around_it() -> None:
    document = Document("f", {}, {(): 1, ("a",): 3})
    assert document.line_of(("a", "b", 0)) == 3
    assert document.line_of(("z",)) == 1


def test_words_of_yaml_1_1_stay_words() -> None:
    value = parse_document("a: [no, on, 12:30, 007, 1_000, 0x1F, 1e3, ~, true, .5]", "f").value
    assert value == {"a": ["no", "on", "12:30", "007", "1_000", 31, 1000.0, None, True, 0.5]}


def test_keys_are_text() -> None:
    assert parse_document("1: a\ntrue: b\n~: c\n", "f").value == {"1": "a", "true": "b", "~": "c"}


def test_anchors_are_copied() -> None:
    value = parse_document("a: &x [1]\nb: *x\n", "f").value
    assert value == {"a": [1], "b": [1]}
    assert value["a"] is not value["b"]


@pytest.mark.parametrize("tag", ["!!python/name:os.system", "!!timestamp", "!!binary", "!mine"])
def test_tags_are_refused(tag: str) -> None:
    problems = parse_document(f"a: {tag} x\n", "f").problems
    assert [str(one)[:12] for one in problems] == ["f:1: a: the "]


def test_a_number_with_too_many_digits_is_a_problem_not_a_crash() -> None:
    assert "not a number" in str(parse_document(f"a: {'9' * 5000}", "f").problems[0])


def test_a_bom_is_no_part_of_the_first_key() -> None:
    assert parse_document("\ufeffa: 1", "f").value == {"a": 1}


def test_nothing_but_an_end() -> None:
    with pytest.raises(ConfigError, match="the file is empty"):
        parse_document("---\n...\n", "f")


def test_dotted() -> None:
    assert dotted(("tools", 0, "name")) == "tools[0].name"
    assert dotted(()) == ""
