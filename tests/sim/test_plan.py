"""Plans: drawn from a seed, and such that every word can be followed."""

from __future__ import annotations

from collections import Counter
from random import Random

from antiphon.sim.plan import Kind, draw_plan, means_something


def test_all_sorts_of_people_call() -> None:
    kinds = Counter(draw_plan(Random(seed)).kind for seed in range(500))
    assert set(kinds) == set(Kind)
    assert min(kinds.values()) > 20


def test_words_that_mean_something_occur_once_in_a_call() -> None:
    for seed in range(200):
        plan = draw_plan(Random(seed))
        words = [w for a in plan.acts for p in a.phrases for w in p.words]
        words += [w for a in plan.acts for w in a.typed.split()]
        counted = Counter(word for word in words if means_something(word))
        assert not [word for word, count in counted.items() if count > 1]


def test_what_the_agent_says_means_nothing_in_this_sense() -> None:
    for word in ("7.30", "40-17", "12.50", "seats:", "", "mm-hm"):
        assert not means_something(word)
    assert means_something("coffee12")
