"""Written text becomes what a voice can speak, whatever the size of the pieces it comes in."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
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
    ("- tea\n- coffee\n* milk\n", ["tea", "coffee", "milk"]),
    ("First line\nSecond line", ["First line", "Second line"]),
    ("It ends here. ", ["It ends here."]),
    ("No end in sight", ["No end in sight"]),
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
    ("---", ""),
    ("?!", ""),
]


@pytest.mark.parametrize(("text", "spoken"), SPOKEN)
def test_what_cannot_be_spoken_is_left_out(text: str, spoken: str) -> None:
    assert speakable(text) == spoken


def test_the_name_of_a_code_fence_is_not_read_out() -> None:
    assert segments("Try this.\n```python\nprint(1)\n```\nDone.") == [
        "Try this.",
        "print(1)",
        "Done.",
    ]


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


@given(text=st.text(max_size=600), size=st.integers(1, 40))
def test_any_text_at_all_can_be_cut(text: str, size: int) -> None:
    for segment in segments(text, size):
        assert segment == segment.strip() != ""
        assert any(char.isalnum() for char in segment)


def bare(text: str) -> list[str]:
    """The words of a text without the joints between them."""
    return [word for word in text.split() if re.search(r"\w", word)]
