"""How long a pause has to be."""

from __future__ import annotations

import timeit
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.endpointing import Clues, log_odds_of_done, wait_ms
from antiphon.engine.language import language_of
from antiphon.engine.phrase import Expected
from antiphon.engine.policy import Endpointing

EN = language_of("en")
POLICY = Endpointing(min_ms=400, unknown_ms=600, max_ms=1600)
DONE, EVEN, OPEN = "i need to change my appointment", "what is it for", "i'd like to book a"

likely = st.none() | st.floats(0, 1)
texts = st.sampled_from([DONE, EVEN, OPEN, "", "yes", "five five five", "um"])
pauses = st.lists(st.integers(1, 20_000), max_size=12).map(tuple)
clues = st.builds(
    Clues,
    texts,
    likely,
    likely,
    st.sampled_from(["", "eager", "final"]),
    st.sampled_from(Expected),
    pauses,
)
policies = st.builds(
    lambda waits, habit: Endpointing(
        min_ms=waits[0], unknown_ms=waits[1], max_ms=waits[2], habit=habit
    ),
    st.tuples(st.integers(50, 2000), st.integers(50, 4000), st.integers(100, 8000)).map(sorted),
    st.floats(0, 3),
).filter(lambda policy: policy.min_ms <= 2000 and policy.unknown_ms <= 4000)


def heard(known: Clues, name: str, value: float) -> Clues:
    """The clues with one of the probabilities changed."""
    return replace(known, complete=value) if name == "complete" else replace(known, sounds=value)


def wait(known: Clues, policy: Endpointing = POLICY) -> int:
    return wait_ms(known, policy, EN)


def test_nothing_known_is_unknown() -> None:
    assert wait(Clues("")) == wait(Clues("", complete=0.9)) == POLICY.unknown_ms
    assert wait(Clues(EVEN)) == wait(Clues(EVEN, 0.5, 0.5)) == POLICY.unknown_ms


def test_surely_done_and_surely_not() -> None:
    assert wait(Clues(DONE, 1.0, 1.0)) == POLICY.min_ms
    assert wait(Clues(OPEN, 0.0, 0.0)) == POLICY.max_ms


def test_words_make_the_wait_short_or_long() -> None:
    assert wait(Clues(DONE)) < 410 < 1500 < wait(Clues(OPEN))
    assert wait(Clues("three one nine")) > 1500
    assert wait(Clues("yes", expected=Expected.YES_NO)) <= wait(Clues("yes")) < 410


def test_clues_that_contradict_each_other_are_weighed() -> None:
    assert wait(Clues(DONE)) < wait(Clues(DONE, sounds=0.3)) < wait(Clues(DONE, sounds=0.1))
    assert wait(Clues(OPEN)) > wait(Clues(OPEN, sounds=0.8))
    assert log_odds_of_done(Clues(EVEN, 0.7, 0.3), EN) == pytest.approx(0)


def test_the_recogniser_signals() -> None:
    for text in (DONE, EVEN, OPEN):
        assert wait(Clues(text)) >= wait(Clues(text, signal="eager"))
        assert wait(Clues(text, 0.0, 0.0, "final")) == POLICY.min_ms
    assert wait(Clues(EVEN, signal="eager")) < 410


def test_a_caller_who_pauses_is_waited_for() -> None:
    known = Clues(EVEN)
    habits = [(), (300,), (900,), (900, 900), (900,) * 8, (2000,) * 8]
    waits = [wait(replace(known, pauses_ms=habit)) for habit in habits]
    assert waits == sorted(waits)
    assert waits[0] == waits[1] == 600 < waits[2]
    assert waits[-1] <= 1.1 * POLICY.max_ms
    long = wait(replace(known, pauses_ms=(900,) * 8))
    assert long == wait(replace(known, pauses_ms=(100,) * 4 + (900,) * 8))
    # It is known that such a caller also ends.
    assert wait(Clues(DONE, pauses_ms=(900,) * 8)) < wait(Clues(DONE)) + 30
    off = replace(POLICY, habit=0.0)
    assert wait(replace(known, pauses_ms=(900,) * 8), off) == 600


@given(clues, policies)
def test_the_wait_is_bounded(known: Clues, policy: Endpointing) -> None:
    most = policy.max_ms if not policy.habit or not known.pauses_ms else 1.1 * policy.max_ms
    assert policy.min_ms <= wait(known, policy) <= round(most)


@given(clues, policies, st.floats(0, 1), st.floats(0, 1))
def test_more_likely_done_never_waits_longer(
    known: Clues, policy: Endpointing, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    for name in ("complete", "sounds"):
        less, more = heard(known, name, low), heard(known, name, high)
        assert wait(less, policy) >= wait(more, policy)
    assert wait(replace(known, signal=""), policy) >= wait(replace(known, signal="eager"), policy)


@given(clues, policies, st.floats(0, 0.999))
def test_there_is_no_cliff(known: Clues, policy: Endpointing, here: float) -> None:
    # The slope of the wait: at most three times that of a straight line over log-odds, which at the
    # bounds (0.02, 0.98) is steepest: 51 a unit of probability.
    step = 0.001
    most = policy.max_ms * 1.5 * 2 * 3 * 51 / 4 * step + 1
    for name in ("complete", "sounds"):
        before, after = heard(known, name, here), heard(known, name, here + step)
        assert abs(wait(before, policy) - wait(after, policy)) <= most


@given(clues, policies, st.integers(1, 20_000))
def test_habit_has_no_cliff_either(known: Clues, policy: Endpointing, pause: int) -> None:
    known = replace(known, pauses_ms=(*known.pauses_ms[-6:], pause))
    longer = replace(known, pauses_ms=(*known.pauses_ms[:-1], pause + 1))
    assert abs(wait(longer, policy) - wait(known, policy)) <= 25
    wider = replace(policy, habit=min(3.0, policy.habit + 0.001))
    assert 0 <= wait(known, wider) - wait(known, policy) <= 25


def test_it_is_cheap() -> None:
    known = Clues(OPEN, 0.4, 0.6, "eager", Expected.DIGITS, (300, 500, 700, 200, 900, 100, 400))
    best = min(timeit.repeat(lambda: wait(known), number=500, repeat=5)) / 500
    assert best < 200e-6  # about 7 on an idle machine, without a tracer
