"""What the scripted providers share: delays, failures, and how both are drawn."""

from __future__ import annotations

import asyncio
import random
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from antiphon.errors import ProviderError
from antiphon.providers.base import ProviderOptions


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Delay(Item):
    """A waiting time. In a file a plain number means `ms`.

    Drawn once per wait: `ms`, plus an even draw up to `jitter_ms`, plus, with probability
    `tail_chance`, an exponential draw with mean `tail_ms`.
    """

    ms: float = Field(default=0.0, ge=0)
    jitter_ms: float = Field(default=0.0, ge=0)
    tail_chance: float = Field(default=0.0, ge=0, le=1)
    tail_ms: float = Field(default=0.0, ge=0)

    def draw_s(self, rng: random.Random) -> float:
        """Seconds to wait now; 0.0 means: do not even yield to the event loop."""
        wait_ms = self.ms
        if self.jitter_ms:
            wait_ms += rng.uniform(0.0, self.jitter_ms)
        if self.tail_chance and rng.random() < self.tail_chance and self.tail_ms:
            wait_ms += rng.expovariate(1.0 / self.tail_ms)
        return wait_ms / 1000.0


def as_delay(value: Any) -> Any:
    return {"ms": value} if isinstance(value, int | float) else value


DelayOption = Annotated[Delay, BeforeValidator(as_delay)]


class Script(ProviderOptions):
    """What all three have in common."""

    seed: int = 0
    """Start of all random draws."""
    first_delay_ms: DelayOption = Delay()
    """Wait before the first result of an answer (LLM), response (TTS) or final (STT)."""
    fail_chance: float = Field(default=0.0, ge=0, le=1)
    """Probability that a stream (LLM, TTS) or an utterance (STT) fails at its first result."""
    stall_chance: float = Field(default=0.0, ge=0, le=1)
    """Probability that it never gives one, and does not say so."""
    fail_retryable: bool = True
    """Whether failures say that trying again may help."""


class Fate:
    """The delays and failures of one stream."""

    def __init__(self, options: Script, stream_number: int) -> None:
        self.rng = random.Random(f"{options.seed}/{stream_number}")
        self._options = options
        self.unlucky = self.stalled = False
        self.draw()

    def draw(self) -> None:
        """Decide anew whether what comes now fails or stalls."""
        options = self._options
        self.unlucky = bool(options.fail_chance) and self.rng.random() < options.fail_chance
        self.stalled = bool(options.stall_chance) and self.rng.random() < options.stall_chance

    async def wait(self, delay: Delay) -> None:
        seconds = delay.draw_s(self.rng)
        if seconds > 0.0:
            await asyncio.sleep(seconds)

    async def reach(self, chunk: int, fail_after: int | None, hang_after: int | None) -> None:
        """Called when `chunk` chunks have been delivered, before the next one."""
        if self.stalled:
            await asyncio.Event().wait()
        if self.unlucky or (fail_after is not None and chunk >= fail_after):
            raise self.failure()
        if hang_after is not None and chunk >= hang_after:
            await asyncio.Event().wait()

    def failure(self) -> ProviderError:
        retryable = self._options.fail_retryable
        return ProviderError("failed as scripted", provider="scripted", retryable=retryable)


def as_text(value: Any) -> Any:
    """A plain string stands for a mapping with `text`."""
    return {"text": value} if isinstance(value, str) else value
