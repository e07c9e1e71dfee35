"""Servers that transcribe one recording per request, in the shapes of OpenAI's Whisper API.

The fields of an answer: https://platform.openai.com/docs/api-reference/audio/verbose-json-object.
whisper.cpp's server gives tokens for words, with the space before each word that they begin.
"""

from __future__ import annotations

import io
import json
import logging
import math
import wave
from collections.abc import Mapping, Sequence
from typing import Any

import httpx
from babel import Locale

from antiphon.errors import ProviderError
from antiphon.net.http import open_client, read_body, send, status_error, transport_errors
from antiphon.providers.stt.segmented import Transcript
from antiphon.types import INPUT_RATE_HZ, Word

_log = logging.getLogger("antiphon.stt")
_CODES = {str(name).lower(): code for code, name in Locale("en").languages.items()}
_SILENT_PROBABILITY, _SILENT_LOGPROB = 0.6, -1.0
"""Whisper's own rule for what it made up out of silence."""

_ODD = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What reading an answer of another shape raises."""

Fields = Mapping[str, str | list[str]]


class WhisperServer:
    """The connection to one server. `start` and `aclose` may be repeated."""

    def __init__(self, provider: str, base_url: str, *, connect_ms: int) -> None:
        self._provider, self._base_url, self._connect_ms = provider, base_url, connect_ms
        self._client: httpx.AsyncClient | None = None

    async def start(self, headers: dict[str, str], warm_path: str) -> None:
        """Open a connection by a GET; a server that is not there yet is a warning."""
        await self.aclose()
        client = open_client(self._base_url, connect_ms=self._connect_ms, headers=headers)
        self._client = client
        try:
            with transport_errors(self._provider, self._place):
                request = client.build_request("GET", warm_path)
                response = await send(client, request, self._provider, within_ms=self._connect_ms)
                await response.aclose()
        except ProviderError as error:
            _log.warning("stt not ready", extra={"provider": self._provider, "error": str(error)})
            return
        if response.status_code in (401, 403):
            _log.warning("stt refuses the key", extra={"provider": self._provider})

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def transcribe(self, path: str, pcm: bytes, fields: Fields, within_ms: int) -> Transcript:
        """Send 16 kHz mono s16 PCM as a WAV file; cancelling closes the request.

        Raises:
            ProviderError: what the server says, no answer in time, or one that is none.
        """
        if self._client is None:
            raise self._error("not started", False)
        files = {"file": ("audio.wav", _wav(pcm), "audio/wav")}
        request = self._client.build_request("POST", path, data=dict(fields), files=files)
        with transport_errors(self._provider, self._place):
            response = await send(self._client, request, self._provider, within_ms=within_ms)
            try:
                if response.status_code != 200:
                    raise await status_error(self._provider, response, within_ms=1000)
                body = await read_body(response, self._provider, within_ms=within_ms)
            finally:
                await response.aclose()
        return self._parsed(body)

    def _parsed(self, body: bytes) -> Transcript:
        try:
            answer = json.loads(body)
            if "error" in answer:
                # whisper.cpp says so with the status of a success.
                raise self._error(str(answer["error"])[:200], True)
            return read_transcript(answer)
        except (
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            ArithmeticError,
            RecursionError,
        ):
            raise self._error("the answer is no transcript", True) from None

    @property
    def _place(self) -> str:
        return f"the server at {self._base_url}"

    def _error(self, message: str, retryable: bool) -> ProviderError:
        return ProviderError(message, provider=self._provider, retryable=retryable)


def read_transcript(answer: dict[str, Any]) -> Transcript:
    """The transcript of an answer in `json` or `verbose_json`.

    Raises:
        ValueError, LookupError, TypeError, AttributeError, ArithmeticError: it is none.
    """
    text = answer["text"]
    if not isinstance(text, str):
        raise TypeError("text")
    segments = answer.get("segments") or []
    heard = [segment for segment in segments if not _is_silent(segment)]
    listed = answer.get("words") or [word for one in heard for word in one.get("words") or []]
    if len(heard) < len(segments):
        text = "".join(str(segment["text"]) for segment in heard)
        listed = [word for word in listed if any(_is_within(word, segment) for segment in heard)]
    return Transcript(
        " ".join(text.split()),
        _confidence(heard, answer.get("logprobs") or []),
        _words(listed),
        _language(answer),
    )


def _is_silent(segment: dict[str, Any]) -> bool:
    return (
        float(segment.get("no_speech_prob") or 0) > _SILENT_PROBABILITY
        and float(segment.get("avg_logprob") or 0) < _SILENT_LOGPROB
    )


def _is_within(word: dict[str, Any], segment: dict[str, Any]) -> bool:
    return float(segment["start"]) <= float(word["start"]) < float(segment["end"])


def _words(listed: Sequence[dict[str, Any]]) -> tuple[Word, ...]:
    """Whole words; tokens that begin with no space go on with the word before them."""
    tokens = any(str(one["word"]).startswith(" ") for one in listed)
    words: list[Word] = []
    for one in listed:
        if "start" not in one:
            return ()
        text, start, end = str(one["word"]), float(one["start"]), float(one["end"])
        sure = min(1.0, max(0.0, float(one.get("probability") or 1.0)))
        start_ms, end_ms = round(start * 1000), round(max(start, end) * 1000)
        if words and tokens and not text.startswith(" "):
            last = words.pop()
            text, start_ms, sure = last.text + text, last.start_ms, min(sure, last.confidence)
        if text.strip():
            words.append(Word(text.strip(), start_ms, end_ms, sure))
    return tuple(words)


def _confidence(segments: Sequence[dict[str, Any]], logprobs: Sequence[dict[str, Any]]) -> float:
    weighted = [
        (len(str(segment.get("text", ""))) or 1, float(segment["avg_logprob"]))
        for segment in segments
        if isinstance(segment.get("avg_logprob"), int | float)
    ] or [(1, float(token["logprob"])) for token in logprobs]
    if not weighted:
        return 1.0
    mean = sum(weight * value for weight, value in weighted) / sum(w for w, _ in weighted)
    return math.exp(min(0.0, mean)) if math.isfinite(mean) else 0.0


def _language(answer: dict[str, Any]) -> str:
    """A code: some servers give English names, the newest models a list."""
    listed = answer.get("languages") or []
    named = listed[0].get("code") if listed else answer.get("language")
    name = str(named or "").strip().lower()
    return name if len(name) <= 3 else _CODES.get(name, "")


def _wav(pcm: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(INPUT_RATE_HZ)
        wav.writeframes(pcm)
    return file.getvalue()
