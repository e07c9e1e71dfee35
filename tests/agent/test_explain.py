"""Pydantic's errors as sentences."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from antiphon.agent.explain import AgentFileError, explain, is_secret, valid_keys
from antiphon.agent.yaml_lines import parse_document
from antiphon.errors import ConfigError, UserFacingError
from antiphon.providers.llm.openai import OpenAiOptions


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: Literal["small", "large"] = "small"
    count: int = Field(default=1, strict=True, gt=0, lt=10)


class Tree(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    leaf: Leaf | None = None
    leaves: dict[str, Leaf] = Field(default_factory=dict)
    row: list[Leaf] = Field(default_factory=list)
    either: Leaf | str = ""
    nothing: dict[str, Any] = Field(default_factory=dict)


SCHEMA = Tree.model_json_schema()


def explained(text: str) -> list[str]:
    document = parse_document(text, "f")
    with pytest.raises(ValidationError) as caught:
        Tree.model_validate(document.value)
    return [str(one) for one in explain(caught.value, document, SCHEMA)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: 3", "f:1: name: should be text, but is the number 3"),
        ("name: [a]", "f:1: name: should be text, but is a list"),
        ("name: {}", "f:1: name: should be text, but is a mapping"),
        ("name: true", "f:1: name: should be text, but is `true`"),
        ("leaf: {}", "f:1: name: this key is missing"),
        (
            "name: a\nleaf: 3",
            "f:2: leaf: should be a mapping of keys to values, but is the number 3",
        ),
        ("name: a\nleaf:\n  sise: x", "f:3: leaf.sise: unknown key; did you mean `size`?"),
        ("name: a\nleaf: {zzz: x}", "f:2: leaf.zzz: unknown key; keys here are `size`, `count`"),
        ("name: a\nleaf: {size: smal}", "the text `smal` is not known here; did you mean `small`?"),
        (
            "name: a\nleaf: {size: 9}",
            "the number 9 is not known here; it may be 'small' or 'large'",
        ),
        ("name: a\nleaf: {count: 0}", "0 is too small; the least is 0"),
        ("name: a\nleaf: {count: 10}", "10 is too large; the most is 10"),
        ("name: a\nleaves:\n  x: {cuont: 1}", "f:3: leaves.x.cuont: unknown key; did you mean"),
        ("name: a\nrow:\n  - {}\n  - {cuont: 1}", "f:4: row[1].cuont: unknown key; did you mean"),
        ("name: a\neither:\n  cuont: 1", "f:3: either.cuont: unknown key; did you mean `count`?"),
    ],
)
def test_sentences(text: str, expected: str) -> None:
    assert any(expected in one for one in explained(text)), explained(text)


def test_a_misspelt_key_is_not_also_missing() -> None:
    assert explained("nmae: x") == ["f:1: nmae: unknown key; did you mean `name`?"]


def test_valid_keys() -> None:
    assert valid_keys(SCHEMA, ("leaf",)) == ("size", "count")
    assert valid_keys(SCHEMA, ("nothing", "deep")) == ()


def test_secrets_are_known_by_their_schema() -> None:
    schema = OpenAiOptions.model_json_schema()
    assert is_secret(schema, ("api_key",))
    assert not is_secret(schema, ("base_url",))


def test_all_errors_in_the_order_of_their_lines() -> None:
    error = AgentFileError([ConfigError("b", path="f", line=9), ConfigError("a", path="f", line=2)])
    assert isinstance(error, UserFacingError)
    assert (str(error), error.line, error.path) == ("f:2: a\nf:9: b", 2, "f")
