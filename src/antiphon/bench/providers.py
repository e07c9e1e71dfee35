"""How long the providers of an agent take, each alone, and what a caller would feel of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

from antiphon.agent.config import ProviderChoice
from antiphon.agent.load import LoadedAgent
from antiphon.agent.prompt import system_message
from antiphon.bench.ask import Speech, Understood, answer, speak, understand
from antiphon.bench.converse import converse
from antiphon.errors import ProviderError
from antiphon.providers import registry
from antiphon.providers.base import LlmRequest
from antiphon.session.thinker import END_CALL
from antiphon.types import Message

SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "max": 1.0}
FINAL = "end of speech to final text"
FIRST_TEXT = "request to first text"
SENTENCE = "request to first sentence"
FIRST_SOUND = "text to first sound"
MODEL_SOUND = "end of speech to first sound"
CALLER = "end of speech to first sound"
_HELLO = "Hello."
_Made = TypeVar("_Made")


@dataclass(slots=True)
class Row:
    """One figure: of which part, whose (`provider` is empty for all together), what is timed."""

    part: str
    provider: str
    what: str
    values_ms: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def figures(self) -> dict[str, Any]:
        """As JSON tells it."""
        ordered = sorted(self.values_ms)
        return {
            "part": self.part,
            "provider": self.provider,
            "what": self.what,
            "count": len(ordered),
            **{f"{name}_ms": percentile(ordered, share) for name, share in SHARES.items()},
            "failed": self.failures.total(),
            "failures": dict(self.failures),
        }


def percentile(ordered: Sequence[float], share: float) -> int | None:
    """The smallest value that so many are not above; None of no values."""
    if not ordered:
        return None
    return round(ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)])


@dataclass(slots=True)
class Turn:
    """What came of one recording: texts, and what the caller would have waited."""

    speech: str
    understood: str = ""
    answer: str = ""
    tools: tuple[str, ...] = ()
    caller_ms: float | None = None


@dataclass(slots=True)
class Report:
    """All figures, and every turn."""

    rows: list[Row] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    @property
    def works(self) -> bool:
        """Whether every part worked at least once."""
        return all(row.values_ms for row in self.rows)


def request_of(agent: LoadedAgent, said: str) -> LlmRequest:
    """What an agent's brain is asked after the caller's first sentence."""
    config = agent.config
    greeting = (Message("assistant", config.greeting),) if config.greeting else ()
    messages = (system_message(config), *greeting, Message("user", said))
    return LlmRequest(messages, (*(tool.spec for tool in agent.tools), END_CALL))


@dataclass(frozen=True, slots=True)
class _Member:
    provider: Any
    name: str
    rows: tuple[Row, ...]


class Chain:
    """The providers that an agent names, started for being measured.

    Args:
        fallbacks: those that step in are measured, too.
        at_once: so many turns at a time.
    """

    def __init__(self, agent: LoadedAgent, *, fallbacks: bool = False, at_once: int = 1) -> None:
        self._agent, self._fallbacks = agent, fallbacks
        self._lines = asyncio.Semaphore(at_once)
        self._started = AsyncExitStack()
        self._members: dict[str, list[_Member]] = {
            kind: [] for kind in ("realtime", "stt", "llm", "tts")
        }
        self._all = Row("all", "", CALLER)
        self.report = Report()

    async def __aenter__(self) -> Chain:
        """Start them.

        Raises:
            UserFacingError: one of them cannot run here.
        """
        config = self._agent.config
        parts: dict[str, tuple[tuple[ProviderChoice, ...], tuple[str, ...]]] = {
            "realtime": (config.realtimes, (FINAL, MODEL_SOUND)),
            "stt": (config.recognisers, (FINAL,)),
            "llm": (config.brains, (FIRST_TEXT, SENTENCE)),
            "tts": (config.voices, (FIRST_SOUND,)),
        }
        if config.realtime is not None and not self._fallbacks:
            parts = {"realtime": parts["realtime"]}  # the others only step in
        async with AsyncExitStack() as stack:
            for kind, (choices, what) in parts.items():
                for number, choice in enumerate(choices):
                    if number == 0 or self._fallbacks:
                        member = await self._start(stack, kind, choice, what, number)
                        self._members[kind].append(member)
                        self.report.rows += member.rows
            self._started = stack.pop_all()
        self.report.rows.append(self._all)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._started.aclose()

    async def _start(
        self,
        stack: AsyncExitStack,
        kind: Any,
        choice: ProviderChoice,
        what: Sequence[str],
        number: int,
    ) -> _Member:
        made = registry.make(kind, choice.provider, choice.options, self._agent.hints)
        stack.push_async_callback(made.aclose)
        await made.start()
        name = choice.provider + (f" (fallback {number})" if number else "")
        return _Member(made, choice.provider, tuple(Row(kind, name, one) for one in what))

    async def measure(
        self, speeches: Sequence[Speech], tell: Callable[[int, int], None] = lambda done, of: None
    ) -> Report:
        """Play the recordings, each as a turn of its own. `tell` is called with how many are
        done."""

        async def one(speech: Speech) -> Turn:
            async with self._lines:
                turn = await self._turn(speech)
            self.report.turns.append(turn)
            tell(len(self.report.turns), len(speeches))
            return turn

        async with asyncio.TaskGroup() as group:
            for speech in speeches:
                group.create_task(one(speech))
        return self.report

    # ---- one turn --------------------------------------------------------------------------

    async def _turn(self, speech: Speech) -> Turn:
        turn = Turn(speech.name)
        if self._members["realtime"]:
            await self._model(speech, turn)
            if not self._fallbacks:
                return turn
        heard_ms = await self._hear(speech, turn)
        request = request_of(self._agent, turn.understood or speech.text or _HELLO)
        sentence, thought_ms = await self._think(request, turn)
        sounded_ms = await self._say(sentence)
        if None not in (heard_ms, thought_ms, sounded_ms) and not self._members["realtime"]:
            least_ms = self._agent.config.turn.endpointing.min_ms
            turn.caller_ms = max(heard_ms or 0, least_ms) + (thought_ms or 0) + (sounded_ms or 0)
            self._all.values_ms.append(turn.caller_ms)
        return turn

    async def _model(self, speech: Speech, turn: Turn) -> None:
        """A speech-to-speech model does all of it."""
        for member in self._members["realtime"]:
            final, sound = member.rows
            made = await _tried(
                final, converse(member.provider, request_of(self._agent, ""), speech)
            )
            if made is not None:
                turn.understood, turn.answer = made.heard.text, made.text
                final.values_ms.append(made.heard.final_ms)
                sound.values_ms.append(made.sound_ms)
                self._all.values_ms.append(made.sound_ms)
                turn.caller_ms = made.sound_ms

    async def _hear(self, speech: Speech, turn: Turn) -> float | None:
        """Returns what the agent's own recogniser took."""
        took_ms = None
        for number, member in enumerate(self._members["stt"]):
            heard = await _tried(member.rows[0], _understood(member, speech))
            if heard is not None:
                member.rows[0].values_ms.append(heard.final_ms)
                if number == 0:
                    took_ms, turn.understood = heard.final_ms, heard.text
        return took_ms

    async def _think(self, request: LlmRequest, turn: Turn) -> tuple[str, float | None]:
        """Returns the first sentence of the agent's own brain, and what it took."""
        sentence, took_ms = "", None
        for number, member in enumerate(self._members["llm"]):
            first, whole = member.rows
            made = await _tried(first, answer(member.provider, request, name=member.name))
            if made is None:
                continue
            first.values_ms.append(made.first_ms)
            if made.sentence_ms is not None:
                whole.values_ms.append(made.sentence_ms)
            if number == 0:
                turn.answer, turn.tools = made.text, tuple(one.name for one in made.tools)
                sentence, took_ms = made.sentence, made.sentence_ms
        return sentence, took_ms

    async def _say(self, sentence: str) -> float | None:
        """Returns what the agent's own voice took."""
        took_ms = None
        for number, member in enumerate(self._members["tts"]):
            text = sentence or self._agent.config.greeting or _HELLO
            made = await _tried(
                member.rows[0], speak(member.provider, text, name=member.name, first_only=True)
            )
            if made is not None:
                member.rows[0].values_ms.append(made.first_ms)
                took_ms = made.first_ms if number == 0 else took_ms
        return took_ms


async def _understood(member: _Member, speech: Speech) -> Understood:
    stream = await member.provider.open()
    try:
        return await understand(stream, speech, name=member.name)
    finally:
        await stream.aclose()


async def _tried(row: Row, work: Awaitable[_Made]) -> _Made | None:
    """What came of it; a failure is counted."""
    try:
        return await work
    except ProviderError as error:
        row.failures[str(error)[:200]] += 1
        return None
