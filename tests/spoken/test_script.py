"""What a voice is given for a segment, with tags and without."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antiphon.engine.spoken_text import Segmenter
from antiphon.engine.ssml import written
from antiphon.spoken.script import script


def parts(segment: str) -> list[tuple[int, str]]:
    return [(part.pause_ms, part.text) for part in script(segment, "en", takes_ssml=False).parts]


def document(segment: str, **options: bool) -> str:
    (part,) = script(segment, "en", takes_ssml=True, **options).parts
    return part.text


def test_a_break_is_a_pause_between_two_parts() -> None:
    assert parts('Hello. <break time="500ms"/> It is $5.') == [
        (0, "Hello."),
        (500, "It is five dollars."),
    ]
    assert parts('<break time="1.5s"/> Hello.') == [(1500, "Hello.")]
    assert script('Bye. <break strength="strong"/>', "en", takes_ssml=False).pause_ms == 700


@pytest.mark.parametrize(
    ("attributes", "pause_ms"),
    [
        ('time="3600s"', 10_000),
        ('time="long"', 400),
        ("", 400),
        ('strength="none"', 0),
        ('time="0.25s"', 250),
    ],
)
def test_a_pause_has_a_sensible_length(attributes: str, pause_ms: int) -> None:
    assert parts(f"a <break {attributes}/> b".replace(" /", "/"))[1][0] == pause_ms


def test_tags_never_reach_a_voice_that_does_not_take_them() -> None:
    text = (
        '<prosody rate="slow">The <sub alias="World Wide Web">W 3 C</sub></prosody>, code '
        '<say-as interpret-as="characters">AB1</say-as>, '
        '<say-as interpret-as="date">Nov 21</say-as>.'
    )
    assert parts(text) == [(0, "The World Wide Web, code A B 1, November twenty-first.")]
    (part,) = script(text, "en", takes_ssml=False).parts
    assert [word.written for word in part.words] == written(text)


def test_a_voice_that_takes_tags_gets_a_document() -> None:
    assert document("Tea & <5 cups.") == "<speak>Tea and less than five cups.</speak>"
    assert document("a < b && c", as_written=True) == "<speak>a &lt; b &amp;&amp; c</speak>"
    text = 'So <break time="1s"/> <say-as interpret-as="date">12/11/2026</say-as> costs $5.'
    assert document(text) == f"<speak>{text.replace('$5', 'five dollars')}</speak>"
    result = script(text, "en", takes_ssml=True)
    assert [word.written for word in result.parts[0].words] == written(text)


def test_a_segment_that_says_nothing_has_one_silent_part() -> None:
    assert parts("") == [(0, "")]


PIECES = (
    *("one ", "$5 ", "3 - 5 ", "A", "<", ">", "&", " ", ".", '<break time="1s"/>', "<emphasis>"),
    *("</emphasis>", "<sub alias='x y'>", "</sub>", '<say-as interpret-as="digits">', "</say-as>"),
)
MARKUP = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@settings(max_examples=300, deadline=None)
@given(text=MARKUP)
@example(
    text="$5 AAAAAAAAAAAA<emphasis>" + "<sub alias='x y'>" * 2 + "<say-as a='digits'>" * 3 + "<"
)
@example(text="A" * 119 + "<sub alias='x y'>z</sub>")
def test_the_words_of_a_script_are_those_of_the_history(text: str) -> None:
    segmenter = Segmenter()
    for segment in segmenter.push(text) + segmenter.flush():
        for takes_ssml in (False, True):
            made = script(segment, "en", takes_ssml=takes_ssml)
            assert [w.written for part in made.parts for w in part.words] == written(segment)
            if not takes_ssml:
                assert not any("break" in part.text or "alias" in part.text for part in made.parts)
