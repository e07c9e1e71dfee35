"""What one call costs as it goes on, and which level of which budget it has reached.

Time is counted from events: the recogniser is given audio while an utterance is open, from a little
before its first sound. Tokens are those that the language model tells; a generation that is
cancelled tells none, and is estimated. Characters are those that the voice was given.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from antiphon.agent.config import AgentConfig, Limits, ProviderChoice
from antiphon.cost.book import CHARACTERS, SECONDS
from antiphon.cost.meter import Meter
from antiphon.observe.metrics import Metrics
from antiphon.providers.base import Usage
from antiphon.session.providers import Providers

log = logging.getLogger(__name__)

LEVELS = ("warn", "cheaper", "end")
CHECK_MS = 1000
"""How often the budgets are looked at."""
PREROLL_MS = 300
"""Of an utterance, what the recogniser is given from before its first sound."""
_NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Service:
    """One provider of an agent, as the price book knows it."""

    part: str
    provider: str
    made: Any = None

    @property
    def model(self) -> str:
        """Some providers choose their model only when they start."""
        return str(getattr(self.made, "model", "") or "")


@dataclass(frozen=True, slots=True)
class Services:
    """Those of a call. Of each kind the first is the agent's own, the others its fallbacks."""

    channel: str
    stts: tuple[Service, ...]
    llms: tuple[Service, ...]
    voices: tuple[Service, ...]

    @classmethod
    def of(
        cls, config: AgentConfig, providers: Providers, channel: str, *, has_audio: bool = True
    ) -> Services:
        """Those of an agent, which were made for it. Its speech-to-speech model is the first of
        each; in a call without sound it has no part, and the cascade's is there twice."""

        def listed(
            part: str, choices: Sequence[ProviderChoice], made: Sequence[Any]
        ) -> tuple[Service, ...]:
            objects = (*made, *[None] * len(choices))
            return tuple(
                Service(part, choice.provider, one)
                for choice, one in zip(choices, objects, strict=False)
            )

        stts = listed("stt", config.recognisers, getattr(providers.stt, "stts", (providers.stt,)))
        llms = listed("llm", config.brains, providers.llms)
        voices = listed("tts", config.voices, providers.voices)
        model = listed("realtime", config.realtimes, (providers.realtime,))
        if not model:
            return cls(channel, stts, llms, voices)
        if has_audio:
            return cls(channel, (*model, *stts), (*model, *llms), (*model, *voices))
        return cls(channel, (), (llms[0], *llms), (voices[0], *voices))


def _tokens(usage: Usage) -> dict[str, int]:
    """By what is charged for: text and sound, read anew and from a cache."""
    cached, heard = usage.cached_tokens, usage.audio_input_tokens
    heard_cached = min(usage.audio_cached_tokens, cached, heard)
    return {
        "input_tokens": usage.input_tokens - cached - (heard - heard_cached),
        "cached_tokens": cached - heard_cached,
        "output_tokens": usage.output_tokens - usage.audio_output_tokens,
        "audio_input_tokens": heard - heard_cached,
        "audio_cached_tokens": heard_cached,
        "audio_output_tokens": usage.audio_output_tokens,
    }


@dataclass(frozen=True, slots=True)
class Budget:
    """Somebody's limits, and what was spent of them so far."""

    scope: str
    limits: Limits
    spent: Callable[[], Decimal]

    def over(self, level: str) -> bool:
        """Whether a level is reached."""
        limit = getattr(self.limits, level)
        return limit is not None and self.spent() >= Decimal(repr(limit))


class Spending:
    """The costs of one call.

    Args:
        agent: its name, for the metrics.
        services: what is paid for.
        meter: counts it.
        metrics: told what was spent.
        account: told what was spent since the last time.
        budgets: those of the day; that of the call is `limits`.
        record: where the costs are written at the end; None: nowhere.
    """

    def __init__(
        self,
        agent: str,
        services: Services,
        meter: Meter,
        metrics: Metrics,
        limits: Limits = _NO_LIMITS,
        budgets: Sequence[Budget] = (),
        account: Callable[[Decimal], None] | None = None,
        record: Path | None = None,
    ) -> None:
        self.meter = meter
        self.recogniser: Any = None
        """The stream that listens; where there are several, it knows the `number` of the one."""
        self._agent, self._services, self._metrics = agent, services, metrics
        self._account, self._record = account, record
        self._budgets = (Budget("call", limits, lambda: meter.total), *budgets)
        self._limited = any(one.limits != _NO_LIMITS for one in self._budgets)
        self._now_ms = self._checked_ms = self._heard_to_ms = 0
        self._heard_ms: dict[int, int] = {}  # by recogniser
        self._open: set[int] = set()  # utterances
        self._segment: tuple[int, int, int] = (0, 0, 0)  # response, segment, its audio so far
        self._reached: dict[str, tuple[str, int]] = {}
        self._reported = Decimal(0)
        self._by_part: dict[str, Decimal] = {}

    # ---- what is used ----------------------------------------------------------------------

    def at(self, now_ms: int) -> None:
        """The call's time."""
        if self._open and self._services.stts and now_ms > self._heard_to_ms:
            number = min(getattr(self.recogniser, "number", 0), len(self._services.stts) - 1)
            more_ms = now_ms - self._heard_to_ms
            self._heard_ms[number] = self._heard_ms.get(number, 0) + more_ms
            self._heard_to_ms = now_ms
        self._now_ms = max(now_ms, self._now_ms)

    def utterance_begun(self, utterance_id: int, speech_at_ms: int) -> None:
        """The recogniser is given audio."""
        if not self._open:
            self._heard_to_ms = max(self._heard_to_ms, speech_at_ms - PREROLL_MS)
        self._open.add(utterance_id)
        self.at(self._now_ms)

    def utterance_ended(self, utterance_id: int) -> None:
        """It is given none any more."""
        self._open.discard(utterance_id)

    def generated(self, llm: int, response_id: int, usage: Usage, estimated: bool) -> None:
        """A language model was used."""
        service = self._services.llms[llm]
        model = usage.model or service.model
        if usage.model and usage.model != service.model:
            # A hedged request was answered by the next one.
            others = (one for one in self._services.llms if one.model == usage.model)
            service = next(others, service)
        self.meter.add(
            service.part,
            service.provider,
            model,
            _tokens(usage),
            response_id=response_id,
            estimated=estimated,
        )

    def voiced(self, response_id: int, voice: int, characters: int) -> None:
        """A voice was given text."""
        one = self._voice(voice)
        if one is not None:
            used = {CHARACTERS: characters}
            self.meter.add(one.part, one.provider, one.model, used, response_id=response_id)

    def sounded(self, response_id: int, segment_id: int, duration_ms: int, voice: int) -> None:
        """A voice has made so much audio of a segment in all."""
        before_ms = self._segment[2] if self._segment[:2] == (response_id, segment_id) else 0
        self._segment = (response_id, segment_id, max(before_ms, duration_ms))
        one = self._voice(voice)
        if one is not None and duration_ms > before_ms:
            used = {SECONDS: Decimal(duration_ms - before_ms) / 1000}
            self.meter.add(one.part, one.provider, one.model, used, response_id=response_id)

    def _voice(self, number: int) -> Service | None:
        """None: what it says was recorded, or is in the price of a speech-to-speech model."""
        voices = self._services.voices
        if number >= len(voices) or voices[number].part != "tts":
            return None
        return voices[number]

    # ---- what it comes to ------------------------------------------------------------------

    def settle(self) -> Decimal:
        """Count the time up to now, and tell the metrics and the accounts. Returns the total."""
        self.at(self._now_ms)
        call_s = Decimal(self._now_ms) / 1000
        self.meter.set_seconds("telephony", self._services.channel, "", call_s)
        for number, one in enumerate(self._services.stts):
            heard_ms = self._heard_ms.get(number, 0)
            price = self.meter.price(one.part, one.provider, one.model)
            if price is not None and price.whole_call and self._listens(number):
                heard_ms = self._now_ms
            self.meter.set_seconds(one.part, one.provider, one.model, Decimal(heard_ms) / 1000)
        for part, dollars in self.meter.by_part().items():
            before = self._by_part.get(part, Decimal(0))
            if dollars > before:
                self._metrics.spent(self._agent, part, float(dollars - before))
                self._by_part[part] = dollars
        total = self.meter.total
        if self._account is not None and total != self._reported:
            self._account(total - self._reported)
            self._reported = total
        return total

    def _listens(self, number: int) -> bool:
        """Whether a recogniser is connected, or was."""
        connected = self.recogniser is not None
        now = connected and getattr(self.recogniser, "number", 0) == number
        return now or number in self._heard_ms

    def reached(self) -> list[tuple[str, str]]:
        """Levels of budgets that have been reached since the last time: level, whose."""
        if not self._limited or self._now_ms - self._checked_ms < CHECK_MS:
            return []
        self._checked_ms = self._now_ms
        self.settle()
        found = []
        for level in LEVELS:
            scopes = [one.scope for one in self._budgets if one.over(level)]
            if scopes and level not in self._reached:
                self._reached[level] = (scopes[0], self._now_ms)
                found.append((level, scopes[0]))
        return found

    def bill(self) -> dict[str, Any]:
        """All of it as JSON, as it is now; what costs nothing is left out."""
        self.settle()
        bill = self.meter.bill()
        bill["parts"] = [one for one in bill["parts"] if one["dollars"] != "0"]
        return bill

    def close(self, call_id: str, reason: str) -> dict[str, Any]:
        """The call is over: keep its costs, beside its trace."""
        self.settle()
        bill = self.meter.bill()
        if self._record is not None:
            kept = {
                "antiphon_cost": 1,
                "call_id": call_id,
                "agent": self._agent,
                "channel": self._services.channel,
                "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "duration_ms": self._now_ms,
                "reason": reason,
                "budgets": [
                    {"level": level, "scope": scope, "at_ms": at_ms}
                    for level, (scope, at_ms) in self._reached.items()
                ],
                **bill,
            }
            try:
                self._record.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            except OSError as error:
                log.warning("costs were not kept: %s", error, extra={"call_id": call_id})
        return self.bill()
