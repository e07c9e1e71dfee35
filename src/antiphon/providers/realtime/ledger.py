"""What a speech-to-speech model knows of the conversation, against what the engine says of it.

The model keeps a history of its own, of what it has heard and said. The engine's is the one that
counts: what was heard of an answer, what the agent said on its own account, what came of the tools.
Before each answer the difference is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from antiphon.providers.realtime.answer import Answer, letters
from antiphon.providers.realtime.wire import News
from antiphon.types import Message


@dataclass(slots=True)
class Utterance:
    """One utterance of the caller. `told` has all texts that the engine was given for it; `lost`:
    its sound went to a connection that is gone."""

    utterance_id: int
    over_agent: bool = False
    marks: list[int] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    lost: bool = False

    def strip_from(self, text: str) -> str | None:
        """The text without what was understood of this; None when it is not in it."""
        for said in sorted(self.told, key=len, reverse=True):
            if said and said in text:
                before, _, after = text.partition(said)
                return f"{before.strip()} {after.strip()}".strip()
        return None


class Ledger:
    """See the module."""

    def __init__(self) -> None:
        self._known: list[tuple[Message, Answer | None]] = []
        self._given: list[Answer] = []  # not yet found among the messages

    @property
    def known(self) -> list[Message]:
        """The messages that the model has been told, or has itself said."""
        return [message for message, _ in self._known]

    def gave(self, answer: Answer) -> None:
        """The model answers; how much of it is heard will show."""
        self._given.append(answer)

    def forget(self) -> None:
        """The model on a new connection knows only what `known` said."""
        self._known = [(message, None) for message, _ in self._known]
        self._given.clear()

    def news(self, messages: Sequence[Message], utterances: Sequence[Utterance]) -> News:
        """What the model does not know. `messages` are without the system's first one;
        `utterances` are those since the last answer."""
        news = News()
        start, rest = self._compare(messages, news)
        del self._known[start:]
        last = self._last_user(messages, start)
        for number in range(start, len(messages)):
            message = messages[number]
            answer = None
            if number == last:
                self._hear(rest if rest is not None else message.content, utterances, news)
            elif message.role == "assistant":
                answer = self._match(message, news)
                if answer is None:
                    news.past.append(message)
            else:
                news.past.append(message)
            self._known.append((message, answer))
        news.unheard += [one for one in self._given if one.tools or one.count]
        self._given.clear()
        if last is None:
            self._hear("", utterances, news)
        return news

    def _compare(self, messages: Sequence[Message], news: News) -> tuple[int, str | None]:
        """Where the messages begin to be new, and what is new of the user's turn there when it is
        the one that went on."""
        for number, (known, answer) in enumerate(self._known):
            if number >= len(messages):
                return number, None
            now = messages[number]
            if now.role != known.role:
                return number, None
            if now.content == known.content:
                continue
            if now.role == "tool" and now.tool_call_id == known.tool_call_id:
                news.revised.append(now)
                self._known[number] = (now, None)
            elif now.role == "assistant" and answer is not None:
                self._cut(answer, now, news)
                self._known[number] = (now, answer)
            elif now.role == "user" and now.content.startswith(known.content):
                return number, now.content[len(known.content) :].strip()
            else:
                return number, None
        return len(self._known), None

    def _last_user(self, messages: Sequence[Message], start: int) -> int | None:
        """The turn that is to be answered: the user's, after the model's own last words."""
        for number in range(len(messages) - 1, start - 1, -1):
            if messages[number].role == "user":
                return number
            if messages[number].role == "assistant":
                return None
        return None

    def _hear(self, text: str, utterances: Sequence[Utterance], news: News) -> None:
        for one in utterances:
            rest = one.strip_from(text) if text and not one.lost else None
            if rest is None:
                news.unused += one.marks
            else:
                text, news.speech = rest, True
                news.marks += one.marks
        if letters(text):
            news.typed = text

    def _match(self, message: Message, news: News) -> Answer | None:
        """The model's answer that this message is what was heard of."""
        called = {one.tool_call_id.rstrip("+") for one in message.tool_calls}
        for number, answer in enumerate(self._given):
            asked = {one.tool_call_id for one in answer.tools}
            if called & asked or answer.resembles(message.content):
                news.unheard += [one for one in self._given[:number] if one.count]
                del self._given[: number + 1]
                self._cut(answer, message, news)
                return answer
        return None

    def _cut(self, answer: Answer, message: Message, news: News) -> None:
        heard_ms = answer.heard_ms(message.content)
        if heard_ms is not None and not answer.cut_off:
            news.cuts.append((answer, message.content, heard_ms))
