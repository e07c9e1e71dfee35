"""The numbers that decide timing are documented, within bounds, and do not contradict."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from antiphon.engine.policy import Endpointing, Interruption, Phrases, Setup, Silence, TurnPolicy


def test_every_setting_is_documented_and_its_default_allowed() -> None:
    policy = TurnPolicy()
    for group in fields(policy):
        for item in fields(getattr(policy, group.name)):
            assert item.metadata["doc"].endswith("."), f"{group.name}.{item.name}"
    for item in fields(Phrases()):
        assert item.metadata["doc"], item.name


@pytest.mark.parametrize(
    ("group", "key", "value"),
    [
        ("endpointing", "min_ms", 49),
        ("endpointing", "min_confidence", 1.1),
        ("interruption", "duck_db", 1.0),
        ("dead_air", "tool_rounds", 0),
        ("silence", "check_ins", 11),
        ("speculation", "limit", 0),
        ("interruption", "far_db", -91.0),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(group: str, key: str, value: float) -> None:
    changed = replace(getattr(TurnPolicy(), group), **{key: value})
    with pytest.raises(ValueError, match=rf"{group}\.{key} is {value}; allowed is "):
        TurnPolicy(**{group: changed})


@pytest.mark.parametrize(
    ("group", "key", "allowed"),
    [
        ("endpointing", "mode", "automatic, stt, manual"),
        ("speculation", "prepare", "nothing, text, voice"),
        ("interruption", "speech", "interruptible, patient, protected"),
    ],
)
def test_a_word_that_is_no_choice_is_refused_by_name(group: str, key: str, allowed: str) -> None:
    changed = replace(getattr(TurnPolicy(), group), **{key: "autmatic"})
    with pytest.raises(ValueError, match=rf"^{group}\.{key} is 'autmatic'; allowed is {allowed}$"):
        TurnPolicy(**{group: changed})


def test_every_choice_is_allowed() -> None:
    policy = TurnPolicy()
    for group in fields(policy):
        part = getattr(policy, group.name)
        for item in fields(part):
            for choice in item.metadata.get("choices", ()):
                chosen = TurnPolicy(**{group.name: replace(part, **{item.name: choice})})
                assert getattr(getattr(chosen, group.name), item.name) == choice


@pytest.mark.parametrize(
    "waits", [{"min_ms": 600}, {"max_ms": 300}, {"unknown_ms": 100}, {"unknown_ms": 2500}]
)
def test_waits_that_contradict_are_refused(waits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="min_ms <= unknown_ms <= max_ms"):
        TurnPolicy(endpointing=Endpointing(**waits))


def test_a_setup_can_be_written_with_what_differs() -> None:
    setup = Setup(policy=TurnPolicy(silence=Silence(check_ins=0)))
    assert setup.policy.silence.check_ins == 0
    assert setup.policy.interruption == Interruption()
