"""Which tags reach the voice, and the text without them."""

from __future__ import annotations

import pytest

from antiphon.engine import ssml


def test_tags_are_no_words() -> None:
    text = 'So <break time="1s"/> <prosody rate="slow">he <sub alias="x">y</sub></prosody> said.'
    assert ssml.written(text) == ["So", "he", "y", "said."]
    assert ssml.plain("a < b") == "a < b"
    assert ssml.plain("one<break/>two") == "one two"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<b>so</b>", "so"),
        ("<PROSODY rate='x-slow' bad>a</PROSODY>", '<prosody rate="x-slow">a</prosody>'),
        ("a<br>b", "a b"),
        ("1 < 2", "1 < 2"),
        ("x <y then", "x <y then"),
        ("<!-- no -->a<?xml version='1'?>", "a"),
        ("<prosody/>a", "a"),
        ('a <break time="1s"', "a "),
    ],
)
def test_every_other_tag_is_taken_out(text: str, expected: str) -> None:
    assert ssml.clean(text) == expected


def test_what_is_open_goes_on_in_the_next_segment() -> None:
    still_open: list[str] = []
    assert ssml.balance('<lang xml:lang="de">a', still_open) == '<lang xml:lang="de">a</lang>'
    assert ssml.balance("b<emphasis>c", still_open) == (
        '<lang xml:lang="de">b<emphasis>c</emphasis></lang>'
    )
    assert still_open == ['<lang xml:lang="de">', "<emphasis>"]
    assert ssml.balance("d</emphasis></lang></lang>", still_open) == (
        '<lang xml:lang="de"><emphasis>d</emphasis></lang>'
    )
    assert not still_open
