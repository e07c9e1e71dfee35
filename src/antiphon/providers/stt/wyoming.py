"""Any recogniser that speaks Wyoming, the protocol of Home Assistant's voice services
(https://github.com/OHF-Voice/wyoming).

`transcribe`, `audio-start`, `audio-chunk`, `audio-stop` are answered with `transcript`, and by
servers that stream with `transcript-chunk` before it. A connection is for one transcript, as they
expect; closing it is the only way to cancel. The first one of an utterance takes the sound while it
is spoken. When the speaker goes on after a final text, all is sent again: the text is of the whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from pydantic import Field

from antiphon.errors import ProviderError
from antiphon.net import wyoming
from antiphon.providers.base import AgentHints, ProviderOptions, SttEvent, Traits
from antiphon.providers.stt._wyoming_request import Request
from antiphon.providers.stt.segmented import PREROLL_MS, SegmentedStream, Transcript
from antiphon.types import FRAME_MS

_NAME = "wyoming"
MAX_TERMS = 200
_log = logging.getLogger("antiphon.stt")


class WyomingSttOptions(ProviderOptions):
    """Options of a recogniser behind Wyoming."""

    base_url: str = Field(
        default="tcp://127.0.0.1:10300", description="`tcp://HOST:PORT` or `unix:///PATH`."
    )
    model: str | None = Field(
        default=None, max_length=200, description="One of the server's models; else its choice."
    )
    language: str | None = Field(
        default=None, max_length=40, description="What is spoken (`de`, `en-GB`); the agent's."
    )
    keywords: bool = Field(default=True, description="Tell it the agent's vocabulary.")
    live: bool = Field(default=True, description="Send the sound while it is spoken.")
    connect_ms: int = Field(default=3000, ge=10, le=60_000, description="Longest connecting.")
    final_ms: int = Field(
        default=8000, ge=50, le=60_000, description="Longest wait for a final text."
    )


class WyomingStt:
    """Any Wyoming recogniser, such as those of Home Assistant. Partial texts where it streams."""

    Options = WyomingSttOptions
    traits = Traits(where="server", can=("partials", "keywords", "languages"))

    def __init__(self, options: WyomingSttOptions, hints: AgentHints) -> None:
        self._options = options
        self._request: dict[str, Any] = {"language": options.language or hints.language}
        if options.model is not None:
            self._request["name"] = options.model
        if options.keywords and hints.vocabulary:
            self._request["transcript_terms"] = list(hints.vocabulary[:MAX_TERMS])

    async def start(self) -> None:
        """Ask the server which languages it has. One that is not there yet is a warning."""
        try:
            info = await self._describe()
        except ProviderError as error:
            _log.warning("stt not ready", extra={"provider": _NAME, "error": str(error)})
            return
        languages = _languages(info)
        wanted = _plain(self._request["language"])
        same = [one for one in languages if _plain(one) == wanted]
        main = wanted.partition("-")[0]
        same += [one for one in languages if _plain(one).partition("-")[0] == main]
        if same:
            self._request["language"] = same[0]
        elif languages:
            extra = {"language": wanted, "url": self._options.base_url}
            _log.warning("the Wyoming server does not list this language", extra=extra)

    async def aclose(self) -> None:
        """Nothing is open between utterances."""

    async def open(self) -> WyomingStream:
        return WyomingStream(self._options, self._request)

    async def _describe(self) -> Mapping[str, Any]:
        within_ms = self._options.connect_ms
        link = await wyoming.open(self._options.base_url, _NAME, within_ms=within_ms)
        try:
            await link.send("describe", within_ms=within_ms)
            while (event := await link.recv(within_ms=within_ms)).type != "info":
                pass
            return event.data
        finally:
            await link.aclose()


class WyomingStream:
    """One call's transcription: a `SegmentedStream` whose first request is begun early."""

    def __init__(self, options: WyomingSttOptions, request: Mapping[str, Any]) -> None:
        self._options, self._request = options, request
        self._segments = SegmentedStream(_NAME, self._transcribe, final_ms=options.final_ms)
        self._ring: deque[bytes] = deque(maxlen=PREROLL_MS // FRAME_MS)
        self._utterance_id = -1
        self._early: Request | None = None
        self._requests: set[asyncio.Task[Transcript]] = set()

    def push(self, pcm: bytes) -> None:
        self._ring.append(pcm)
        self._segments.push(pcm)
        if self._early is not None:
            self._early.add(pcm)

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        self._drop()
        self._utterance_id = utterance_id
        self._segments.begin(utterance_id, preroll_ms, over_agent)
        if self._options.live:
            frames = -(-preroll_ms // FRAME_MS)
            self._early = self._ask(b"".join(list(self._ring)[-frames:] if frames else []))

    def finalize(self, utterance_id: int, revision: int) -> None:
        self._segments.finalize(utterance_id, revision)

    def end(self, utterance_id: int) -> None:
        self._segments.end(utterance_id)
        if utterance_id == self._utterance_id:
            self._drop()

    def events(self) -> AsyncIterator[SttEvent]:
        return self._segments.events()

    async def aclose(self) -> None:
        self._drop()
        await self._segments.aclose()
        if self._requests:
            await asyncio.wait(self._requests)

    async def _transcribe(self, pcm: bytes) -> Transcript:
        early, self._early = self._early, None
        # One that is done has failed, or heard an end before there was one.
        if early is None or early.task.done():
            early = self._ask(pcm)
        early.finish(pcm)
        return await early.task

    def _ask(self, audio: bytes) -> Request:
        request = Request(
            self._options.base_url,
            self._request,
            audio,
            self._segments.tell_partial,
            (self._options.connect_ms, self._options.final_ms),
        )
        self._requests.add(request.task)
        request.task.add_done_callback(self._forget)
        return request

    def _drop(self) -> None:
        if self._early is not None:
            self._early.task.cancel()
            self._early = None

    def _forget(self, task: asyncio.Task[Transcript]) -> None:
        self._requests.discard(task)
        _ = task.cancelled() or task.exception()  # nobody may have waited for it


def _languages(info: Mapping[str, Any]) -> list[str]:
    """Those of all models of an `info`, whatever else is in it."""
    found: list[str] = []
    for program in _dicts(info.get("asr")):
        for model in _dicts(program.get("models")):
            languages = model.get("languages")
            if isinstance(languages, list):
                found += [one for one in languages if isinstance(one, str)]
    return found


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _plain(language: str) -> str:
    return language.replace("_", "-").lower()
