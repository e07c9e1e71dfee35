"""Both speak: what the evidence means, and that there is always a way out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.language import language_of
from antiphon.engine.overlap import Decision, Evidence, Overlap, judge, words_of
from antiphon.engine.policy import Interruption

POLICY = Interruption()
W, P, S, R = Decision.WAIT, Decision.PAUSE, Decision.STOP, Decision.RESUME


def evidence(
    now_ms: int,
    ended_ms: int | None = None,
    text: str = "",
    final: bool = False,
    overlap: Overlap = Overlap.DUCKED,
    asked: bool = False,
) -> Evidence:
    """The caller began at 0."""
    return Evidence(overlap, now_ms, 0, ended_ms, text, final, asked, language_of("en"))


CASES: list[tuple[str, Evidence, Decision, str, int | None]] = [
    ("a sound just began", evidence(0), W, "speech", 300),
    ("it goes on: silence for the caller", evidence(300), P, "speech", None),
    ("silent and no words yet", evidence(600, overlap=Overlap.PAUSED), W, "unclear", 4500),
    ("far too long without a word", evidence(4500, overlap=Overlap.PAUSED), S, "unclear", None),
    ("held and no words yet", evidence(600, overlap=Overlap.HELD), W, "unclear", 4500),
    ("held far too long", evidence(4500, overlap=Overlap.HELD), S, "unclear", None),
    ("noise under protected patience", evidence(9000, overlap=Overlap.PATIENT), W, "patient", None),
    ("words at the very onset", evidence(100, text="stop"), W, "onset", 120),
    ("a stop word", evidence(120, text="No, wait"), S, "stop word", None),
    ("words", evidence(120, text="I want a latte"), S, "words", None),
    ("words after the end", evidence(90, 80, text="latte", final=True), S, "words", None),
    ("uh-huh so far", evidence(400, text="uh-huh"), W, "acknowledging", 1200),
    ("okay yeah right for long", evidence(1200, text="okay yeah"), S, "long", None),
    ("uh-huh, over", evidence(500, 400, "uh-huh", final=True), R, "backchannel", None),
    ("uh-huh, over, not final", evidence(500, 400, "uh-huh"), W, "backchannel", 1100),
    ("uh-huh, the STT is silent", evidence(1100, 400, "uh-huh"), R, "backchannel", None),
    ("a long acknowledgement", evidence(1300, 1250, "okay", final=True), S, "long", None),
    ("yes, to a question", evidence(500, 400, "yes", final=True, asked=True), S, "answer", None),
    ("yes, partly, to a question", evidence(500, text="yes", asked=True), S, "answer", None),
    ("a cough", evidence(500, 400, final=True), R, "no words", None),
    ("a cough, not final", evidence(500, 400), W, "no words", 1100),
    ("a cough, the STT is silent", evidence(1100, 400), R, "no words", None),
    ("a mumble", evidence(1600, 1500, final=True), S, "unclear", None),
    (
        "a mumble under a patient answer",
        evidence(1600, 1500, final=True, overlap=Overlap.PATIENT),
        R,
        "no words",
        None,
    ),
]


@pytest.mark.parametrize(
    ("given_", "decision", "why", "again_ms"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_what_the_evidence_means(
    given_: Evidence, decision: Decision, why: str, again_ms: int | None
) -> None:
    judgement = judge(given_, POLICY)
    assert (judgement.decision, judgement.why, judgement.again_ms) == (decision, why, again_ms)


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert words_of("Uh-huh, I'll TAKE _two_ 2.5!") == ["uh-huh", "i'll", "take", "two", "2", "5"]
    assert words_of("... -- !") == []


@given(
    overlap=st.sampled_from([Overlap.HELD, Overlap.DUCKED, Overlap.PAUSED, Overlap.PATIENT]),
    voiced_ms=st.integers(0, 10_000),
    text=st.sampled_from(["", "uh-huh", "yes okay", "stop", "a latte"]),
    final=st.booleans(),
    asked=st.booleans(),
)
def test_when_the_caller_is_silent_the_agent_never_stays_silent_too(
    overlap: Overlap, voiced_ms: int, text: str, final: bool, asked: bool
) -> None:
    now = Evidence(overlap, voiced_ms, 0, voiced_ms, text, final, asked)
    judgement = judge(now, POLICY)
    if judgement.decision is Decision.WAIT:
        assert judgement.again_ms is not None
        later = replace(now, now_ms=judgement.again_ms)
        assert judge(later, POLICY).decision in (Decision.STOP, Decision.RESUME)


@given(text=st.sampled_from(["", "uh-huh", "stop", "a latte"]), asked=st.booleans())
def test_a_paused_or_withheld_answer_is_decided_although_the_caller_never_ends(
    text: str, asked: bool
) -> None:
    for overlap in (Overlap.HELD, Overlap.PAUSED):
        now = Evidence(overlap, 0, 0, None, text, False, asked)
        for _ in range(5):
            judgement = judge(now, POLICY)
            if judgement.decision is not Decision.WAIT:
                break
            assert judgement.again_ms is not None
            assert judgement.again_ms > now.now_ms
            now = replace(now, now_ms=judgement.again_ms)
        assert judgement.decision is Decision.STOP
