"""Recognisers of this process as live streams."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from tests.support.stt_talk import read_final, say, speak, until

from antiphon.providers.base import FinalText, PartialText
from antiphon.providers.stt.local import CHUNK_MS, open_stream
from antiphon.providers.stt.wire import Piece, Told
from antiphon.types import Word


class Counting:
    """Tells how many milliseconds it has heard since it was asked last."""

    def __init__(self) -> None:
        self.heard_ms, self.begin_ms = 0, 0
        self.threads: set[int] = set()
        self.at_once = self.most = 0
        self.gate = threading.Event()
        self.gate.set()

    def accept(self, pcm: bytes) -> Sequence[Told]:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.threads.add(threading.get_ident())
        self.gate.wait(5)
        self.heard_ms += len(pcm) // 32
        self.at_once -= 1
        return (self._piece(final=False),)

    def finish(self) -> Sequence[Told]:
        piece, self.begin_ms = self._piece(final=True), self.heard_ms
        return (piece,)

    def _piece(self, *, final: bool) -> Piece:
        text = f"{self.heard_ms - self.begin_ms} ms"
        return Piece(text, final, words=(Word(text, self.begin_ms, self.heard_ms),))


async def test_its_work_is_done_in_threads_and_in_order() -> None:
    decoder = Counting()
    stream = open_stream("some", lambda: decoder, 2000)
    stream.begin(1, 0)
    speak(stream, 50)
    stream.finalize(1, 1)
    final, before = await read_final(stream)
    assert final == FinalText(1, 1, "1000 ms", words=(Word("1000 ms", 0, 1000),))
    assert before[0] == PartialText(1, f"{CHUNK_MS} ms")
    assert threading.get_ident() not in decoder.threads
    assert decoder.most == 1
    # The next utterance knows nothing of the one before.
    stream.end(1)
    again = await say(stream, 2, 10)
    assert (again.text, again.words) == ("200 ms", (Word("200 ms", 0, 200),))
    await stream.aclose()


async def test_closing_does_not_wait_for_a_thread() -> None:
    decoder = Counting()
    decoder.gate.clear()
    stream = open_stream("some", lambda: decoder, 2000)
    stream.begin(1, 0)
    speak(stream, 50)
    await until(lambda: decoder.at_once)
    async with asyncio.timeout(20):
        await stream.aclose()
    decoder.gate.set()
    await asyncio.sleep(0.02)
    assert decoder.heard_ms == CHUNK_MS


async def test_a_decoder_that_is_stuck_is_left_to_its_thread() -> None:
    decoders: list[Counting] = []

    def make() -> Counting:
        decoders.append(Counting())
        return decoders[-1]

    stream = open_stream("some", make, 100)
    stream.begin(1, 0)
    speak(stream, 5)
    await until(lambda: decoders and decoders[0].heard_ms == CHUNK_MS)
    decoders[0].gate.clear()
    speak(stream, 20)
    stream.finalize(1, 1)
    final, _ = await read_final(stream)
    # Another one hears all of it.
    assert final.text == f"{5 * CHUNK_MS} ms"
    assert len(decoders) == 2
    decoders[0].gate.set()
    await stream.aclose()
