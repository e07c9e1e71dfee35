"""A recogniser process: decodes the utterances of many calls, one slice at a time.

pocketsphinx holds the GIL, so it may not run in the server's process. Started as
`python -m antiphon.providers.stt._pocketsphinx_worker SOCKET_FD OPTIONS_JSON`; ends when the
socket does.

The audio of an utterance is decoded while it comes in. A final ends the decoder's utterance, which
runs its second pass; should the caller speak on, the audio kept is decoded again from the start, at
twenty times the speed of speech. An utterance longer than `FREEZE_MS` is frozen at its next
final, and at the latest after `WINDOW_MS`: its words stay as they are, its audio is dropped.
So a monologue costs bounded memory, and about 0.1 core while it lasts.

The first words that are said over the agent decide whether they interrupt it, and the decoder makes
words of breaths and of voices in the background, too. So they are told only once *checked*: the
second pass finds them as well, with a posterior that a final would need. Its price is that the
audio is decoded again from the start; once two words were found, the rest is taken as it comes.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
from collections import deque
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from antiphon.providers.stt import _pocketsphinx_wire as wire
from antiphon.providers.stt._pocketsphinx_model import (
    ModelFiles,
    acoustic_model,
    completeness,
)

SLICE_BYTES = 200 * wire.BYTES_PER_MS
"""Audio decoded before other calls get their turn: about 10 ms of work."""
PARTIAL_BYTES = 100 * wire.BYTES_PER_MS
"""New audio that makes a new partial worthwhile."""
YOUNG_BYTES = 2000 * wire.BYTES_PER_MS
"""Up to here, lead included, every new partial is checked; later ones at half as much audio again
each, as what was not understood by now is seldom understood later."""
SAME_BYTES = 250 * wire.BYTES_PER_MS
"""New audio that makes it worthwhile to check the same words again."""
TRUSTED_WORDS = 2
"""So many checked words, and the utterance is one that we understand."""
RESUME_BYTES = 400 * wire.BYTES_PER_MS
"""Audio after a final before it is decoded again: after most finals comes only silence."""
FREEZE_MS = 12_000
WINDOW_MS = 24_000
MAX_DECODERS = 16
"""About 9 MB each, and as many as one core can follow. When more callers speak at once, partials
stop for those who spoke first; their finals come all the same."""
FRAME_MS = 10


@dataclass(slots=True)
class Utterance:
    """One utterance of one call. `audio` begins after what was frozen."""

    stream: int
    number: int
    audio: bytearray = field(default_factory=bytearray)
    decoded: int = 0
    decoder: Any = None
    revision: int | None = None
    final_at: int = 0
    resting: bool = False
    shown: str = ""
    shown_at: int = 0
    checked: str = ""
    checked_at: int = 0
    trusted: bool = False
    frozen_ms: int = 0

    def has_work(self) -> bool:
        if self.revision is not None:
            return True
        pending = len(self.audio) - self.decoded
        if self.resting:
            return len(self.audio) - self.final_at >= RESUME_BYTES
        return pending > 0 and self.decoder is not None


class Worker:
    """All streams of this process."""

    def __init__(self, connection: socket.socket, options: dict[str, Any]) -> None:
        self._socket = connection
        self._files = ModelFiles(Path(options["folder"]))
        self._decoder_options = options["decoder"]
        self._reject_below = float(options["reject_below"])
        self._ends: dict[str, float] = json.loads(self._files.ends.read_text(encoding="utf-8"))
        self._utterances: dict[int, Utterance] = {}
        self._order: deque[int] = deque()
        self._means: dict[int, str] = {}
        self._free = [self._new_decoder()]
        self._decoders = 1
        self._initial_mean: str = self._free[0].get_cmn(False)
        self._inbox = bytearray()

    def _new_decoder(self) -> Any:
        from pocketsphinx import Decoder

        return Decoder(
            hmm=str(acoustic_model() / "en-us"),
            lm=str(self._files.language_model),
            dict=str(self._files.dictionary),
            loglevel="FATAL",
            **self._decoder_options,
        )

    def run(self) -> None:
        self._tell(type="ready")
        while True:
            ready = [u for u in self._utterances.values() if u.has_work()]
            wait = 0 if ready else None
            if select.select([self._socket], [], [], wait)[0] and not self._receive():
                return
            if utterance := self._next():
                self._work(utterance)

    def _next(self) -> Utterance | None:
        """Whoever waits for a final goes first; partials take turns."""
        for stream in self._order:
            utterance = self._utterances[stream]
            if utterance.revision is not None:
                return utterance
        for _ in range(len(self._order)):
            self._order.rotate(-1)
            utterance = self._utterances[self._order[-1]]
            if utterance.has_work():
                return utterance
        return None

    # ---- messages --------------------------------------------------------------------------

    def _receive(self) -> bool:
        data = self._socket.recv(1 << 18)
        if not data:
            return False
        self._inbox += data
        at, size = 0, wire.HEADER.size
        while len(self._inbox) - at >= size:
            kind, stream, number, revision, length = wire.HEADER.unpack_from(self._inbox, at)
            if len(self._inbox) - at - size < length:
                break
            body = bytes(self._inbox[at + size : at + size + length])
            at += size + length
            self._on_message(kind, stream, number, revision, body)
        del self._inbox[:at]
        return True

    def _on_message(
        self, kind: bytes, stream: int, number: int, revision: int, body: bytes
    ) -> None:
        if kind == wire.BEGIN:
            before = self._utterances.get(stream)
            if before is not None and before.revision is not None:
                self._work(before)  # its final is owed, although the caller speaks on
            self._drop(stream)
            begun = Utterance(stream, number, bytearray(body), trusted=not revision)
            self._utterances[stream] = begun
            self._order.append(stream)
            self._give_decoder(begun)
            return
        if kind == wire.CLOSE:
            self._drop(stream)
            self._means.pop(stream, None)
            return
        utterance = self._utterances.get(stream)
        if utterance is None or utterance.number != number:
            return
        if kind == wire.AUDIO:
            utterance.audio += body
        elif kind == wire.FINALIZE:
            utterance.revision = revision
        elif kind == wire.END:
            self._drop(stream)

    def _tell(self, **event: Any) -> None:
        self._socket.sendall(json.dumps(event).encode() + b"\n")

    # ---- decoders --------------------------------------------------------------------------

    def _give_decoder(self, utterance: Utterance) -> None:
        if not self._free and self._decoders >= MAX_DECODERS:
            holder = next(u for u in self._utterances.values() if u.decoder is not None)
            self._take_decoder(holder)
        if not self._free:
            self._free.append(self._new_decoder())
            self._decoders += 1
        decoder = self._free.pop()
        decoder.set_cmn(self._means.get(utterance.stream, self._initial_mean))
        decoder.start_utt()
        utterance.decoder, utterance.decoded, utterance.resting = decoder, 0, False
        utterance.shown_at = 0

    def _take_decoder(self, utterance: Utterance, ended: bool = False) -> None:
        if utterance.decoder is None:
            return
        if not ended:
            utterance.decoder.end_utt()
        self._free.append(utterance.decoder)
        utterance.decoder = None

    def _drop(self, stream: int) -> None:
        utterance = self._utterances.pop(stream, None)
        if utterance is not None:
            self._order.remove(stream)
            self._take_decoder(utterance)

    # ---- work ------------------------------------------------------------------------------

    def _work(self, utterance: Utterance) -> None:
        if utterance.decoder is None:
            self._give_decoder(utterance)
        if utterance.revision is not None:
            self._decode(utterance, len(utterance.audio))
            self._final(utterance)
            return
        self._decode(utterance, utterance.decoded + SLICE_BYTES)
        caught_up = utterance.decoded >= len(utterance.audio)
        if caught_up and utterance.decoded - utterance.shown_at >= PARTIAL_BYTES:
            utterance.shown_at = utterance.decoded
            self._partial(utterance)
        if utterance.decoded >= WINDOW_MS * wire.BYTES_PER_MS:
            text, _, _ = self._end(utterance)
            self._freeze(utterance, text, utterance.decoded)

    def _decode(self, utterance: Utterance, until: int) -> None:
        until = min(until, len(utterance.audio)) & ~1
        if until > utterance.decoded:
            utterance.decoder.process_raw(bytes(utterance.audio[utterance.decoded : until]))
            utterance.decoded = until

    def _partial(self, utterance: Utterance) -> None:
        hypothesis = utterance.decoder.hyp()
        text = hypothesis.hypstr if hypothesis else ""
        if text and not utterance.trusted:
            if not self._check_is_due(utterance, text):
                return
            text = self._checked(utterance, text)
        if text != utterance.shown:
            utterance.shown = text
            self._tell(
                type="partial",
                stream=utterance.stream,
                utterance=utterance.number,
                text=text,
                complete=completeness(text.split(), self._ends),
            )

    def _check_is_due(self, utterance: Utterance, text: str) -> bool:
        new = utterance.decoded - utterance.checked_at
        if utterance.decoded > YOUNG_BYTES:
            return new >= utterance.checked_at // 2
        return text != utterance.checked or new >= SAME_BYTES

    def _checked(self, utterance: Utterance, text: str) -> str:
        """The words of a partial that the second pass has found, too."""
        utterance.checked, utterance.checked_at = text, utterance.decoded
        again, _, _ = self._end(utterance, learns=False)
        self._give_decoder(utterance)
        utterance.shown_at = utterance.checked_at
        words = common_words(text.split(), again.split())
        utterance.trusted = len(words) >= TRUSTED_WORDS
        return " ".join(words)

    def _end(
        self, utterance: Utterance, *, learns: bool = True
    ) -> tuple[str, float, list[tuple[str, int, int, float]]]:
        """Finish the decoder's utterance: text, confidence, words."""
        decoder = utterance.decoder
        decoder.end_utt()
        words = []
        for part in decoder.seg() if decoder.hyp() else ():
            word = part.word.partition("(")[0]
            if word[0] in "<[":
                continue
            start = utterance.frozen_ms + part.start_frame * FRAME_MS
            end = utterance.frozen_ms + (part.end_frame + 1) * FRAME_MS
            words.append((word, start, end, round(min(1.0, part.prob), 4)))
        if words and learns:
            self._learn_mean(utterance)
        self._take_decoder(utterance, ended=True)
        confidence = sum(w[3] for w in words) / len(words) if words else 0.0
        if confidence < self._reject_below:
            words = []
        return " ".join(w[0] for w in words), confidence, words

    def _learn_mean(self, utterance: Utterance) -> None:
        """The channel's cepstral mean for the next utterance: half of what is known already, as
        one short utterance is as much its words as its microphone."""
        old = self._means.get(utterance.stream, self._initial_mean).split(",")
        new = utterance.decoder.get_cmn(True).split(",")
        mean = (0.5 * (float(a) + float(b)) for a, b in zip(old, new, strict=True))
        self._means[utterance.stream] = ",".join(f"{value:.4f}" for value in mean)

    def _final(self, utterance: Utterance) -> None:
        revision, utterance.revision = utterance.revision, None
        text, confidence, words = self._end(utterance)
        utterance.final_at, utterance.resting = len(utterance.audio), True
        utterance.trusted |= len(words) >= TRUSTED_WORDS
        self._tell(
            type="final",
            stream=utterance.stream,
            utterance=utterance.number,
            revision=revision,
            text=text,
            confidence=round(confidence, 4),
            complete=completeness(text.split(), self._ends),
            words=words,
        )
        if len(utterance.audio) > FREEZE_MS * wire.BYTES_PER_MS:
            self._freeze(utterance, text, len(utterance.audio))

    def _freeze(self, utterance: Utterance, text: str, size: int) -> None:
        self._tell(
            type="frozen",
            stream=utterance.stream,
            utterance=utterance.number,
            text=text,
            bytes=size,
        )
        del utterance.audio[:size]
        utterance.frozen_ms += size // wire.BYTES_PER_MS
        utterance.decoded = utterance.final_at = utterance.shown_at = utterance.checked_at = 0
        utterance.shown = ""
        utterance.resting = True


def common_words(one: list[str], other: list[str]) -> list[str]:
    """The words that both have, in their order."""
    blocks = SequenceMatcher(None, one, other, autojunk=False).get_matching_blocks()
    return [word for block in blocks for word in one[block.a : block.a + block.size]]


def main() -> None:
    """Run until the server closes the socket."""
    # The server handles Ctrl-C, and then closes the socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # pocketsphinx writes to file descriptor 2 by the thousand lines; tracebacks must still be seen.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.setblocking(True)
    try:
        Worker(connection, json.loads(sys.argv[2])).run()
    except (BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    main()
