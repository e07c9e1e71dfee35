"""No judgement by the sound: the words, their punctuation and the length of the pause decide.

The engine reads what was said (`engine/phrase.py`) and weighs a turn detector's probability beside
it, as log-odds (`engine/endpointing.py`). 0.5 is no evidence there, and changes nothing.
"""

from __future__ import annotations

from antiphon.providers.base import AgentHints, ProviderOptions, Traits
from antiphon.types import FRAME_BYTES

_NO_EVIDENCE = 0.5


class PhraseOptions(ProviderOptions):
    """Options of the detector by words alone: none."""


class PhraseTurn:
    """Leaves the end of a turn to the words, their punctuation and the pause. Costs nothing; for
    languages that it has words of, and wherever the sound misleads, as a read-out or a poor line
    may."""

    Options = PhraseOptions
    traits = Traits()

    def __init__(self, options: PhraseOptions, hints: AgentHints) -> None:
        pass

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    def open(self) -> PhraseStream:
        return PhraseStream()


class PhraseStream:
    """Listens to nothing."""

    __slots__ = ()

    def feed(self, pcm: bytes) -> None:
        """Take 20 ms of 16 kHz mono s16 PCM.

        Raises:
            ValueError: not 640 bytes.
        """
        if len(pcm) != FRAME_BYTES:
            raise ValueError(f"a frame has {FRAME_BYTES} bytes (20 ms at 16 kHz), not {len(pcm)}")

    async def predict(self) -> float:
        """0.5: no evidence either way."""
        return _NO_EVIDENCE
