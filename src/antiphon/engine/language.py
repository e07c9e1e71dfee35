"""What turn-taking has to know of a language: words that acknowledge, that stop, that go on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """Word lists of one language, lower case.

    `backchannels` are whole phrases ("got it"), `hold` phrases that ask for a moment ("hold on").
    """

    backchannels: frozenset[str]
    stop_words: frozenset[str]
    hold: frozenset[str]


_ENGLISH = Language(
    backchannels=frozenset(
        (
            "mm", "hm", "mhm", "hmm", "mm-hm", "mmhm", "uh", "huh", "uh-huh", "ah", "oh", "yeah",
            "yep", "yes", "right", "okay", "ok", "sure", "i see", "got it", "good", "great",
            "wow", "really", "alright", "all right", "fine", "cool",
        )
    ),
    stop_words=frozenset(("stop", "wait", "no", "hold", "cancel", "sorry", "actually")),
    hold=frozenset(("hold on", "one moment", "just a moment", "just a second", "wait a minute")),
)  # fmt: skip


def language_of(tag: str) -> Language:
    """The lists of a language by its BCP 47 tag; English where there are none."""
    return _ENGLISH
