"""Both speak: is it an interruption, an acknowledgement, or a noise?

From the caller's onset on the agent is lower (`DUCKED`), after a while silent (`PAUSED`); words, or
their absence, decide whether it stops or goes on. An answer that has not sounded yet is withheld
meanwhile (`HELD`). Every state has a way out, with or without a transcript.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from antiphon.engine.language import Language
from antiphon.engine.policy import Interruption


class Overlap(Enum):
    """What the agent's voice does because the caller speaks."""

    NONE = "none"
    HELD = "held"  # nothing was audible yet: the answer waits
    DUCKED = "ducked"  # lower
    PAUSED = "paused"  # silent, keeps its place
    PATIENT = "patient"  # unchanged: only words stop it, and nothing stops protected speech


class Decision(Enum):
    """What to do about it."""

    WAIT = "wait"
    PAUSE = "pause"
    STOP = "stop"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the caller's speech.

    `text` is the transcript so far, `final` whether it covers everything said; `asked` whether the
    agent has just asked something; `ended_ms` is None while the caller speaks.
    """

    overlap: Overlap
    now_ms: int
    started_ms: int
    ended_ms: int | None
    text: str
    final: bool
    asked: bool
    language: Language
    level_db: float | None = None  # of the caller's newest sound
    own_level_db: float | None = None  # the caller's usual level, once it is known
    echo: float = 0.0  # share of the newest sound that is the agent's own voice
    spoken: str = ""  # the agent's words of late, and those to come next


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision, why, and when to look again if nothing new arrives."""

    decision: Decision
    why: str
    again_ms: int | None = None


_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """The words of a text, lower case, without punctuation."""
    return _WORD.findall(text.lower())


def judge(evidence: Evidence, policy: Interruption) -> Judgement:
    """Decide, from all that is known now."""
    words = words_of(evidence.text)
    if not words:
        return _judge_sound(evidence, policy)
    voiced_ms = _voiced_ms(evidence)
    if evidence.ended_ms is None and voiced_ms < policy.min_words_ms:
        return Judgement(Decision.WAIT, "onset", evidence.started_ms + policy.min_words_ms)
    if any(w in policy.stop_words or w in evidence.language.stop_words for w in words):
        return Judgement(Decision.STOP, "stop word")
    known = {w for phrase in evidence.language.backchannels for w in phrase.split()}
    if any(word not in known and word not in policy.backchannels for word in words):
        return Judgement(Decision.STOP, "words")
    return _judge_acknowledgement(evidence, policy)


def _judge_acknowledgement(evidence: Evidence, policy: Interruption) -> Judgement:
    if evidence.asked:
        return Judgement(Decision.STOP, "answer")
    if _voiced_ms(evidence) >= policy.backchannel_max_ms:
        return Judgement(Decision.STOP, "long")
    if evidence.ended_ms is None:
        return Judgement(
            Decision.WAIT, "acknowledging", evidence.started_ms + policy.backchannel_max_ms
        )
    if evidence.final:
        return Judgement(Decision.RESUME, "backchannel")
    return _until(evidence, evidence.ended_ms + policy.resume_ms, Decision.RESUME, "backchannel")


def _judge_sound(evidence: Evidence, policy: Interruption) -> Judgement:
    """No words (yet)."""
    voiced_ms = _voiced_ms(evidence)
    if evidence.ended_ms is not None:
        if not evidence.final:
            return _until(
                evidence, evidence.ended_ms + policy.resume_ms, Decision.RESUME, "no words"
            )
        if voiced_ms >= policy.unclear_ms and evidence.overlap is not Overlap.PATIENT:
            return Judgement(Decision.STOP, "unclear")
        return Judgement(Decision.RESUME, "no words")
    if evidence.overlap is Overlap.DUCKED:
        return _until(evidence, evidence.started_ms + policy.pause_ms, Decision.PAUSE, "speech")
    if evidence.overlap is Overlap.PATIENT:
        return Judgement(Decision.WAIT, "patient")
    # Silent for a caller who speaks on without a word understood: give up waiting for words.
    return _until(evidence, evidence.started_ms + 3 * policy.unclear_ms, Decision.STOP, "unclear")


def _until(evidence: Evidence, at_ms: int, decision: Decision, why: str) -> Judgement:
    if evidence.now_ms >= at_ms:
        return Judgement(decision, why)
    return Judgement(Decision.WAIT, why, at_ms)


def _voiced_ms(evidence: Evidence) -> int:
    end_ms = evidence.now_ms if evidence.ended_ms is None else evidence.ended_ms
    return end_ms - evidence.started_ms
