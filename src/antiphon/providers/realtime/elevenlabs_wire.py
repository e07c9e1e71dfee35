"""Messages of ElevenLabs Agents; see `elevenlabs`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from antiphon.errors import ProviderError
from antiphon.providers.realtime.sending import as_told, base64_of, decoded, sound
from antiphon.providers.realtime.wire import (
    Began,
    Frame,
    Heard,
    News,
    Reply,
    Said,
    Sounded,
    Told,
    TurnOver,
    Wanted,
    Whole,
)
from antiphon.types import Message, ToolCall

NAME = "elevenlabs"


class ElevenLabsWire:
    """A `wire.Wire`, made of what the vendor said of the conversation."""

    def __init__(self, metadata: dict[str, Any]) -> None:
        heard = str(metadata.get("user_input_audio_format") or "pcm_16000")
        said = str(metadata.get("agent_output_audio_format") or "pcm_16000")
        kind, _, rate = said.partition("_")
        if heard != "pcm_16000" or kind != "pcm" or not rate.isdigit():
            message = (
                f"the agent hears {heard} and speaks {said}: set its input to PCM 16000 Hz and its "
                "output to PCM, in its settings at ElevenLabs"
            )
            raise ProviderError(message, provider=NAME, retryable=False)
        self.rate_hz = int(rate)
        self._key, self._answers = "", 0
        self._text = ""
        self._spoken: int | None = None  # characters of it whose sound is there; None: not told
        self._dropped = -1  # sound up to this event is of the past
        self._calls: set[str] = set()

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        return ({"user_audio_chunk": base64_of(pcm)},)

    def begin(self) -> Sequence[Frame]:
        return ()

    def pause(self, mark: int) -> Sequence[Frame] | None:
        return None

    def rest(self) -> Sequence[Frame]:
        return ()

    def answer(self, news: News, ask: int) -> Sequence[Frame]:
        frames: list[Frame] = []
        past = []
        for one in (*news.revised, *news.past):
            call_id = (one.tool_call_id or "").rstrip("+")
            if one.role == "tool" and call_id in self._calls:
                self._calls.discard(call_id)
                result = {"tool_call_id": call_id, "result": one.content, "is_error": False}
                frames.append({"type": "client_tool_result", **result})
            else:
                past.append(one)
        answered = bool(frames) or news.speech or not ask
        asked = news.typed
        if not asked and not answered:
            asked = "\n".join(as_told(one) for one in past) or "[Go on.]"
        elif past:
            frames.insert(0, context(past))
        if asked and ask:
            frames.append({"type": "user_message", "text": asked})
        return frames

    def say(self, text: str, ask: int) -> Sequence[Frame]:
        return ()

    def cancel(self, key: str) -> Sequence[Frame]:
        return ()  # there is no such message; what still comes of it is dropped

    def over(self, key: str) -> bool:
        if key == self._key:
            if self._spoken is not None and self._spoken < len(self._text) - 1:
                return False  # some of the text has not been spoken yet
            self._over()
        return True

    def read(self, frame: str | bytes) -> Sequence[Told]:
        event = decoded(frame, NAME)
        match event.get("type"):
            case "ping":
                number = event["ping_event"]["event_id"]
                return (Reply(({"type": "pong", "event_id": number},)),)
            case "user_transcript":
                text = str(event["user_transcription_event"]["user_transcript"]).strip()
                return (*self._over(), Heard(text + " ", True, more=True), TurnOver())
            case "agent_response":
                return self._response(str(event["agent_response_event"]["agent_response"]).strip())
            case "audio":
                return self._audio(event["audio_event"])
            case "interruption":
                self._dropped = int(event["interruption_event"]["event_id"])
                return self._over(cut=True)
            case "client_tool_call":
                return self._tool(event["client_tool_call"])
        return ()

    def _response(self, text: str) -> Sequence[Told]:
        # Sound may be there before its text; a second text is a second answer.
        told = [*(self._over() if self._text else ()), *self._begun()]
        self._text = text
        return [*told, Said(self._key, text)]

    def _audio(self, event: dict[str, Any]) -> Sequence[Told]:
        if int(event.get("event_id") or 0) <= self._dropped:
            return ()
        told = [*self._begun(), Sounded(self._key, sound(event["audio_base_64"], NAME))]
        alignment = event.get("alignment")
        if isinstance(alignment, dict) and isinstance(alignment.get("chars"), list):
            self._spoken = (self._spoken or 0) + len(alignment["chars"])
        return told

    def _tool(self, wanted: dict[str, Any]) -> Sequence[Told]:
        call_id, name = str(wanted["tool_call_id"]), str(wanted["tool_name"])
        self._calls.add(call_id)
        call = ToolCall(call_id, name, json.dumps(wanted.get("parameters") or {}))
        return [*self._begun(), Wanted(self._key, call), *self._over()]

    def _begun(self) -> list[Told]:
        if self._key:
            return []
        self._answers += 1
        self._key = f"answer_{self._answers}"
        return [Began(self._key)]

    def _over(self, *, cut: bool = False) -> list[Told]:
        key, self._key, self._text, self._spoken = self._key, "", "", None
        return [Whole(key, cut=cut)] if key else []


def context(messages: Sequence[Message]) -> dict[str, Any]:
    """Messages that are to be known, and not to be answered."""
    return {"type": "contextual_update", "text": "\n".join(as_told(one) for one in messages)}
