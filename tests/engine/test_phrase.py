"""Whether words look complete, and what a question asks for."""

from __future__ import annotations

import pytest

from antiphon.engine.language import language_of
from antiphon.engine.phrase import Expected, Reading, expected_after, log_odds, read

ANY, YES_NO, DIGITS, CODE, SPELLING = Expected


def complete(text: str, expected: Expected = ANY, tag: str = "en") -> float:
    likely = read(text, expected, language_of(tag)).complete
    assert likely is not None
    return likely


@pytest.mark.parametrize("text", ["", "  ", "...", "?!", "¿"])
def test_no_words_say_nothing(text: str) -> None:
    assert read(text, ANY, language_of("en")) == Reading(None)


# ---- phrases -------------------------------------------------------------------------------

OPEN = {
    "en": """i'd like to book a|my car is in the|because|i was going to ask if|it's about my|
        send it to my wife and|i'd like|can i have|could you|i want to|he|um|
        i would like uh|is it possible to|we're looking at a large|the second|a two hour|
        i need a ten minute|it depends on whether|tell me|i'll have|i live at|she went with""",
    "de": """ich hätte gern eine|mein auto steht in der|und|ich wollte fragen ob|können sie|weil|
        ich brauche einen neuen|äh|ich möchte mit|ich möchte zum""",
    "es": """quiero una|mi coche está en el|porque|quisiera|me puede|para mi|eh|necesito un gran""",
    "fr": """je voudrais une|ma voiture est dans le|parce que|euh|pouvez-vous|je cherche un petit|
        c'est pour ma|avec""",
}
DONE = {
    "en": """i'd like to book a table for two|my car is in the garage|turn it off|yes|no thanks|
        that's all|what time do you open|hold on|it is too large|i don't know|stop|
        could you send me the invoice|what is it for|i know who you are|never mind|
        it costs more than it was|the one on the left is good|i don't think so|
        yes i do|what's that for|extra large|hang on a second|the fifteenth of may|none of those|
        whatever you have|i need to change my appointment""",
    "de": """ich hätte gern einen tisch für zwei personen|mein auto steht in der garage|ja|
        nein danke|das ist alles|moment|wann haben sie morgen geöffnet|das ist zu groß""",
    "es": """quiero una mesa para dos personas|mi coche está en el taller|sí|no gracias|
        eso es todo|un momento|a qué hora abren mañana""",
    "fr": """je voudrais une table pour deux personnes|ma voiture est au garage ce soir|oui|
        non merci|c'est tout|un instant|à quelle heure ouvrez-vous demain""",
}


def _each(lists: dict[str, str]) -> list[tuple[str, str]]:
    return [(tag, " ".join(one.split())) for tag, text in lists.items() for one in text.split("|")]


@pytest.mark.parametrize(("tag", "text"), _each(OPEN))
def test_a_phrase_that_wants_more_is_incomplete(tag: str, text: str) -> None:
    assert complete(text, tag=tag) <= 0.25


@pytest.mark.parametrize(("tag", "text"), _each(DONE))
def test_a_phrase_that_could_be_all_is_not(tag: str, text: str) -> None:
    assert complete(text, tag=tag) >= 0.5


@pytest.mark.parametrize("tag", OPEN)
def test_on_the_whole_the_two_are_far_apart(tag: str) -> None:
    ends = [complete(text, tag=one) for one, text in _each(DONE) if one == tag]
    pauses = [complete(text, tag=one) for one, text in _each(OPEN) if one == tag]
    assert sum(ends) / len(ends) > sum(pauses) / len(pauses) + 0.5


def test_more_words_are_rather_a_whole_sentence() -> None:
    lengths = [complete(" ".join(["word"] * count)) for count in range(1, 9)]
    assert lengths == sorted(lengths)
    assert lengths[0] < 0.55 < 0.75 < lengths[-1]


@pytest.mark.parametrize("answer", ["yes", "no", "Yeah.", "that's right", "nope"])
def test_an_answer_that_was_asked_for_is_surely_all(answer: str) -> None:
    assert complete(answer, YES_NO) >= 0.94
    assert complete(answer, YES_NO) > complete(answer)


def test_an_attribute_alone_answers_a_question() -> None:
    assert complete("large") >= 0.5 > complete("a large")
    assert complete("a one hour") > 0.5  # "one" counts nothing: "an hour" ends phrases


def test_punctuation_moves_the_odds() -> None:
    text = "i will take the car"
    in_order = [complete(text + mark) for mark in ("...", " -", ",", "", ".", "?")]
    assert in_order == sorted(in_order)
    assert len(set(in_order)) == len(in_order)
    assert complete("i’d like") == complete("I'd like")


# ---- dictation -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("digits", "low", "high"),
    [(3, 0, 0.15), (6, 0, 0.15), (8, 0, 0.15), (12, 0, 0.15), (4, 0.3, 0.5), (7, 0.4, 0.6),
     (10, 0.85, 1), (11, 0.85, 1), (16, 0.9, 1)],
)  # fmt: skip
def test_a_number_is_whole_by_its_length(digits: int, low: float, high: float) -> None:
    spoken = " ".join(["seven"] * digits)
    for text in (spoken, "7" * digits, f"my number is {spoken}", "um " + spoken, spoken + " uh"):
        reading = read(text, ANY, language_of("en"))
        assert reading.dictated, text
        assert reading.complete is not None
        assert low <= reading.complete <= high


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("five five five one two three four", 7),
        ("double five five one two three four", 7),
        ("triple five one two three four", 7),
        ("fifty five five twelve thirty four", 7),
        ("twenty three four five six seven eight", 7),
        ("twenty-three four five six seventy-eight", 7),
        ("555-1234", 7),
        ("555 12 34", 7),
    ],
)
def test_digits_are_counted(text: str, digits: int) -> None:
    assert complete(text) == complete(" ".join(["one"] * digits))


def test_a_number_that_was_asked_for_is_given_whole() -> None:
    assert complete("five five", DIGITS) < 0.15
    assert complete("five five double", DIGITS) < 0.1
    assert complete("one two three four", DIGITS) < complete("one two three four")
    assert complete(" ".join(["five"] * 10), DIGITS) >= 0.85
    assert not read("i have it here somewhere", DIGITS, language_of("en")).dictated


def test_a_code_is_short() -> None:
    assert complete("one two three four", CODE) >= 0.85
    assert complete("12345", CODE) >= 0.85
    assert complete("one two", CODE) < 0.1 > complete("one double", CODE)
    assert complete("one two three", CODE) < 0.5


@pytest.mark.parametrize(
    "text",
    ["a table for two", "tomorrow at three thirty", "at 3:30", "it was in twenty twelve", "two",
     "three thirty", "room 204", "double", "plan b"],
)  # fmt: skip
def test_numbers_in_speech_are_not_dictated(text: str) -> None:
    assert not read(text, ANY, language_of("en")).dictated


def test_national_numbers_have_their_own_lengths() -> None:
    nine = "seis uno dos tres cuatro cinco seis siete ocho"
    assert complete(nine, DIGITS, "es") > 0.8 > complete("seven " * 9, DIGITS)
    french = "zéro six douze trente-quatre cinquante-six soixante-treize"
    assert complete("06 12 34 56 78", DIGITS, "fr") > 0.9
    assert (
        complete(french, DIGITS, "fr")
        > 0.9
        > 0.15
        > complete(french.rpartition(" ")[0], DIGITS, "fr")
    )


def test_letters_are_spelled() -> None:
    for text in ("s m i t", "a b 1 2", "s as in sierra m as in mike t", "bravo charlie"):
        reading = read(text, ANY, language_of("en"))
        assert reading.complete is not None, text
        assert reading.complete < 0.6, text
    assert read("s m i", ANY, language_of("en")).dictated
    assert read("s", SPELLING, language_of("en")).dictated
    assert complete("s m i t h j o n e s", SPELLING) > complete("s m", SPELLING)


@pytest.mark.parametrize(
    "text", ["john dot smith at", "john dot", "john@", "john at example dot", "john underscore"]
)
def test_an_address_goes_on(text: str) -> None:
    assert complete(text, SPELLING) < 0.1


@pytest.mark.parametrize(
    "text", ["john dot smith at example dot com", "john@example.com", "it's john@example.co.uk."]
)
def test_an_address_is_whole(text: str) -> None:
    assert complete(text, SPELLING) >= 0.9
    assert complete(text) >= 0.9


def test_half_an_address_is_incomplete() -> None:
    assert complete("john at example", SPELLING) < 0.2
    assert complete("look at the one i sent") >= 0.5  # nobody asked for an address
    assert read("12 main street", SPELLING, language_of("en")) == Reading(0.5, dictated=True)
    assert not read("12 main street", ANY, language_of("en")).dictated


# ---- questions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tag", "expected"),
    [
        ("", "en", ANY),
        ("...", "en", ANY),
        ("How can I help?", "en", ANY),
        ("I have booked it.", "en", ANY),
        ("How many people?", "en", ANY),
        ("What's your phone number?", "en", DIGITS),
        ("Can you give me your card number, please?", "en", DIGITS),
        ("Please tell me your PIN code.", "en", CODE),
        ("What are the last four digits of your account number?", "en", CODE),
        ("Wie ist Ihre Postleitzahl?", "de", CODE),
        ("¿Cuál es su código postal?", "es", CODE),
        ("Quel est votre code postal ?", "fr", CODE),
        ("What is your phone number? I will look it up.", "en", DIGITS),
        ("Is your phone number 555 1234?", "en", YES_NO),
        ("A table for two at eight, is that right?", "en", YES_NO),
        ("Would you like a receipt?", "en", YES_NO),
        ("Could you spell that for me?", "en", SPELLING),
        ("And your e-mail address?", "en", SPELLING),
        ("What’s the name on the booking?", "en", SPELLING),
        ("Is it urgent? Well, I will send somebody.", "en", YES_NO),
        ("Wie lautet Ihre Telefonnummer?", "de", DIGITS),
        ("Möchten Sie eine Quittung?", "de", YES_NO),
        ("Können Sie das buchstabieren?", "de", SPELLING),
        ("¿Cuál es su número de teléfono?", "es", DIGITS),
        ("¿Quiere un recibo?", "es", YES_NO),
        ("Puede deletrear su apellido, por favor?", "es", SPELLING),
        ("Quel est votre numéro de téléphone ?", "fr", DIGITS),
        ("Voulez-vous un reçu ?", "fr", YES_NO),
        ("Pouvez-vous épeler votre nom ?", "fr", SPELLING),
    ],
)
def test_a_question_expects(text: str, tag: str, expected: Expected) -> None:
    assert expected_after(text, language_of(tag)) is expected


def test_log_odds_are_bounded() -> None:
    assert log_odds(0.5) == 0
    assert log_odds(0.9) == pytest.approx(-log_odds(0.1))
    assert log_odds(1) == log_odds(0.99) == pytest.approx(-log_odds(0))
