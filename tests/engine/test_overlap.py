"""Both speak: what the evidence means, and that there is always a way out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.language import language_of, words_of
from antiphon.engine.overlap import Decision, Evidence, Judgement, Overlap, is_echo, judge
from antiphon.engine.policy import Interruption

POLICY = Interruption(
    pause_ms=1000,
    min_words_ms=120,
    resume_ms=600,
    backchannel_max_ms=1200,
    unclear_ms=1500,
    far_db=-38.0,
)
W, P, S, R, X = Decision.WAIT, Decision.PAUSE, Decision.STOP, Decision.RESUME, Decision.IGNORE
HELD, DUCKED, PAUSED, PATIENT = Overlap.HELD, Overlap.DUCKED, Overlap.PAUSED, Overlap.PATIENT
FAR, NEAR = -45.0, -20.0
SPOKEN = "we have a large latte, a mocha and espresso to go would you like to stop by"


def evidence(
    now_ms: int,
    text: str = "",
    *,
    ended_ms: int | None = None,
    final: bool = False,
    overlap: Overlap = DUCKED,
    asked: bool = False,
    level_db: float | None = None,
    own_level_db: float | None = None,
    echo: float = 0.0,
    spoken: str = "",
) -> Evidence:
    """The caller began at 0."""
    return Evidence(
        overlap,
        now_ms,
        0,
        ended_ms,
        text,
        final,
        asked,
        language_of("en"),
        level_db,
        own_level_db,
        echo,
        spoken,
    )


def over(
    now_ms: int,
    ended_ms: int,
    text: str = "",
    *,
    final: bool = True,
    overlap: Overlap = DUCKED,
    asked: bool = False,
    level_db: float | None = None,
    echo: float = 0.0,
) -> Evidence:
    """The caller spoke from 0 to `ended_ms`."""
    return evidence(
        now_ms,
        text,
        ended_ms=ended_ms,
        final=final,
        overlap=overlap,
        asked=asked,
        level_db=level_db,
        echo=echo,
    )


Case = tuple[str, Evidence, Decision, str, int | None]

SOUND: list[Case] = [
    ("a sound just began", evidence(0), W, "speech", 1000),
    ("it goes on near by", evidence(1000, level_db=NEAR), P, "speech", None),
    ("silent and no words yet", evidence(1100, overlap=PAUSED), W, "unclear", 4500),
    ("far too long without a word", evidence(4500, overlap=PAUSED), S, "unclear", None),
    ("held and no words yet", evidence(600, overlap=HELD), W, "unclear", 4500),
    ("held far too long", evidence(4500, overlap=HELD), S, "unclear", None),
    ("noise under patience", evidence(9000, overlap=PATIENT), W, "patient", None),
    ("a cough", over(500, 400), R, "no words", None),
    ("a cough, not final", over(500, 400, final=False), W, "no words", 1000),
    ("a cough, the STT is silent", over(1000, 400, final=False), X, "no words", None),
    ("and still silent", over(1000, 400, final=False, overlap=PATIENT), W, "no words", 2900),
    ("and for good", over(2900, 400, final=False, overlap=PATIENT), R, "no words", None),
    ("a mumble", over(1600, 1500), S, "unclear", None),
    ("a mumble and patience", over(1600, 1500, overlap=PATIENT), R, "no words", None),
    ("a television", evidence(100, level_db=FAR), W, "far", 400),
    ("a television goes on", evidence(400, level_db=FAR), X, "far", None),
    ("a television, answer held", evidence(400, level_db=FAR, overlap=HELD), X, "far", None),
    ("a television was ignored", evidence(900, level_db=FAR, overlap=PATIENT), W, "patient", None),
    ("a television falls silent", over(3000, 2900, level_db=FAR), R, "far", None),
    ("paused for one far off", evidence(900, level_db=FAR, overlap=PAUSED), W, "far", 1500),
    ("paused too long", evidence(1500, level_db=FAR, overlap=PAUSED), X, "far", None),
    ("loud, but not the caller", evidence(400, level_db=-33, own_level_db=-20), X, "far", None),
    ("soft as ever", evidence(400, level_db=-43, own_level_db=-40), W, "speech", 1000),
    ("the agent itself", evidence(400, level_db=NEAR, echo=0.9), X, "echo", None),
    ("a long echo", over(3000, 2900, level_db=NEAR, echo=0.9), R, "echo", None),
]

WORDS: list[Case] = [
    ("words at the very onset", evidence(100, "stop"), W, "onset", 120),
    ("a stop word", evidence(120, "No, wait"), S, "stop word", None),
    ("a stop word far off", evidence(300, "stop", level_db=FAR), S, "stop word", None),
    ("a stop word and patience", evidence(300, "stop", overlap=PATIENT), S, "stop word", None),
    ("words", evidence(120, "I want a latte"), S, "words", None),
    ("words after the end", over(90, 80, "two lattes"), S, "words", None),
    ("words far off", evidence(500, "two lattes", level_db=FAR), X, "far", None),
    ("more words far off", evidence(500, "two lattes please", level_db=FAR), S, "words", None),
    ("words far off, final", over(700, 500, "two lattes", level_db=FAR), S, "words", None),
    (
        "words far off, an answer",
        evidence(500, "two lattes", level_db=FAR, asked=True),
        S,
        "words",
        None,
    ),
    ("a word of a speech with a pause", evidence(300, "latte", final=True), P, "word", None),
    ("I, after a pause", evidence(200, "I", final=True), W, "acknowledging", 300),
    ("words and patience", evidence(500, "two lattes", overlap=PATIENT), S, "words", None),
    ("an acknowledgement and more", evidence(500, "okay a latte please"), S, "words", None),
    ("a word", evidence(200, "latte"), P, "word", None),
    ("a word, paused", evidence(300, "latte", overlap=PAUSED), W, "words", 1500),
    ("a word, no more of it", evidence(1500, "latte", overlap=PAUSED), S, "words", None),
    ("a word, answer held", evidence(200, "latte", overlap=HELD), W, "words", 1500),
    ("a word and patience", evidence(200, "latte", overlap=PATIENT), W, "words", 1500),
    ("a word, over", over(500, 400, "latte", final=False), P, "word", None),
    (
        "a word, over, paused",
        over(500, 400, "latte", final=False, overlap=PAUSED),
        W,
        "words",
        1000,
    ),
    (
        "a word, the STT is silent",
        over(1000, 400, "latte", final=False, overlap=PAUSED),
        S,
        "words",
        None,
    ),
    ("a word, final", over(500, 400, "latte"), S, "words", None),
    ("a word that was none", over(500, 400, overlap=PAUSED), R, "no words", None),
    ("a word far off", evidence(300, "latte", level_db=FAR), W, "far", 400),
    ("a word far off, final", over(500, 400, "latte", level_db=FAR), R, "far", None),
    (
        "a soft answer",
        over(500, 400, "latte", asked=True, level_db=FAR),
        S,
        "words",
        None,
    ),
    (
        "a soft answer so far",
        evidence(300, "latte", asked=True, level_db=FAR),
        P,
        "word",
        None,
    ),
]

ACKNOWLEDGEMENTS: list[Case] = [
    ("uh-huh so far", evidence(400, "uh-huh"), W, "acknowledging", 1200),
    ("okay yeah right for long", evidence(1200, "okay yeah right"), S, "long", None),
    ("uh-huh, over", over(500, 400, "uh-huh"), R, "backchannel", None),
    ("uh-huh, not final", over(500, 400, "uh-huh", final=False), W, "backchannel", 1000),
    ("uh-huh, the STT is silent", over(1000, 400, "uh-huh", final=False), R, "backchannel", None),
    ("a long acknowledgement", over(1300, 1250, "okay"), S, "long", None),
    ("yes, to a question", over(500, 400, "yes", asked=True), S, "answer", None),
    ("yes, partly, to a question", evidence(500, "yes", asked=True), S, "answer", None),
    ("uh-huh and patience", over(500, 400, "uh-huh", overlap=PATIENT), R, "backchannel", None),
    ("uh-huh behind an echo", evidence(3000, "uh-huh", echo=0.8), X, "echo", None),
    ("I", evidence(200, "I"), W, "acknowledging", 300),
    ("I, and on it goes", evidence(300, "I"), P, "word", None),
    ("I see", over(700, 500, "I see.", overlap=PAUSED), R, "backchannel", None),
    ("all, over", over(500, 400, "all", final=False), P, "word", None),
    ("all, final", over(500, 400, "all"), S, "words", None),
    ("okay, all", evidence(250, "okay, all"), W, "acknowledging", 300),
    ("all right, got", evidence(250, "all right got"), W, "acknowledging", 300),
    ("got the", evidence(300, "got the"), S, "words", None),
]

OWN: list[Case] = [
    ("the agent's words", evidence(400, "a large latte", spoken=SPOKEN), X, "own words", None),
    ("of them a stop word", evidence(400, "like to stop by", spoken=SPOKEN), X, "own words", None),
    (
        "not all were understood",
        evidence(400, "have latte a mocha", spoken=SPOKEN),
        X,
        "own words",
        None,
    ),
    ("the other way round", evidence(400, "latte large", spoken=SPOKEN), S, "words", None),
    ("far apart", evidence(400, "a espresso", spoken=SPOKEN), S, "words", None),
    ("and one more", evidence(400, "a large latte please", spoken=SPOKEN), S, "words", None),
    (
        "garbled in an echo",
        evidence(400, "a barge latte a mocha", spoken=SPOKEN, echo=0.7),
        X,
        "own words",
        None,
    ),
    (
        "the caller's own within an echo",
        evidence(400, "can you please hurry a mocha", spoken=SPOKEN, echo=0.7),
        S,
        "words",
        None,
    ),
    ("one near", evidence(400, "mocha", spoken=SPOKEN, level_db=NEAR), P, "word", None),
    ("one in an echo", evidence(400, "stop", spoken=SPOKEN, echo=0.7), X, "own words", None),
    (
        "an echo, and then the caller",
        evidence(400, "a large latte a mocha no thanks", spoken=SPOKEN, echo=0.7),
        S,
        "stop word",
        None,
    ),
    (
        "chosen from the question",
        evidence(400, "large latte", spoken=SPOKEN, asked=True, level_db=NEAR),
        S,
        "words",
        None,
    ),
    (
        "the question itself",
        evidence(400, "would you like to", spoken=SPOKEN, asked=True, level_db=NEAR),
        X,
        "own words",
        None,
    ),
]
CASES = [*SOUND, *WORDS, *ACKNOWLEDGEMENTS, *OWN]


@pytest.mark.parametrize(
    ("given_", "decision", "why", "again_ms"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_what_the_evidence_means(
    given_: Evidence, decision: Decision, why: str, again_ms: int | None
) -> None:
    assert judge(given_, POLICY) == Judgement(decision, why, again_ms)


@pytest.mark.parametrize("text", ["Mm-hm.", "mm hmm", "mhmm", "uhhuh", "uh huh", "Okey", "yeahhh"])
def test_acknowledgements_are_spelled_in_many_ways(text: str) -> None:
    assert judge(over(500, 400, text), POLICY).why == "backchannel"


def test_an_agent_has_acknowledgements_and_stop_words_of_its_own() -> None:
    policy = replace(POLICY, backchannels=("roger that", "?"), stop_words=("zum teufel",))
    assert judge(over(500, 400, "Roger that!"), policy).decision is R
    assert judge(evidence(200, "roger"), policy).why == "acknowledging"
    assert judge(evidence(200, "zum Teufel"), policy).why == "stop word"
    assert judge(over(500, 400, "Roger that!"), POLICY).decision is S


def test_a_turn_in_the_agents_words_is_an_echo() -> None:
    assert is_echo("We have a large latte", SPOKEN, garbled=False)
    assert not is_echo("large latte", SPOKEN, garbled=False)  # an answer
    assert not is_echo("we have a lard latte", SPOKEN, garbled=False)
    assert is_echo("we have a lard latte", SPOKEN, garbled=True)
    assert not is_echo("we have a large latte for me", SPOKEN, garbled=True)


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert words_of("Uh-huh, I'll TAKE _two_ 2.5!") == ["uh-huh", "i'll", "take", "two", "2", "5"]
    assert words_of("... -- !") == []


TEXTS = ["", "uh-huh", "yes okay", "i", "stop", "latte", "a latte", "large latte a mocha"]


@given(
    overlap=st.sampled_from([HELD, DUCKED, PAUSED, PATIENT]),
    voiced_ms=st.integers(0, 10_000),
    text=st.sampled_from(TEXTS),
    final=st.booleans(),
    asked=st.booleans(),
    level_db=st.sampled_from([None, FAR, NEAR]),
    echo=st.sampled_from([0.0, 0.9]),
)
def test_when_the_caller_is_silent_the_agent_never_stays_silent_too(
    overlap: Overlap,
    voiced_ms: int,
    text: str,
    final: bool,
    asked: bool,
    level_db: float | None,
    echo: float,
) -> None:
    now = evidence(
        voiced_ms,
        text,
        ended_ms=voiced_ms,
        final=final,
        overlap=overlap,
        asked=asked,
        level_db=level_db,
        echo=echo,
        spoken=SPOKEN,
    )
    judgement = judge(now, POLICY)
    if judgement.decision is P:
        now = replace(now, overlap=PAUSED)
        judgement = judge(now, POLICY)
    if judgement.decision is W:
        assert judgement.again_ms is not None
        assert judgement.again_ms <= voiced_ms + (2500 if overlap is PATIENT else 800)
        judgement = judge(replace(now, now_ms=judgement.again_ms), POLICY)
    assert judgement.decision in (S, R, X)


@given(
    text=st.sampled_from(TEXTS),
    asked=st.booleans(),
    level_db=st.sampled_from([None, FAR, NEAR]),
    echo=st.sampled_from([0.0, 0.9]),
    overlap=st.sampled_from([HELD, PAUSED]),
)
def test_a_paused_or_withheld_answer_is_decided_although_the_caller_never_ends(
    text: str, asked: bool, level_db: float | None, echo: float, overlap: Overlap
) -> None:
    now = evidence(
        0, text, overlap=overlap, asked=asked, level_db=level_db, echo=echo, spoken=SPOKEN
    )
    for _ in range(5):
        judgement = judge(now, POLICY)
        if judgement.decision is not W:
            break
        assert judgement.again_ms is not None
        assert judgement.again_ms > now.now_ms
        now = replace(now, now_ms=judgement.again_ms)
    assert judgement.decision in (S, X)


@given(
    now_ms=st.integers(0, 10_000),
    text=st.sampled_from(["", "mhm", "latte", "large latte a mocha"]),
    weak=st.sampled_from([(FAR, 0.0), (NEAR, 0.9)]),
    ended=st.booleans(),
)
def test_what_is_far_or_an_echo_never_silences_the_agent(
    now_ms: int, text: str, weak: tuple[float, float], ended: bool
) -> None:
    level_db, echo = weak
    judgement = judge(
        evidence(
            now_ms,
            text,
            ended_ms=now_ms if ended else None,
            final=ended,
            level_db=level_db,
            echo=echo,
            spoken=SPOKEN,
        ),
        POLICY,
    )
    assert judgement.decision not in (P, S)
