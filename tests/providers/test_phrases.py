from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from antiphon.engine.endpointing import Clues, log_odds_of_done, wait_ms
from antiphon.engine.language import language_of
from antiphon.engine.phrase import Expected
from antiphon.engine.policy import Endpointing
from antiphon.providers.base import AgentHints
from antiphon.providers.turn.phrases import PhraseOptions, PhraseTurn

TEXTS = ("", "i would like to", "yes", "a large latte please.", "four one five five", "and?")


async def test_what_it_says_changes_no_wait() -> None:
    stream = PhraseTurn(PhraseOptions(), AgentHints()).open()
    stream.feed(bytes(640))
    sounds = await stream.predict()
    language, policy = language_of("en"), Endpointing()
    for text, complete, signal, expected in itertools.product(
        TEXTS, (None, 0.2, 0.9), ("", "eager", "final"), Expected
    ):
        without = Clues(text, complete, None, signal, expected, (300, 700))
        with_it = replace(without, sounds=sounds)
        assert log_odds_of_done(with_it, language) == pytest.approx(
            log_odds_of_done(without, language)
        )
        assert wait_ms(with_it, policy, language) == wait_ms(without, policy, language)
        # It is this value that means nothing; any other one counts.
        if text != "four one five five":
            assert log_odds_of_done(replace(without, sounds=0.6), language) > log_odds_of_done(
                without, language
            )
