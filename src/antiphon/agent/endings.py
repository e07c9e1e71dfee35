"""Whether a phrase is likely to be all, by what callers say to this agent.

"Get me a double shot" is a whole sentence of English, and no order of this cafe ends so. The
agent's flow knows what callers may say; how often its sentences end after the last words of a
phrase tells how likely the caller is done.
"""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.engine.language import words_of

_LONGEST = 4
"""Words looked at: of the orders that differ, most differ in their last four words."""
_ENOUGH = 6
"""A context seen less often is not believed; a shorter one is taken."""
_PAUSES = 0.1
"""How often a caller pauses after a word that is not the last."""
_START = "^"


class Endings:
    """Counts of what follows the last words of a phrase.

    Args:
        sentences: what callers may say, the likely things more often.
    """

    def __init__(self, sentences: Iterable[str]) -> None:
        self._seen: dict[tuple[str, ...], int] = {}
        self._ended: dict[tuple[str, ...], int] = {}
        for sentence in sentences:
            words = (_START, *words_of(sentence))
            for end in range(2, len(words) + 1):
                for context in _contexts(words[:end]):
                    self._seen[context] = self._seen.get(context, 0) + 1
                    if end == len(words):
                        self._ended[context] = self._ended.get(context, 0) + 1

    def complete(self, text: str) -> float | None:
        """How likely nothing follows a pause after these words, 0 to 1; None where they are not
        known."""
        words = (_START, *words_of(text))
        if len(words) == 1:
            return None
        for context in _contexts(words):
            seen = self._seen.get(context, 0)
            if seen >= _ENOUGH:
                ends = (self._ended.get(context, 0) + 0.5) / (seen + 1)
                return ends / (ends + (1 - ends) * _PAUSES)
        return None


def _contexts(words: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    """The last words, the longest context first. The start of the sentence counts as one. A single
    word is too little: where "one" is always followed by "latte", "my number is ... one" is not."""
    longest = min(_LONGEST, len(words))
    return (words[-length:] for length in range(longest, 1, -1))
