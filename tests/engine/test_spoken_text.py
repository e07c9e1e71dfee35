"""Written text becomes what a voice can speak, whatever the size of the pieces it comes in."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antiphon.engine.spoken_text import Segmenter, speakable


def segments(text: str, size: int | None = None) -> list[str]:
    """Segments of a text written in pieces of `size` characters, at once when None."""
    segmenter = Segmenter()
    step = size or max(1, len(text))
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    out = [segment for piece in pieces for segment in segmenter.push(piece)]
    return out + segmenter.flush()


CUTS = [
    ("It is ready. Come over. Bye.", ["It is ready.", "Come over.", "Bye."]),
    ("A small one, with milk, and sugar.", ["A small one,", "with milk, and sugar."]),
    ("Well, yes, I can do that, sure.", ["Well, yes, I can do that,", "sure."]),
    ("Let me see - it is here. Yes.", ["Let me see -", "it is here.", "Yes."]),
    ("The short- and the long one.", ["The short- and the long one."]),
    ("One two three: four; five.", ["One two three:", "four; five."]),
    (
        "The price is 3.5 dollars. Or 1,000 pounds.",
        ["The price is 3.5 dollars.", "Or 1,000 pounds."],
    ),
    ("We sold 1,000 cups at 3.5 each.", ["We sold 1,000 cups at 3.5 each."]),
    (
        "Write to bob.smith@example.com. Then wait.",
        ["Write to bob.smith@example.com.", "Then wait."],
    ),
    (
        "See https://example.com/a.b?c=1,2 now. Go.",
        ["See https://example.com/a.b?c=1,2 now.", "Go."],
    ),
    ("We have tea, e.g. green tea. Fine.", ["We have tea,", "e.g. green tea.", "Fine."]),
    (
        "Please see Dr. Smith at 5 p.m. today. Bye.",
        ["Please see Dr. Smith at 5 p.m. today.", "Bye."],
    ),
    ('Ask for "Mr. Jones" there. Bye.', ['Ask for "Mr. Jones" there.', "Bye."]),
    ("The U.S. team won. Yes.", ["The U.S. team won.", "Yes."]),
    ("My name is J. Smith. Hello.", ["My name is J. Smith.", "Hello."]),
    ("So am I. Good.", ["So am I.", "Good."]),
    ("No. The kitchen is closed.", ["No.", "The kitchen is closed."]),
    ("Well... I think so. Yes.", ["Well...", "I think so.", "Yes."]),
    ("Really?! Yes! Sure.", ["Really?!", "Yes!", "Sure."]),
    ('He said "Go." Then he left.', ['He said "Go."', "Then he left."]),
    ("1. Espresso.\n2. Latte.\n", ["1. Espresso.", "2. Latte."]),
    ("In 1999. After that, no.", ["In 1999.", "After that, no."]),
    ("- tea\n- coffee\n* milk\n", ["tea.", "coffee.", "milk."]),
    ("First line\nSecond line", ["First line", "Second line"]),
    ("It ends here. ", ["It ends here."]),
    ("No end in sight", ["No end in sight"]),
    ("Come at 5 p.m. We are open.", ["Come at 5 p.m.", "We are open."]),
    ("Tea, milk, etc. Also cake.", ["Tea, milk, etc.", "Also cake."]),
    ("We sell at Acme Inc. here. Yes.", ["We sell at Acme Inc. here.", "Yes."]),
    ("It is No. 5 of 7. No. That is all.", ["It is No. 5 of 7.", "No.", "That is all."]),
    ("Come on Nov. 21 at ten. Bye.", ["Come on Nov. 21 at ten.", "Bye."]),
    ("Am 3. Oktober, ja. Gut.", ["Am 3. Oktober,", "ja.", "Gut."]),
    ("Der 2. und der 3. Mai sind frei.", ["Der 2. und der 3. Mai sind frei."]),
    ("Ich bin in der 3. Etage, ja. Gut.", ["Ich bin in der 3. Etage,", "ja.", "Gut."]),
    ("I count to 42. Then I stop.", ["I count to 42.", "Then I stop."]),
    ("We sold 10 000 cups, then 5.", ["We sold 10 000 cups,", "then 5."]),
    ("Please press 1, 2 or 3, please.", ["Please press 1, 2 or 3,", "please."]),
    ("Please call 555 - 1234 now - thanks.", ["Please call 555 - 1234 now -", "thanks."]),
    ("See [the menu. Now](https://a.b/c d) there. Bye.", ["See the menu. Now there.", "Bye."]),
    ("Antwort: z. B. so. Gut.", ["Antwort: z. B. so.", "Gut."]),
    ("好的。请稍等！好", ["好的。", "请稍等！", "好"]),
    ("# The menu\n- tea\n- coffee, black\n", ["The menu.", "tea.", "coffee, black."]),
    (
        "| Size | Price |\n|---|:-:|\n| Small | $3.50 |\n",
        ["Size, Price.", "Small, $3.50."],
    ),
    ("- [ ] wash up\n- [x] dry. Really.\n", ["wash up.", "dry.", "Really."]),
    ("😀😀", []),
    ("...", []),
    ("", []),
]


@pytest.mark.parametrize(("text", "expected"), CUTS)
@pytest.mark.parametrize("size", [None, 1, 3])
def test_text_is_cut_where_a_speaker_would_breathe(
    text: str, expected: list[str], size: int | None
) -> None:
    assert segments(text, size) == expected


SPOKEN = [
    ("**Bold**, __strong__ and *soft* _words_", "Bold, strong and soft words"),
    ("~~not~~ this, `code` too", "not this, code too"),
    ("snake_case and 2*3*4 stay", "snake_case and 2*3*4 stay"),
    ("[our menu](https://example.com/menu)", "our menu"),
    ("![a cup](cup.png)", "a cup"),
    ("# Title", "Title"),
    ("> quoted", "quoted"),
    ("• dot", "dot"),
    ("Nice! 😀 Really 👍🏽", "Nice! Really"),
    ("a 👨\u200d👩\u200d👧 and a ☎️ here", "a and a here"),
    ("20°C or 5 €", "20°C or 5 €"),
    ("naïve café, schön", "naïve café, schön"),
    ("  many \t spaces\n here ", "many spaces here"),
    ("```python\nprint(1)\n```\nDone", "print(1) Done"),
    ("```\nx = 1\n```", "x = 1"),
    ("<p>Hello<br/>there &amp; <b>now</b></p><!-- no -->", "Hello there & now"),
    ("if a < b and b > c", "if a < b and b > c"),
    ("a <div class='x", "a"),
    ("\ue000 private \x00", "private"),
    ("---", ""),
    ("?!", ""),
]


@pytest.mark.parametrize(("text", "spoken"), SPOKEN)
def test_what_cannot_be_spoken_is_left_out(text: str, spoken: str) -> None:
    assert speakable(text) == spoken


@pytest.mark.parametrize("size", [None, 1, 2, 5])
def test_code_is_not_read_out(size: int | None) -> None:
    text = "Try this.\n```python\nprint('A. b')\n\nx = " + "y" * 500 + "\n```\nDone. Call `f`."
    assert segments(text, size) == ["Try this.", "Done.", "Call f."]
    assert segments("```one. line```\nDone.", size) == ["one. line", "Done."]


def test_a_segment_goes_out_as_soon_as_its_end_is_certain() -> None:
    segmenter = Segmenter()
    assert segmenter.push("It is ready.") == []  # "ready.com" is still possible
    assert segmenter.push(" ") == ["It is ready."]
    assert segmenter.push("Come, now") == []
    assert segmenter.push(", please. ") == ["Come, now, please."]
    assert segmenter.flush() == []


def test_a_monologue_without_punctuation_is_cut_between_words() -> None:
    words = [f"word{i}" for i in range(200)]
    cut = segments(" ".join(words), 7)
    assert len(cut) > 4
    assert max(map(len, cut)) <= 280
    assert " ".join(cut).split() == words


def test_one_endless_word_does_not_fill_the_memory() -> None:
    cut = segments("x" * 1000, 10)
    assert max(map(len, cut)) <= 290
    assert "".join(cut) == "x" * 1000


WORDS = st.sampled_from(
    ["hello", "3.5", "1,000", "e.g.", "Dr.", "a@b.co", "http://x.yz/q?a=1", "U.S.", "I.", "no.",
     "well...", "why?!", "yes,", "and;", "it:", '"so."', "(right)", "café", "o'clock", "2.", "x"]
)  # fmt: skip


@given(
    words=st.lists(WORDS, min_size=1, max_size=60),
    joints=st.lists(st.sampled_from([" ", " ", " ", "\n", " - "]), min_size=60, max_size=60),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=20),
)
@example(words=["x"], joints=[" "] * 60, sizes=[1])
def test_no_word_is_lost_or_doubled_however_the_text_arrives(
    words: list[str], joints: list[str], sizes: list[int]
) -> None:
    text = "".join(word + joint for word, joint in zip(words, joints, strict=False))
    segmenter, out, at, turn = Segmenter(), [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        out += segmenter.push(text[at : at + size])
        at, turn = at + size, turn + 1
    out += segmenter.flush()
    assert all(out)
    assert bare(" ".join(out)) == bare(speakable(text)) == bare(" ".join(words))


PIECES = st.sampled_from(
    [" ", " ", " ", "\n", ". ", ", ", "hello", "Then", "so", "3.", "3,", "1. ", "12", "Dr.", "p.m.",
     "etc.", "No.", "May", " - ", "```", "```\n", "| a | b |\n", "- ", "# ", "**", "[a", "](b)",
     "<break time=\"1s\"/>", "<sub alias='x. y'>", "</sub>", "<prosody rate='slow'>", "</prosody>",
     "<", ">", "&amp;", "…", "。", '"', "wordwithoutend" * 9, "👍", "é"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(pieces=st.lists(PIECES, max_size=80), sizes=st.lists(st.integers(1, 40), min_size=1))
def test_text_is_cut_at_the_same_places_however_it_arrives(
    pieces: list[str], sizes: list[int]
) -> None:
    text = "".join(pieces)
    segmenter, out, at = Segmenter(), [], 0
    for size in itertools.cycle(sizes):
        if at >= len(text):
            break
        out += segmenter.push(text[at : at + size])
        at += size
    assert out + segmenter.flush() == segments(text)


@given(text=st.text(max_size=600), size=st.integers(1, 40))
def test_any_text_at_all_can_be_cut(text: str, size: int) -> None:
    for segment in segments(text, size):
        assert segment == segment.strip() != ""
        assert any(char.isalnum() for char in segment)


TAGGED = [
    (
        'Hello. <break time="500ms"/> I mean it. Bye.',
        ["Hello.", '<break time="500ms"/> I mean it.', "Bye."],
    ),
    (
        "Hello there<BREAK time='1s' />, you. Bye.",
        ['Hello there, <break time="1s"/>', "you.", "Bye."],
    ),
    ('Hi.\n<break time="1s"/>\nBye.', ["Hi.", '<break time="1s"/> Bye.']),
    (
        'The <sub alias="a. b. c.">W3C of. It</sub> is. Yes.',
        ['The <sub alias="a. b. c.">W3C of. It</sub> is.', "Yes."],
    ),
    (
        '<speak><prosody rate="slow">One. Two</prosody> three.</speak>',
        [
            '<prosody rate="slow">One.</prosody>',
            '<prosody rate="slow">Two</prosody> three.',
        ],
    ),
    ("<emphasis>Now</emphasis>. Go.", ["<emphasis>Now</emphasis>.", "Go."]),
    ('Never <say-as interpret-as="x">ends. Bye.', ["Never ends. Bye."]),
    ("Lost </prosody> end.", ["Lost end."]),
    ('Half a <break time="500ms', ["Half a"]),
    ('Half a <prosody rate="slow" and more. Bye.', ["Half a and more. Bye."]),
    ("A <voice name='Ann'>b</voice> c.", ['A <voice name="Ann">b</voice> c.']),
    ('<audio src="http://x.y/z.mp3"/>Sure.', ["Sure."]),
]


@pytest.mark.parametrize(("text", "expected"), TAGGED)
@pytest.mark.parametrize("size", [None, 1, 7])
def test_a_tag_is_never_cut_and_ends_in_its_segment(
    text: str, expected: list[str], size: int | None
) -> None:
    assert segments(text, size) == expected


def test_a_long_first_clause_is_cut_where_words_join() -> None:
    text = "word " * 14 + "and " + "more " * 30
    first = segments(text, 3)[0]
    assert first == ("word " * 14).strip()
    digits = "the number is " + "12 345 678 " * 20
    assert all(
        not (a[-1].isdigit() and b[0].isdigit()) for a, b in pairs(segments("a " * 55 + digits)[:2])
    )


def pairs(items: list[str]) -> list[tuple[str, str]]:
    return list(itertools.pairwise(items))


def bare(text: str) -> list[str]:
    """The words of a text without the joints between them, and the full stops of lists."""
    return [word.rstrip(".") for word in text.split() if re.search(r"\w", word)]


def test_a_hyphen_that_belongs_to_a_word_ends_no_clause() -> None:
    text = "Would you rather have a twenty- or a thirty-minute appointment, or none?"
    segmenter = Segmenter()
    cut = [*segmenter.push(text), *segmenter.flush()]
    assert cut[0] == "Would you rather have a twenty- or a thirty-minute appointment,"


def test_what_was_uncertain_is_cut_when_the_text_is_whole() -> None:
    segmenter = Segmenter()
    assert segmenter.push("It is at 5. We") == []
    assert segmenter.flush() == ["It is at 5.", "We"]
