"""Thoughts are taken out of the text, however it is cut into pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.providers.llm.thoughts import ThoughtFilter

CASES = [
    ("<think>hm</think>\n\nHi", "Hi"),
    ("\n<think>never ends", ""),
    ("<this is plain", "<this is plain"),
    ("Hi <think>hm</think>there", "Hi there"),
    ("Hi <think>and nothing more", "Hi "),
    ("<think>a</think>  ", ""),
    ("<think></think><think>b</think> Hi", "Hi"),
    ("<thinking>a </think> b</thinking>Hi", "Hi"),
    ("[THINK]x[/THINK]Hi [there]", "Hi [there]"),
    ("\n</think>\n\nHi", "Hi"),
    ("a < b", "a < b"),
    ("  Hi", "  Hi"),
    ("<th", "<th"),
    ("", ""),
]


def said(pieces: list[str], begins_inside: bool = False) -> str:
    thoughts = ThoughtFilter(begins_inside)
    return "".join(thoughts.add(piece) for piece in pieces) + thoughts.rest()


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_whole_and_letter_by_letter(text: str, expected: str) -> None:
    assert said([text]) == expected
    assert said(list(text)) == expected


@given(st.sampled_from(CASES), st.data())
def test_however_it_is_cut(case: tuple[str, str], data: st.DataObject) -> None:
    text, expected = case
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=6)))
    edges = [0, *cuts, len(text)]
    assert said([text[a:b] for a, b in itertools.pairwise(edges)]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I should greet.</think>\nHi", "Hi"),
        ("Hi there", "Hi there"),
        ("<think>a</think>Hi", "Hi"),
        ("\n<think>a</think> Hi", "Hi"),
    ],
)
def test_an_answer_that_begins_inside(text: str, expected: str) -> None:
    assert said([text], begins_inside=True) == expected
    assert said(list(text), begins_inside=True) == expected


def test_a_closing_mark_alone_is_remembered() -> None:
    first = ThoughtFilter()
    assert first.add("I should greet.") == "I should greet."
    assert first.add("</think>Hi") + first.rest() == "Hi"
    assert first.unopened
    plain = ThoughtFilter()
    plain.add("<think>a</think>Hi")
    assert not plain.unopened


def test_thoughts_that_come_apart_free_what_was_held() -> None:
    thoughts = ThoughtFilter(begins_inside=True)
    assert thoughts.add("Hi") == ""
    assert thoughts.thoughts_are_apart() == "Hi"
    assert thoughts.add(" there") == " there"


def test_text_is_not_held_longer_than_it_must_be() -> None:
    thoughts = ThoughtFilter()
    assert thoughts.add("Hello, ") == "Hello, "
    assert thoughts.add("a <") == "a "
    assert thoughts.add("b") == "<b"
