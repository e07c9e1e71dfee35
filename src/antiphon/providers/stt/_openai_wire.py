"""OpenAI's realtime events of a transcription session. See `openai.py`."""

from __future__ import annotations

import base64
import json
import math
from collections import deque
from collections.abc import Sequence
from typing import Any

from antiphon.audio.resample import LiveResampler
from antiphon.errors import ProviderError
from antiphon.providers.stt._greeting import json_object
from antiphon.providers.stt.live import BYTES_PER_MS
from antiphon.providers.stt.wire import Flushed, Frame, Piece, Told
from antiphon.types import INPUT_RATE_HZ

NAME = "openai"
RATE_HZ = 24_000
MIN_COMMIT_MS = 100
"""A commit of less audio is refused."""
_FINAL = frozenset({"invalid_request_error", "authentication_error", "permission_error"})
_PASSING = frozenset({"rate_limit_exceeded", "session_expired", "server_error"})
_TRANSCRIPTION = "conversation.item.input_audio_transcription."


class OpenAiWire:
    """One session."""

    def __init__(self) -> None:
        self._resampler = LiveResampler(INPUT_RATE_HZ, RATE_HZ)
        self._waiting_ms = 0  # audio that is not committed
        self._items: deque[str] = deque()  # committed and not told
        self._texts: dict[str, str] = {}  # of items under way
        self._done: dict[str, Piece] = {}  # completed, and waiting for those before

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        self._waiting_ms += len(pcm) // BYTES_PER_MS
        return _append(self._resampler.push(pcm))

    def flush(self) -> Sequence[Frame] | None:
        short_ms = max(0, MIN_COMMIT_MS - self._waiting_ms)
        rest = self._resampler.flush() + bytes(short_ms * RATE_HZ // 1000 * 2)
        self._waiting_ms = 0
        return [*_append(rest), json.dumps({"type": "input_audio_buffer.commit"})]

    def keep_alive(self) -> Sequence[Frame]:
        return ()

    def close(self) -> Sequence[Frame]:
        return ()

    def read(self, frame: Frame) -> Sequence[Told]:
        event = json_object(frame, NAME)
        kind, item = str(event.get("type")), str(event.get("item_id", ""))
        if kind == "error":
            if (event.get("error") or {}).get("code") == "input_audio_buffer_commit_empty":
                return [Flushed()]
            raise refusal(event)
        if kind == "input_audio_buffer.committed":
            self._items.append(item)
            return self._ready()
        if not kind.startswith(_TRANSCRIPTION):
            return ()
        return self._transcription(kind.removeprefix(_TRANSCRIPTION), item, event)

    def _transcription(self, kind: str, item: str, event: dict[str, Any]) -> Sequence[Told]:
        if kind == "failed":
            raise refusal(event)
        if kind == "delta":
            self._texts[item] = self._texts.get(item, "") + str(event.get("delta") or "")
            # Only the oldest: what is interim stands after all that is final.
            first = not self._items or self._items[0] == item
            return [Piece(self._texts[item], False)] if first else ()
        if kind != "completed":
            return ()
        languages = event.get("languages") or [{}]
        self._done[item] = Piece(
            str(event.get("transcript") or ""),
            True,
            confidence=_confidence(event.get("logprobs") or ()),
            language=str(languages[0].get("code") or ""),
        )
        return self._ready()

    def _ready(self) -> Sequence[Told]:
        told: list[Told] = []
        while self._items and self._items[0] in self._done:
            item = self._items.popleft()
            self._texts.pop(item, None)
            told += [self._done.pop(item), Flushed()]
        return told


def _append(pcm: bytes) -> Sequence[Frame]:
    if not pcm:
        return ()
    audio = base64.b64encode(pcm).decode()
    return [json.dumps({"type": "input_audio_buffer.append", "audio": audio})]


def _confidence(logprobs: Sequence[dict[str, Any]]) -> float:
    values = [float(one.get("logprob") or 0) for one in logprobs]
    return math.exp(min(0.0, sum(values) / len(values))) if values else 1.0


def refusal(event: dict[str, Any]) -> ProviderError:
    """What an `error` event, or one that reports a failure, means."""
    error = event.get("error") or {}
    code, kind = str(error.get("code") or ""), str(error.get("type") or "")
    retryable = code in _PASSING or (kind not in _FINAL and code != "insufficient_quota")
    return error_of(str(error.get("message") or code or kind)[:300], retryable)


def error_of(message: str, retryable: bool) -> ProviderError:
    """An error of this provider."""
    return ProviderError(message, provider=NAME, retryable=retryable)
