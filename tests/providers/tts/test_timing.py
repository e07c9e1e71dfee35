from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.providers.tts.timing import onto_written
from antiphon.types import Word


def test_as_many_words_are_the_same_words() -> None:
    told = [("hello", 10.0, 200.0), ("there", 200.0, 512.0)]
    assert onto_written("Hello, there!", told, 500) == (
        Word("Hello,", 10, 200),
        Word("there!", 200, 500),
    )


@pytest.mark.parametrize(
    ("text", "told", "expected"),
    [
        ("I — think", [("I", 0, 100), ("think", 100, 300)], [(0, 100), (100, 100), (100, 300)]),
        ("twenty-one men", [("twenty", 0, 300), ("one", 300, 400), ("men", 400, 600)], None),
        ("to day", [("today", 0, 500)], [(0, 200), (200, 500)]),
        ("21 men", [("twenty", 0, 300), ("one", 300, 400), ("men", 400, 600)], None),
    ],
)
def test_words_that_are_joined_split_or_respelled(
    text: str, told: list[tuple[str, float, float]], expected: list[tuple[int, int]] | None
) -> None:
    found = onto_written(text, told, 600)
    assert [word.text for word in found] == text.split()
    assert found[0].start_ms == 0
    assert found[-1].end_ms == told[-1][2]
    if expected is not None:
        assert [(word.start_ms, word.end_ms) for word in found] == expected


def test_nothing_told_is_nothing() -> None:
    assert onto_written("Hello.", [], 100) == ()
    assert onto_written("", [("Hello", 0, 100)], 100) == ()


@given(
    st.text(alphabet="ab,. é", max_size=30),
    st.lists(
        st.tuples(
            st.text(alphabet="ab'", min_size=1, max_size=6),
            st.floats(-100, 9000),
            st.floats(-100, 9000),
        ),
        max_size=8,
    ),
)
def test_words_are_those_written_and_times_never_go_back(
    text: str, told: list[tuple[str, float, float]]
) -> None:
    found = onto_written(text, told, 5000)
    assert [word.text for word in found] == (text.split() if told else [])
    times = [moment for word in found for moment in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert all(0 <= moment <= 5000 for moment in times)
