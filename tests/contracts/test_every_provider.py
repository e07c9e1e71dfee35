"""What holds for every provider of every kind."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from antiphon.providers.base import AgentHints, ProviderOptions

if TYPE_CHECKING:
    from tests.contracts.conftest import Candidate


def test_options_refuse_what_they_do_not_know(candidate: Candidate) -> None:
    options = type(candidate.make()).Options
    assert issubclass(options, ProviderOptions)
    with pytest.raises(ValidationError):
        options.model_validate({"no_such_option": 1})
    with pytest.raises(ValidationError):
        options.model_validate(candidate.options).no_such_option = 1


def test_making_one_does_no_work_that_needs_a_loop(candidate: Candidate) -> None:
    provider = type(candidate.make())
    provider(provider.Options.model_validate(candidate.options), AgentHints(language="en"))


async def test_it_starts_and_closes_twice_and_leaves_no_task(candidate: Candidate) -> None:
    provider = candidate.make()
    for _ in range(2):
        await provider.start()
        await provider.aclose()
        await provider.aclose()
    gc.collect()
    assert asyncio.all_tasks() == {asyncio.current_task()}
