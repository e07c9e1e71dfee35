"""Messages of Deepgram's Voice Agent; see `deepgram`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antiphon.errors import ProviderError
from antiphon.providers.realtime.sending import as_told, decoded
from antiphon.providers.realtime.wire import (
    Began,
    Frame,
    Heard,
    News,
    Refused,
    Said,
    Sounded,
    Told,
    TurnOver,
    Wanted,
    Whole,
    Written,
)
from antiphon.types import ToolCall

NAME = "deepgram"
RATE_HZ = 24_000


class DeepgramWire:
    """A `wire.Wire`."""

    rate_hz = RATE_HZ

    def __init__(self) -> None:
        self._key = ""  # of the answer under way
        self._written = False  # its text is; a further one begins another answer
        self._answers = 0
        self._names: dict[str, str] = {}  # call -> function

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        return (pcm,)

    def begin(self) -> Sequence[Frame]:
        return ()

    def pause(self, mark: int) -> Sequence[Frame] | None:
        return None

    def rest(self) -> Sequence[Frame]:
        return ()

    def answer(self, news: News, ask: int) -> Sequence[Frame]:
        frames: list[Frame] = []
        for one in news.outputs:
            call_id = (one.tool_call_id or "").rstrip("+")
            if (name := self._names.pop(call_id, None)) is not None:
                frames.append(
                    {
                        "type": "FunctionCallResponse",
                        "id": call_id,
                        "name": name,
                        "content": one.content,
                    }
                )
        asked = news.typed
        if not (asked or frames or news.speech):
            # Without a word of the caller there is something to tell.
            asked = "\n".join(as_told(one) for one in (*news.revised, *news.past)) or "[Go on.]"
        if asked:
            frames.append({"type": "InjectUserMessage", "content": asked})
        return frames if ask else ()

    def say(self, text: str, ask: int) -> Sequence[Frame]:
        return ({"type": "InjectAgentMessage", "message": text},)

    def cancel(self, key: str) -> Sequence[Frame]:
        return ()  # there is no such message; what still comes of it is dropped

    def over(self, key: str) -> bool:
        return False  # it is told

    def read(self, frame: str | bytes) -> Sequence[Told]:
        if isinstance(frame, bytes):
            return [*self._begun(), Sounded(self._key, frame)]
        event = decoded(frame, NAME)
        match event.get("type"):
            case "ConversationText":
                return self._text(str(event.get("role")), str(event.get("content") or ""))
            case "UserStartedSpeaking":
                return self._over(cut=True)
            case "AgentAudioDone":
                return self._over()
            case "FunctionCallRequest":
                return self._tools(event["functions"])
            case "InjectionRefused":
                message = f"it was not said: {event.get('message') or 'refused'}"
                return (Refused(0, ProviderError(message, provider=NAME, retryable=True)),)
            case "Error":
                raise failure(event, retryable=True)
        return ()

    def _text(self, role: str, content: str) -> Sequence[Told]:
        if role == "user":
            return (Heard(content + " ", True, more=True), TurnOver())
        told: list[Told] = []
        if self._written:
            told += self._over()
        return [*told, *self._begun(), Said(self._key, content + " ")]

    def _tools(self, wanted: list[dict[str, Any]]) -> Sequence[Told]:
        ours = [one for one in wanted if one.get("client_side", True)]
        if not ours:
            return ()
        said = bool(self._key)
        told: list[Told] = [*self._begun()]
        for one in ours:
            call = ToolCall(str(one["id"]), str(one["name"]), str(one.get("arguments") or "{}"))
            self._names[call.tool_call_id] = call.name
            told.append(Wanted(self._key, call))
        self._written = True
        told.append(Written(self._key))
        return told if said else [*told, *self._over()]

    def _begun(self) -> list[Told]:
        if self._key:
            return []
        self._answers += 1
        self._key = f"answer_{self._answers}"
        return [Began(self._key)]

    def _over(self, *, cut: bool = False) -> list[Told]:
        key, self._key, self._written = self._key, "", False
        return [Whole(key, cut=cut)] if key else []


def failure(event: dict[str, Any], *, retryable: bool) -> ProviderError:
    text = str(event.get("description") or event.get("message") or "an error")[:300]
    code = str(event.get("code") or "")
    message = f"{text} ({code})" if code else text
    return ProviderError(message, provider=NAME, retryable=retryable)
