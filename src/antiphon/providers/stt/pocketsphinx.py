"""Speech to text on this machine: pocketsphinx with a language model of what callers may say.

It understands the agent's own domain and rejects the rest. No network, no key. English only: that
is the acoustic model that comes with the package. The model is of wideband speech; a telephone's
sound is given the upper half that it lacks.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from antiphon.audio.narrowband import UpperBand
from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import (
    AgentHints,
    FinalText,
    PartialText,
    ProviderOptions,
    SttEvent,
    Traits,
)
from antiphon.providers.stt import _pocketsphinx_wire as wire
from antiphon.providers.stt._pocketsphinx_model import make_model, speakable
from antiphon.providers.stt._pocketsphinx_pool import Process, start_processes
from antiphon.types import FRAME_BYTES, FRAME_MS, Word

RING_MS = 1000
"""Kept while nobody speaks, for the beginning of the next utterance."""
LEAD_MS = 240
"""Taken before the detected onset: detectors miss a soft first consonant, and the recogniser wants
a little silence."""
BATCH_BYTES = 5 * FRAME_BYTES
"""Frames go to the process by five: partials come every 100 to 200 ms anyway."""
INTERJECTION_SHARE = 600
"""One in so many utterances is a certain interjection, so that a hum need not be a word."""
MAX_AUDIO_BYTES = 60_000 * wire.BYTES_PER_MS
"""The process frees audio after 24 s at the latest; one that has not is stuck."""
MAX_PREFIX_CHARS = 4000
"""A monologue's oldest words are dropped beyond this."""


class PocketsphinxOptions(ProviderOptions):
    """Options of `stt: pocketsphinx`."""

    workers: int = Field(
        default=0, ge=0, le=64, description="Recogniser processes; 0 is one per core but one."
    )
    reject_below: float = Field(
        default=0.6,
        ge=0,
        le=1,
        description="Mean word posterior below which nothing was understood.",
    )
    language_weight: float = Field(
        default=8.0,
        gt=0,
        le=30,
        description="How much the language model counts against the sound.",
    )
    cache_dir: Path | None = Field(
        default=None, description="Where models are kept; by default the user's cache folder."
    )


class PocketsphinxStt:
    """Recognises what the agent is about, on this machine; English. Processes share the calls."""

    Options = PocketsphinxOptions
    traits = Traits(can=("partials", "keywords"))

    def __init__(self, options: PocketsphinxOptions, hints: AgentHints) -> None:
        if hints.language.split("-")[0] != "en":
            raise UserFacingError(
                f"pocketsphinx understands English only, not {hints.language!r}: "
                "choose another `stt`, or set `language: en`"
            )
        self._options, self._hints = options, hints
        self._processes: list[Process] = []
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        """Make the model, or find it, and start the processes. Raises ProviderError."""
        sentences = list(self._hints.sentences)
        # Words that occur in sentences must not become sentences of their own: the model would
        # learn that an utterance may end after "with".
        known = {word for sentence in sentences for word in speakable(sentence).split()}
        extra = dict.fromkeys((*self._hints.vocabulary, *self._hints.pronunciations))
        sentences += [word for word in extra if not known.issuperset(speakable(word).split())]
        if not any(sentences):
            raise UserFacingError(
                "pocketsphinx needs to know what callers say: give the agent a `flow` or a "
                "`vocabulary`, or choose another `stt`"
            )
        often = max(1, len(sentences) // INTERJECTION_SHARE)
        sentences += [said for said in self._hints.interjections for _ in range(often)]
        files = await asyncio.to_thread(
            make_model, sentences, self._hints.pronunciations, self._options.cache_dir
        )
        options = {
            "folder": str(files.folder),
            "reject_below": self._options.reject_below,
            "decoder": {
                "lw": self._options.language_weight,
                "fwdflatlw": self._options.language_weight + 2,
                "bestpathlw": self._options.language_weight + 3,
            },
        }
        count = self._options.workers or max(1, (os.cpu_count() or 1) - 1)
        await start_processes(count, options, self._processes.append)

    async def aclose(self) -> None:
        for process in self._processes:
            await process.aclose()
        self._processes.clear()

    async def open(self) -> PocketsphinxStream:
        """A stream on the process with the fewest calls."""
        if not self._processes:
            raise ProviderError("not started", provider="pocketsphinx", retryable=False)
        process = min(self._processes, key=lambda p: len(p.streams))
        process.revive()
        return PocketsphinxStream(next(self._numbers), process)


@dataclass(slots=True)
class _Owed:
    """The utterance before, when speech went on without a pause: its final is still to come."""

    utterance: int
    revision: int
    prefix: str


def _join(prefix: str, text: str) -> str:
    return " ".join(part for part in (prefix, text) if part)


class PocketsphinxStream:
    """One call. Keeps the audio of the utterance under way, so that a process may be replaced."""

    def __init__(self, number: int, process: Process) -> None:
        self._number, self._process = number, process
        self._ring: deque[bytes] = deque(maxlen=RING_MS // FRAME_MS)
        self._upper_band = UpperBand()
        self._utterance: int | None = None
        self._over_agent = False
        self._audio = bytearray()
        self._sent = 0
        self._asked: int | None = None
        self._owed: _Owed | None = None
        self._prefix = ""
        self._prefix_complete: float | None = None
        self._results: deque[SttEvent] = deque()
        self._error: ProviderError | None = None
        self._closed = False
        self._wake = asyncio.Event()
        process.streams[number] = self

    # ---- from the session ------------------------------------------------------------------

    def push(self, pcm: bytes) -> None:
        """Take a frame. Raises ProviderError once the stream has failed."""
        self._check()
        pcm = self._upper_band.fill(pcm)
        self._ring.append(pcm)
        if self._utterance is None:
            return
        self._audio += pcm
        if len(self._audio) > MAX_AUDIO_BYTES:
            self.fail(
                ProviderError(
                    "the recogniser is far behind", provider="pocketsphinx", retryable=True
                )
            )
            self._check()
        if len(self._audio) - self._sent >= BATCH_BYTES:
            self._flush()

    def begin(self, utterance_id: int, preroll_ms: int, over_agent: bool = False) -> None:
        """Begin with what the ring holds from a little before the onset."""
        self._check()
        if self._utterance is not None and self._asked is not None:
            self._owed = _Owed(self._utterance, self._asked, self._prefix)
        count = min(len(self._ring), -(-(preroll_ms + LEAD_MS) // FRAME_MS))
        self._utterance, self._asked, self._prefix = utterance_id, None, ""
        self._audio = bytearray(b"".join(list(self._ring)[len(self._ring) - count :]))
        self._sent = len(self._audio)
        self._over_agent = over_agent
        self._process.send(self._begin_message(utterance_id))

    def _begin_message(self, utterance_id: int) -> bytes:
        # In place of a revision: whether the first words are to be checked.
        checked = int(self._over_agent)
        return wire.pack(wire.BEGIN, self._number, utterance_id, checked, bytes(self._audio))

    def finalize(self, utterance_id: int, revision: int) -> None:
        self._check()
        if utterance_id != self._utterance:
            return
        self._flush()
        self._asked = revision
        self._process.expect_answer(self._number)
        self._process.send(wire.pack(wire.FINALIZE, self._number, utterance_id, revision))

    def end(self, utterance_id: int) -> None:
        if self._owed is not None and utterance_id == self._owed.utterance:
            self._settle_owed()
        if utterance_id != self._utterance:
            return
        self._utterance, self._asked = None, None
        self._audio = bytearray()
        self._process.forget_answer(self._number)
        if self._error is None and not self._closed:
            self._process.send(wire.pack(wire.END, self._number, utterance_id))

    async def events(self) -> AsyncIterator[SttEvent]:
        while True:
            while self._results:
                yield self._results.popleft()
            if self._error is not None:
                raise self._error
            if self._closed:
                return
            self._wake.clear()
            await self._wake.wait()

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._process.streams.pop(self._number, None)
        self._process.forget_answer(self._number)
        self._utterance = None
        if self._error is None:
            self._process.send(wire.pack(wire.CLOSE, self._number))
        self._wake.set()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _flush(self) -> None:
        if self._utterance is None or self._sent >= len(self._audio):
            return
        body = bytes(self._audio[self._sent :])
        self._sent = len(self._audio)
        self._process.send(wire.pack(wire.AUDIO, self._number, self._utterance, 0, body))

    # ---- from the process ------------------------------------------------------------------

    def on_event(self, event: dict[str, Any]) -> None:
        if self._owed is not None and event["utterance"] == self._owed.utterance:
            self._on_owed(self._owed, event)
        if event["utterance"] != self._utterance:
            return
        match event["type"]:
            case "partial":
                self._put(
                    PartialText(
                        event["utterance"], _join(self._prefix, event["text"]), event["complete"]
                    )
                )
            case "final":
                self._on_final(event)
            case "frozen":
                del self._audio[: event["bytes"]]
                self._sent -= event["bytes"]
                self._prefix = _join(self._prefix, event["text"])[-MAX_PREFIX_CHARS:]

    def _on_owed(self, owed: _Owed, event: dict[str, Any]) -> None:
        if event["type"] == "frozen":
            owed.prefix = _join(owed.prefix, event["text"])[-MAX_PREFIX_CHARS:]
        elif event["type"] == "final" and event["revision"] == owed.revision:
            self._put_final(event, owed.prefix)
            self._settle_owed()

    def _settle_owed(self) -> None:
        self._owed = None
        if self._asked is None:
            self._process.forget_answer(self._number)

    def _on_final(self, event: dict[str, Any]) -> None:
        if event["revision"] == self._asked:
            self._asked = None
            self._process.forget_answer(self._number)
        self._put_final(event, self._prefix)

    def _put_final(self, event: dict[str, Any], prefix: str) -> None:
        self._put(
            FinalText(
                utterance_id=event["utterance"],
                revision=event["revision"],
                text=_join(prefix, event["text"]),
                confidence=event["confidence"],
                complete=event["complete"],
                words=tuple(Word(*word) for word in event["words"]),
            )
        )

    def replay(self) -> bytes:
        if self._utterance is None:
            return b""
        self._sent = len(self._audio)
        if self._owed is not None:
            # Its audio is gone with the process; what was frozen of it is what is left.
            owed, self._owed = self._owed, None
            self._put(FinalText(owed.utterance, owed.revision, owed.prefix, confidence=0.0))
        data = self._begin_message(self._utterance)
        if self._asked is not None:
            self._process.expect_answer(self._number)
            data += wire.pack(wire.FINALIZE, self._number, self._utterance, self._asked)
        return data

    def fail(self, error: ProviderError) -> None:
        self._error = error
        self._wake.set()

    def _put(self, event: SttEvent) -> None:
        # Only the newest partial matters, so a slow reader never finds more than one.
        if self._results and isinstance(self._results[-1], PartialText):
            self._results.pop()
        self._results.append(event)
        self._wake.set()
