"""Both speak: is it an interruption, an acknowledgement, or a noise?

From the caller's onset on the agent is lower (`DUCKED`). Words decide: one that is no
acknowledgement silences the agent (`PAUSED`, it can still go on), a second one or the final
transcript stops it; a stop word does so at once. Sound alone only pauses it, and only sound that is
near and not the agent's own voice coming back. An answer that has not sounded yet is withheld
meanwhile (`HELD`). Every state has a way out, with or without a transcript.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from antiphon.engine.language import Language, words_of
from antiphon.engine.policy import Interruption


class Overlap(Enum):
    """What the agent's voice does because the caller speaks."""

    NONE = "none"
    HELD = "held"  # nothing was audible yet: the answer waits
    DUCKED = "ducked"  # lower
    PAUSED = "paused"  # silent, keeps its place
    PATIENT = "patient"  # unchanged: only words stop it, and nothing stops protected speech


class Decision(Enum):
    """What to do about it. `IGNORE`: the agent's voice is as it was (`PATIENT`) although the sound
    goes on; `RESUME`: and the caller's turn is over too."""

    WAIT = "wait"
    PAUSE = "pause"
    STOP = "stop"
    RESUME = "resume"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the caller's speech.

    `text` is the transcript so far, `final` whether it covers everything said before the last pause
    (all there is, once the caller is silent); `asked` whether the agent has just asked something;
    `ended_ms` is None while the caller speaks.
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


ECHO_SHARE = 0.5
"""From here on the sound is taken for the agent's own."""
_FAR_BELOW_DB = 12.0
"""A voice so much below the caller's usual level is somebody else's, further away."""
_IGNORE_MS = 400
"""Sound in the background lowers the agent for no longer than this."""
_LATE_MS = 2500
"""How long after the caller's last sound words may still come."""
_MAYBE_MS = 300
"""How long the beginning of an acknowledgement ("I" of "I see") is waited for to become one."""
_SKIPPED = 2
"""Words of the agent that the recogniser may miss between two that it heard, in longer speech."""
_GARBLED = 0.6
"""In sound that is an echo, so many of the words have to be the agent's for all to be."""
_DOUBTED_WORDS = 2
"""So many words may be made of the agent's own voice, or of somebody's in the background, before
the recogniser has heard it all."""
_OTHER_WORDS = 2
"""So many words before or after the agent's are somebody else's."""
_ANSWER_WORDS = 3
"""An answer in the words of the question ("the large one") is at most so long."""

_HUM = re.compile(r"[mhuna]+")
_REPEATED = re.compile(r"(.)\1+")
_DRAWN_OUT = re.compile(r"(.)\1\1+")


def asks_to_hold(text: str, language: Language) -> bool:
    """Whether the caller asked for a moment ("hold on")."""
    said = " ".join(words_of(text))
    return any(phrase in said for phrase in language.hold)


def judge(evidence: Evidence, policy: Interruption) -> Judgement:
    """Decide, from all that is known now."""
    text = evidence.text
    weak = _weakness(evidence, policy)
    said = _read(text, evidence.language, policy.stop_words, policy.backchannels) if text else None
    if said is None or not said.words:
        return _judge_sound(evidence, policy, weak)
    if _are_own(said.words, evidence, weak):
        return _judge_sound(evidence, policy, "own words")
    speaking = evidence.ended_ms is None
    if speaking and _voiced_ms(evidence) < policy.min_words_ms:
        return Judgement(Decision.WAIT, "onset", evidence.started_ms + policy.min_words_ms)
    if said.stops:
        return Judgement(Decision.STOP, "stop word")
    whole = evidence.final and not speaking
    if not said.rest or (said.begun and not whole):
        return _judge_acknowledgement(evidence, policy, weak, begun=said.begun)
    believed = not weak or evidence.asked
    if said.rest > (1 if believed or whole else _DOUBTED_WORDS) or (whole and believed):
        return Judgement(Decision.STOP, "words")
    return _judge_word(evidence, policy, weak)


# ---- words -------------------------------------------------------------------------------------


def _judge_word(evidence: Evidence, policy: Interruption, weak: str) -> Judgement:
    """One word that is no acknowledgement: enough to fall silent, not to give up the answer."""
    if weak and not evidence.asked:
        return _judge_sound(evidence, policy, weak)
    if evidence.overlap is Overlap.DUCKED:
        return Judgement(Decision.PAUSE, "word")
    if evidence.ended_ms is not None:
        return _until(evidence, evidence.ended_ms + policy.resume_ms, Decision.STOP, "words")
    return _until(evidence, evidence.started_ms + policy.unclear_ms, Decision.STOP, "words")


def _judge_acknowledgement(
    evidence: Evidence, policy: Interruption, weak: str, *, begun: bool
) -> Judgement:
    """Nothing but acknowledgements, the last of them perhaps only `begun`."""
    if begun and evidence.ended_ms is None:
        maybe_ms = evidence.started_ms + _MAYBE_MS
        if evidence.now_ms >= maybe_ms:
            return _judge_word(evidence, policy, weak)
        return Judgement(Decision.WAIT, "acknowledging", maybe_ms)
    if begun:
        return _judge_word(evidence, policy, weak)
    if evidence.asked:
        return Judgement(Decision.STOP, "answer")
    if weak:
        return _judge_sound(evidence, policy, weak)
    if _voiced_ms(evidence) >= policy.backchannel_max_ms:
        return Judgement(Decision.STOP, "long")
    if evidence.ended_ms is None:
        return Judgement(
            Decision.WAIT, "acknowledging", evidence.started_ms + policy.backchannel_max_ms
        )
    if evidence.final:
        return Judgement(Decision.RESUME, "backchannel")
    return _until(evidence, evidence.ended_ms + policy.resume_ms, Decision.RESUME, "backchannel")


def _are_own(words: tuple[str, ...], evidence: Evidence, weak: str) -> bool:
    """Whether the words are the agent's, come back: several of them in the agent's order, or one
    in a sound that is no near voice."""
    if len(words) == 1 and not weak:
        return False
    if evidence.asked and not weak and len(words) <= _ANSWER_WORDS:
        return False
    needed = len(words) * _GARBLED if evidence.echo >= ECHO_SHARE else len(words)
    return _follow(words, evidence.spoken, needed)


def is_echo(text: str, spoken: str, *, garbled: bool) -> bool:
    """Whether a text is nothing but several words that the agent has `spoken`, in their order;
    `garbled`: most of them are enough."""
    words = tuple(words_of(text))
    if len(words) <= _ANSWER_WORDS:
        return False
    return _follow(words, spoken, len(words) * (_GARBLED if garbled else 1))


# Judged on each event of an overlap, while the words on both sides change seldom.
@lru_cache(maxsize=256)
def _follow(words: tuple[str, ...], spoken: str, needed: float) -> bool:
    """Whether so many of the words follow each other, nearly, in the agent's words. What a
    recogniser garbles is scattered: several words before or after those of the agent are the
    caller's."""
    theirs, ours = _spoken_words(spoken), set(words)
    if sum(word in theirs for word in words) < needed:
        return False
    skipped = _SKIPPED if len(words) > _ANSWER_WORDS else 0
    for start in [at for at, word in enumerate(theirs) if word in ours]:
        at, count, before, after = start, 0, 0, 0
        for word in words:
            window = theirs[at : at + 1 + (skipped if count else 0)]
            if word in window:
                at += window.index(word) + 1
                count, after = count + 1, 0
            elif count:
                after += 1
            else:
                before += 1
        if count >= needed and max(before, after) < _OTHER_WORDS:
            return True
    return False


@lru_cache(maxsize=64)
def _spoken_words(text: str) -> tuple[str, ...]:
    return tuple(words_of(text))


@dataclass(frozen=True, slots=True)
class _Said:
    """A transcript: whether there is a word that stops in it; how many words there are from the
    first on that acknowledges nothing, 0 for none; whether those may become an acknowledgement yet
    ("all" of "all right")."""

    words: tuple[str, ...]
    stops: bool
    rest: int
    begun: bool


@lru_cache(maxsize=256)
def _read(
    text: str, language: Language, stop_words: tuple[str, ...], backchannels: tuple[str, ...]
) -> _Said:
    words = tuple(words_of(text))
    plain = [_plain(word) for word in words]
    stops = _phrases(language.stop_words, stop_words)
    known = _phrases(language.backchannels, backchannels)
    at = 0
    while at < len(plain) and (length := known.length_at(plain, at)):
        at += length
    rest = tuple(plain[at:])
    found = any(stops.length_at(plain, start) for start in range(len(plain)))
    return _Said(words, found, len(rest), bool(rest) and rest in known.beginnings)


class _Phrases:
    """Phrases as words in plain spelling."""

    def __init__(self, texts: Iterable[str]) -> None:
        split = (tuple(_plain(word) for word in words_of(text)) for text in texts)
        self._phrases = frozenset(phrase for phrase in split if phrase)
        self._longest = max(map(len, self._phrases), default=0)
        self.beginnings = frozenset(
            phrase[:end] for phrase in self._phrases for end in range(1, len(phrase))
        )

    def length_at(self, words: list[str], at: int) -> int:
        """Words of the longest phrase that begins there, 0 for none."""
        for length in range(min(self._longest, len(words) - at), 0, -1):
            if tuple(words[at : at + length]) in self._phrases:
                return length
        return 0


@lru_cache(maxsize=64)
def _phrases(ours: frozenset[str], theirs: tuple[str, ...]) -> _Phrases:
    """Phrases of a language and of an agent."""
    return _Phrases((*ours, *theirs))


def _plain(word: str) -> str:
    """A word without what recognisers spell differently: "uhhuh" is "uh-huh", "okey" "okay"."""
    word = word.replace("-", "").replace("'", "")
    if _HUM.fullmatch(word):
        return _REPEATED.sub(r"\1", word)
    return _DRAWN_OUT.sub(r"\1", word).replace("okey", "okay")


# ---- sound -------------------------------------------------------------------------------------


def _judge_sound(evidence: Evidence, policy: Interruption, weak: str) -> Judgement:
    """No words (yet), or none that count."""
    voiced_ms = _voiced_ms(evidence)
    if evidence.ended_ms is not None:
        why, patient = weak or "no words", evidence.overlap is Overlap.PATIENT
        if not evidence.final:
            if patient and not weak:  # the recogniser may be slow, or another one has stepped in
                return _until(evidence, evidence.ended_ms + _LATE_MS, Decision.RESUME, why)
            # The agent is heard again; what was said may still be understood.
            decision = Decision.RESUME if weak else Decision.IGNORE
            return _until(evidence, evidence.ended_ms + policy.resume_ms, decision, why)
        if voiced_ms >= policy.unclear_ms and not (patient or weak):
            return Judgement(Decision.STOP, "unclear")
        return Judgement(Decision.RESUME, why)
    if evidence.overlap is Overlap.PATIENT:
        return Judgement(Decision.WAIT, "patient")
    if weak:
        # Who was near enough to silence the agent is given longer: this may be a breath.
        paused = evidence.overlap is Overlap.PAUSED
        patience_ms = policy.unclear_ms if paused else _IGNORE_MS
        return _until(evidence, evidence.started_ms + patience_ms, Decision.IGNORE, weak)
    if evidence.overlap is Overlap.DUCKED:
        return _until(evidence, evidence.started_ms + policy.pause_ms, Decision.PAUSE, "speech")
    # Silent for a caller who speaks on without a word understood: give up waiting for words.
    return _until(evidence, evidence.started_ms + 3 * policy.unclear_ms, Decision.STOP, "unclear")


def _weakness(evidence: Evidence, policy: Interruption) -> str:
    """Why the sound is no near voice of the caller's: `echo`, `far`; or empty."""
    if evidence.echo >= ECHO_SHARE:
        return "echo"
    if evidence.level_db is None:
        return ""
    usual_db = evidence.own_level_db
    least_db = policy.far_db if usual_db is None else usual_db - _FAR_BELOW_DB
    return "far" if evidence.level_db < least_db else ""


def _until(evidence: Evidence, at_ms: int, decision: Decision, why: str) -> Judgement:
    if evidence.now_ms >= at_ms:
        return Judgement(decision, why)
    return Judgement(Decision.WAIT, why, at_ms)


def _voiced_ms(evidence: Evidence) -> int:
    end_ms = evidence.now_ms if evidence.ended_ms is None else evidence.ended_ms
    return end_ms - evidence.started_ms
