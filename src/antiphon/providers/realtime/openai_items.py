"""The items of a conversation at an OpenAI Realtime server, kept in line with the engine's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antiphon.providers.realtime.wire import Frame, News, Reply, Told
from antiphon.types import Message

COMMIT_MS = 120
"""Less sound than 100 ms is refused."""


class OpenAiItems:
    """Which items there are, under which names."""

    def __init__(self) -> None:
        self._speech: dict[int, str] = {}  # mark -> item
        self._marks: dict[str, int] = {}
        self._before: dict[int, str | None] = {}  # mark -> the item before it
        self._unwanted: set[int] = set()
        self._said: dict[str, str] = {}  # response -> its message
        self._calls: dict[str, str] = {}  # call -> its item
        self._outputs: dict[str, str] = {}
        self._count = 0

    def mark_of(self, item: str) -> int | None:
        """The mark of the caller's item."""
        return self._marks.get(item)

    def committed(self, mark: int, event: dict[str, Any]) -> Sequence[Told]:
        """Sound has become an item."""
        item = str(event["item_id"])
        if mark in self._unwanted:
            return (Reply((_delete(item),)),)
        self._speech[mark], self._marks[item] = item, mark
        self._before[mark] = event.get("previous_item_id")
        return ()

    def made(self, event: dict[str, Any]) -> None:
        """A response has an item."""
        item = event["item"]
        if item.get("type") == "message":
            self._said[str(event["response_id"])] = str(item["id"])
        elif item.get("type") == "function_call" and item.get("call_id"):
            self._calls[str(item["call_id"])] = str(item["id"])

    def update(self, news: News) -> list[Frame]:
        """Bring them in line."""
        frames: list[Frame] = []
        for answer, _, heard_ms in news.cuts:
            item = self._said.get(answer.key or "")
            if item is not None and heard_ms > 0:
                frames.append(
                    {
                        "type": "conversation.item.truncate",
                        "item_id": item,
                        "content_index": 0,
                        "audio_end_ms": heard_ms,
                    }
                )
            elif item is not None:
                frames.append(_delete(self._said.pop(answer.key or "")))
        items = (self._said.pop(answer.key or "", None) for answer in news.unheard)
        frames += [_delete(item) for item in items if item is not None]
        for mark in news.unused:
            if (item := self._speech.pop(mark, None)) is not None:
                frames.append(_delete(item))
            else:
                self._unwanted.add(mark)
        for message in news.revised:
            frames += self._revise(message)
        first = news.marks[0] if news.marks else None
        if first in self._before:
            # The sound is there already; what came before it has to stand before it.
            frames += self.create(news.past, self._before[first] or "root")
        else:
            frames += self.create(news.past)
        if news.typed:
            frames += self.create([Message("user", news.typed)])
        return frames

    def create(self, messages: Sequence[Message], after: str | None = None) -> list[Frame]:
        """Frames that make items of messages, after this item, or at the end."""
        frames: list[Frame] = []
        for message in messages:
            for item in self._items(message):
                frame: dict[str, Any] = {"type": "conversation.item.create", "item": item}
                if after is not None:
                    frame["previous_item_id"], after = after, item["id"]
                frames.append(frame)
        return frames

    def _items(self, message: Message) -> list[dict[str, Any]]:
        if message.role == "tool":
            call_id = (message.tool_call_id or "").rstrip("+")
            item = {"call_id": call_id, "output": message.content}
            made = self._new("function_call_output", item)
            self._outputs[call_id] = made["id"]
            return [made]
        items = []
        if message.content:
            kind = "output_text" if message.role == "assistant" else "input_text"
            content = [{"type": kind, "text": message.content}]
            items.append(self._new("message", {"role": message.role, "content": content}))
        for call in message.tool_calls:
            asked = {"call_id": call.tool_call_id, "name": call.name, "arguments": call.arguments}
            made = self._new("function_call", asked)
            self._calls[call.tool_call_id] = made["id"]
            items.append(made)
        return items

    def _revise(self, message: Message) -> list[Frame]:
        """A tool that was said to be running has come back: its result takes the place."""
        call_id = (message.tool_call_id or "").rstrip("+")
        frames: list[Frame] = []
        if (old := self._outputs.pop(call_id, None)) is not None:
            frames.append(_delete(old))
        return frames + self.create([message], self._calls.get(call_id))

    def _new(self, kind: str, rest: dict[str, Any]) -> dict[str, Any]:
        self._count += 1
        return {"id": f"antiphon_{self._count}", "type": kind, **rest}


def _delete(item: str) -> Frame:
    return {"type": "conversation.item.delete", "item_id": item}
