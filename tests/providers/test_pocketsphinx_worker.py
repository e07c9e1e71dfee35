"""What a recogniser process tells while somebody speaks, without the process."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agent.test_flow import CAFE
from tests.providers.test_pocketsphinx import ORDERS, frames_of

from antiphon.providers.stt import _pocketsphinx_wire as wire
from antiphon.providers.stt._pocketsphinx_model import make_model
from antiphon.providers.stt._pocketsphinx_worker import Worker, common_words

BATCH = 5


class Room:
    """A worker, and what it has told; audio comes in as fast as it works."""

    def __init__(self, folder: Path) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        decoder = {"lw": 8.0, "fwdflatlw": 10.0, "bestpathlw": 11.0}
        options = {"folder": str(folder), "reject_below": 0.6, "decoder": decoder}
        self.worker = Worker(self._theirs, options)

    def close(self) -> None:
        self._ours.close()
        self._theirs.close()

    def say(
        self, kind: bytes, number: int, pcm: bytes = b"", *, over_agent: bool = True
    ) -> list[str]:
        """The texts of the partials that came of it."""
        self.worker._on_message(kind, 1, number, int(over_agent), pcm)
        while (utterance := self.worker._next()) is not None:
            self.worker._work(utterance)
        try:
            lines = self._ours.recv(1 << 20).splitlines()
        except BlockingIOError:
            return []
        told = [json.loads(line) for line in lines]
        return [event["text"] for event in told if event["type"] == "partial"]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    cache = tmp_path_factory.getbasetemp().parent / "pocketsphinx-cache"
    made = Room(make_model(CAFE.sentences(), {}, cache).folder)
    yield made
    made.close()


def heard(room: Room, frames: list[bytes], number: int, *, over_agent: bool = True) -> list[str]:
    told = room.say(wire.BEGIN, number, b"".join(frames[:25]), over_agent=over_agent)
    for at in range(25, len(frames), BATCH):
        told += room.say(wire.AUDIO, number, b"".join(frames[at : at + BATCH]))
    room.say(wire.END, number)
    return told


def test_the_first_words_told_were_said(room: Room) -> None:
    for number, item in enumerate(ORDERS):
        told = heard(room, frames_of(item["file"]), number)
        assert set(told[0].split()) <= set(item["transcript"].split())
        assert len(told) > 2


def test_what_interrupts_nobody_is_told_as_it_comes(room: Room) -> None:
    item = ORDERS[0]
    frames = frames_of(item["file"])
    raw = heard(room, frames, 50, over_agent=False)
    checked = heard(room, frames, 51)
    assert len(raw) >= len(checked)
    assert raw[-1] == checked[-1]


def test_nothing_is_told_of_a_hiss(room: Room) -> None:
    hiss = [bytes((n * n * 7919 >> 5) % 251 if n % 2 == 0 else 0 for n in range(640))] * 150
    assert heard(room, hiss, 100) == []


def test_words_that_both_passes_have() -> None:
    assert common_words(["a", "me", "a", "think"], ["give", "me", "a"]) == ["me", "a"]
    assert common_words(["the"], ["um", "latte"]) == []
