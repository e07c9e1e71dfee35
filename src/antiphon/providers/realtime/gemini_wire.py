"""Messages of the Gemini Live API; see `gemini`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from antiphon.providers.base import Usage
from antiphon.providers.realtime.sending import (
    as_heard,
    as_told,
    base64_of,
    decoded,
    sound,
)
from antiphon.providers.realtime.wire import (
    Began,
    Counted,
    Frame,
    Heard,
    News,
    Said,
    Sounded,
    Told,
    Wanted,
    Whole,
)
from antiphon.types import Message, ToolCall

NAME = "gemini"
RATE_HZ = 24_000
_SAY = "Say exactly the following to the caller, word for word, and nothing else:\n"


class GeminiWire:
    """A `wire.Wire`."""

    rate_hz = RATE_HZ

    def __init__(self) -> None:
        self._active = False  # the caller's activity has begun
        self._key = ""  # of the answer under way
        self._whole = False  # it is, but for the vendor's last word on it
        self._answers = 0
        self._names: dict[str, str] = {}  # call -> function

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        data = {"data": base64_of(pcm), "mimeType": "audio/pcm;rate=16000"}
        return ({"realtimeInput": {"audio": data}},) if self._active else ()

    def begin(self) -> Sequence[Frame]:
        if self._active:
            return ()  # sound that was no turn is in it; there is no way to take it back
        self._active = True
        return ({"realtimeInput": {"activityStart": {}}},)

    def pause(self, mark: int) -> Sequence[Frame] | None:
        return ()

    def rest(self) -> Sequence[Frame]:
        return ()

    def answer(self, news: News, ask: int) -> Sequence[Frame]:
        frames: list[Frame] = []
        outputs = [one for one in news.outputs if self._name(one)]
        past = [one for one in (*news.past, *news.revised) if one not in outputs]
        notes = [Message("system", as_heard(text).strip("[]")) for _, text, _ in news.cuts]
        if news.unheard:
            notes.append(Message("system", as_heard("").strip("[]")))
        wordless = not (news.speech or news.typed or outputs)
        if wordless:
            # What is asked for last is what the model answers.
            asked = "\n".join(as_told(one) for one in past) or "[Go on.]"
            past = []
        else:
            asked = news.typed
        if notes or past:
            frames.append(content([*notes, *past]))
        if outputs:
            frames.append(
                {"toolResponse": {"functionResponses": [self._result(m) for m in outputs]}}
            )
        if asked:
            frames.append({"realtimeInput": {"text": asked}})
        if news.speech and self._active:
            self._active = False
            frames.append({"realtimeInput": {"activityEnd": {}}})
        return frames

    def say(self, text: str, ask: int) -> Sequence[Frame]:
        return ({"realtimeInput": {"text": _SAY + text}},)

    def cancel(self, key: str) -> Sequence[Frame]:
        return ()  # there is no such message; what still comes of it is dropped

    def over(self, key: str) -> bool:
        return False  # it is told

    def read(self, frame: str | bytes) -> Sequence[Told]:
        event = decoded(frame, NAME)
        told: list[Told] = []
        usage = event.get("usageMetadata")
        if isinstance(usage, dict):
            told.append(Counted(_usage(usage)))
        content = event.get("serverContent")
        if isinstance(content, dict):
            told += self._content(content)
        calls = (event.get("toolCall") or {}).get("functionCalls") or []
        if calls:
            told += self._begun()
            for call in calls:
                call_id = str(call.get("id") or f"call_{self._answers}_{len(self._names)}")
                self._names[call_id] = str(call["name"])
                arguments = json.dumps(call.get("args") or {})
                told.append(Wanted(self._key, ToolCall(call_id, str(call["name"]), arguments)))
            told.append(Whole(self._key))
            self._whole = True
        return told

    def _content(self, content: dict[str, Any]) -> list[Told]:
        told: list[Told] = []
        heard = content.get("inputTranscription") or {}
        if heard.get("text"):
            told.append(Heard(str(heard["text"]), bool(heard.get("finished")), more=True))
        said = (content.get("outputTranscription") or {}).get("text")
        parts = (content.get("modelTurn") or {}).get("parts") or []
        blobs = [part["inlineData"]["data"] for part in parts if "inlineData" in part]
        if said or blobs:
            told += self._begun()
        if said:
            told.append(Said(self._key, str(said)))
        told += [Sounded(self._key, sound(blob, NAME)) for blob in blobs]
        if content.get("interrupted") and self._key:
            told.append(Whole(self._key, cut=True))
            self._whole = True
        if content.get("generationComplete") and self._key and not self._whole:
            told.append(Whole(self._key))
            self._whole = True
        if content.get("turnComplete"):
            told += self._over()
        return told

    def _begun(self) -> list[Told]:
        if self._key and not self._whole:
            return []
        self._answers += 1
        self._key, self._whole = f"answer_{self._answers}", False
        return [Began(self._key)]

    def _over(self) -> list[Told]:
        key, whole = self._key, self._whole
        self._key, self._whole = "", False
        if key:
            return [] if whole else [Whole(key)]
        # A turn without a word, such as one that the model took for noise.
        return [*self._begun(), *self._over()]

    def _name(self, output: Message) -> str | None:
        return self._names.get((output.tool_call_id or "").rstrip("+"))

    def _result(self, output: Message) -> dict[str, Any]:
        call_id = (output.tool_call_id or "").rstrip("+")
        return {"id": call_id, "name": self._name(output), "response": {"output": output.content}}


def content(messages: Sequence[Message]) -> dict[str, Any]:
    """Messages as turns that are to be known, and not to be answered."""
    turns = []
    for one in messages:
        role = "model" if one.role == "assistant" and not one.tool_calls else "user"
        text = one.content if role == "model" else as_told(one)
        if text:
            turns.append({"role": role, "parts": [{"text": text}]})
    return {"clientContent": {"turns": turns, "turnComplete": False}}


def _usage(usage: dict[str, Any]) -> Usage:
    return Usage(
        int(usage.get("promptTokenCount") or 0),
        int(usage.get("responseTokenCount") or 0),
        int(usage.get("cachedContentTokenCount") or 0),
        audio_input_tokens=_sound(usage.get("promptTokensDetails")),
        audio_output_tokens=_sound(usage.get("responseTokensDetails")),
        audio_cached_tokens=_sound(usage.get("cacheTokensDetails")),
    )


def _sound(details: list[dict[str, Any]] | None) -> int:
    """Tokens of sound (ai.google.dev/api/live, UsageMetadata, ModalityTokenCount)."""
    told = (one for one in details or () if one.get("modality") == "AUDIO")
    return sum(int(one.get("tokenCount") or 0) for one in told)
