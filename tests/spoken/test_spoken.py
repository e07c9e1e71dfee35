"""Text as a person reads it out, word by word."""

# A text and what is said for it stand on one line.
# ruff: noqa: E501
from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.spoken.text import Spoken, prepare, verbalise


def said(text: str, language: str = "en") -> str:
    return " ".join(word.spoken for word in verbalise(text, language) if word.spoken)


ENGLISH = [
    ("We have 3.50 and 1,000 and 10 000.", "We have three point five zero and one thousand and ten thousand."),
    ("It costs $12.50, or $1.", "It costs twelve dollars and fifty cents, or one dollar."),
    ("Only $0.99/month or $3.5 million!", "Only ninety-nine cents per month or three point five million dollars!"),
    ("That is 12,50 EUR.", "That is twelve euros and fifty cents."),
    ("Come at 7:30 p.m. on Nov 21.", "Come at seven thirty P M on November twenty-first."),
    ("It's 5 p.m. Then we go.", "It's five P M. Then we go."),
    ("At 19:30, 7:00 or 7:05 am.", "At seven thirty P M, seven o'clock or seven oh five A M."),
    ("On 2026-11-12, not 12/11/2026.", "On November twelfth, twenty twenty-six, not December eleventh, twenty twenty-six."),
    ("May 5, 2026 or 21 Nov 2026", "May fifth, twenty twenty-six or the twenty-first of November twenty twenty-six"),
    ("I may 3 times. Maybe.", "I may three times. Maybe."),
    ("Call +1 555 123 4567 now.", "Call plus one, five five five, one two three, four five six seven now."),
    ("Call 555-123-4567.", "Call five five five, one two three, four five six seven."),
    ("Call (212) 555-0100.", "Call two one two, five five five, zero one zero zero."),
    ("Call +15551234567.", "Call plus one, five five five, one two three, four five six seven."),
    ("Order 40-17 is ready.", "Order forty seventeen is ready."),
    ("order number 17-40, #40-07", "order number seventeen forty, number forty zero seven"),
    ("It takes 3-5 days, pages 10–20.", "It takes three to five days, pages ten to twenty."),
    ("Open 9:00-17:00, 9am-5pm, 12-2 pm.", "Open nine o'clock to five P M, nine A M to five P M, twelve to two P M."),
    ("10-15% off, $5-$10", "ten to fifteen percent off, five dollars to ten dollars"),
    ("In 1999, 2005 and the 1990s.", "In nineteen ninety-nine, two thousand and five and the nineteen nineties."),
    ("The 3rd floor.", "The third floor."),
    ("5 km at 60 km/h, 20°C, 1 kg.", "five kilometers at sixty kilometers per hour, twenty degrees Celsius, one kilogram."),
    ("The FBI, NASA, the USA and AT&T. OK?", "The F B I, NASA, the U S A and AT and T. OK?"),
    ("STOP NOW", "STOP NOW"),
    ("Write to bob.smith42@example.com.", "Write to bob dot smith forty-two at example dot com."),
    ("See https://www.example.com/menu?x=1 or example.org.", "See example dot com slash menu or example dot org."),
    ("PIN 4521, room 101, 0049.", "PIN four five two one, room one zero one, zero zero four nine."),
    ("Card 4111 1111 1111 1111.", "Card four one one one, one one one one, one one one one, one one one one."),
    ("1. First, do it.", "one. First, do it."),
    ("Dr. Smith, e.g. No. 5, etc.", "Doctor Smith, for example number five, et cetera."),
    ("I said no. Then yes.", "I said no. Then yes."),
    ("1/2, 3/4 and 2½ cups, 24/7", "one half, three quarters and two and one half cups, twenty-four seven"),
    ("Your code is AB12CD.", "Your code is A B twelve C D."),
    ("-3.5°F @ noon, -5 degrees", "minus three point five degrees Fahrenheit at noon, minus five degrees"),
    ("x = 5 + 3, ~5 and/or 5k", "x equals five plus three, about five and or five thousand"),
    ("Version 3.10.2 at 192.168.0.1", "Version three dot ten dot two at one nine two dot one six eight dot zero dot one"),
    ("Call 911, the ratio is 3:1.", "Call nine one one, the ratio is three to one."),
    ("COVID-19, abc123, gate B12", "COVID nineteen, abc one two three, gate B twelve"),
    ("On the 1st of May. A 12 oz. cup.", "On the first of May. A twelve ounces cup."),
    ("On 2026-11-12T19:30 and 1/12/26.", "On November twelfth, twenty twenty-six, seven thirty P M and January twelfth, twenty twenty-six."),
    ("It is $0.125 or -$3, 5 CHF, -5 EUR.", "It is zero point one two five dollars or minus three dollars, five Swiss francs, minus five euros."),
    ("$5 million, 3 million people", "five million dollars, three million people"),
    ("00:15, 2:00 pm, the 1980s", "twelve fifteen A M, two P M, the nineteen eighties"),
    ("1-800-555-0199, R2D2, U.S.", "one, eight zero zero, five five five, zero one nine nine, R two D two, U S."),
    ("123456789012345678 and 0.5", "one two three four five six seven eight nine zero one two three four five six seven eight and zero point five"),
    ("www.example.com, 45/13/2026, 2026-13-45", "example dot com, forty-five/thirteen/twenty twenty-six, two zero two six, thirteen, forty-five"),
    ("1/12 and 5/5", "one twelve and five five"),
    ('He said "$5" (10%) [3].', 'He said "five dollars" (ten percent) [three].'),
    ("No digits here, don't change it.", "No digits here, don't change it."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), ENGLISH)
def test_english(text: str, expected: str) -> None:
    assert said(text) == expected


OTHERS = [
    ("en-GB", "On 12/11/2026 for £5.50", "On the twelfth of November, twenty twenty-six for five pounds and fifty pence"),
    ("de", "Das kostet 12,50 EUR.", "Das kostet zwölf Euro fünfzig."),
    ("de", "Am 12. November, um 19:30 Uhr.", "Am zwölften November, um neunzehn Uhr dreißig."),
    ("de", "z. B. 1.234,5 km, ca. 3 Mio. Menschen", "zum Beispiel eintausendzweihundertvierunddreißig Komma fünf Kilometer, circa drei Millionen Menschen"),
    ("de", "1 Stunde und 5 %", "eine Stunde und fünf Prozent"),
    ("de", "12.11.2026, 1999, 3.50 Euro", "zwölfter November zweitausendsechsundzwanzig, neunzehnhundertneunundneunzig, drei Komma fünf null Euro"),
    ("de", "Nr. 5, 3. Klasse, Hr. Maier", "Nummer fünf, drei. Klasse, Herr Maier"),
    ("de", "+49 30 1234567", "plus vier neun, drei null, eins zwei drei vier fünf sechs sieben"),
    ("es", "21 euros, 31 km, 5 de mayo, 19:05, 7:00", "veintiún euros, treinta y un kilómetros, cinco de mayo, diecinueve cero cinco, siete en punto"),
    ("fr", "12 nov. 2026, le 1/12/2026, 21 h, 1re fois", "douze novembre deux mille vingt-six, le premier décembre deux mille vingt-six, vingt et une heures, première fois"),
    ("fr", "3,25 et 3,05", "trois virgule vingt-cinq et trois virgule zéro cinq"),
    ("de", "in der 3. Etage", "in der dritte Etage"),
    ("es", "Cuesta 12,50 € a las 19:30.", "Cuesta doce euros con cincuenta a las diecinueve treinta."),
    ("es", "Sra. García, 21 personas, 1ª vez", "señora García, veintiuna personas, primera vez"),
    ("es", "El 12/11/2026", "El doce de noviembre de dos mil veintiséis"),
    ("fr", "Cela coûte 12,50 € à 19h30.", "Cela coûte douze euros cinquante à dix-neuf heures trente."),
    ("fr", "Le 1er novembre 2026, 10 000 fois.", "Le premier novembre deux mille vingt-six, dix mille fois."),
    ("fr", "M. Dupont, 01 23 45 67 89", "Monsieur Dupont, zéro un, deux trois, quatre cinq, six sept, huit neuf"),
    ("xx", "Costs $5.", "Costs $5."),
]  # fmt: skip


@pytest.mark.parametrize(("language", "text", "expected"), OTHERS)
def test_other_languages(language: str, text: str, expected: str) -> None:
    assert said(text, language) == expected


def test_each_written_word_keeps_what_is_spoken_for_it() -> None:
    assert verbalise("at 7:30 p.m., call +1 555 123 4567", "en") == (
        Spoken("at", "at"),
        Spoken("7:30", "seven thirty P M,"),
        Spoken("p.m.,", ""),
        Spoken("call", "call"),
        Spoken("+1", "plus one,"),
        Spoken("555", "five five five,"),
        Spoken("123", "one two three,"),
        Spoken("4567", "four five six seven"),
    )


def test_a_voice_that_reads_numbers_itself_is_given_them() -> None:
    words = verbalise("It is $5.", "en", as_written=True)
    assert [word.spoken for word in words] == ["It", "is", "$5."]


ANYTHING = st.text(
    alphabet=st.sampled_from("0123456789 .,:-/+$€%#@°'\"()aApmMkKnNov hTz½–&\u00a0\n"), max_size=80
)


@settings(max_examples=500, deadline=None)
@given(text=ANYTHING, language=st.sampled_from(["en", "en-GB", "de", "es", "fr", "ja"]))
def test_any_text_keeps_its_words(text: str, language: str) -> None:
    words = verbalise(text, language)
    assert [word.written for word in words] == text.split()
    assert all(word.spoken == " ".join(word.spoken.split()) for word in words)
    if language != "ja":
        assert not any(char in "0123456789" for word in words for char in word.spoken)


@settings(max_examples=300, deadline=None)
@given(
    text=st.text(max_size=60), language=st.sampled_from(["en", "de", "es", "fr", "pt", "zh-Hant"])
)
def test_any_characters_can_be_read(text: str, language: str) -> None:
    assert [word.written for word in verbalise(text, language)] == text.split()


def test_its_libraries_are_loaded_when_it_is_used() -> None:
    prepare("en")
    code = "import sys, antiphon.spoken.text as t; print({'babel','num2words','phonenumbers'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
