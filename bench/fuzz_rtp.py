"""Broken RTP and RTCP to what a line does with a datagram."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

from bench.fuzz_mutate import mutate

from antiphon.channels.rtp.codec import OPUS, PCMA, PCMU, TELEPHONE_EVENT, Codec
from antiphon.channels.rtp.keys import KeyReceiver
from antiphon.channels.rtp.opus import opus_available
from antiphon.channels.rtp.packet import (
    Report,
    ReportBlock,
    RtpPacket,
    is_rtcp,
    make_report,
    make_rtp,
    parse_rtcp,
    parse_rtp,
)
from antiphon.channels.rtp.receive import Receiver
from antiphon.channels.rtp.send import Sender
from antiphon.channels.rtp.source import Source
from antiphon.types import FRAME_BYTES

MOST_FRAMES = 200
"""Frames that one datagram may give: half a second is made up at most, and 60 packets may wait."""
_CODECS = [PCMU, PCMA, *([OPUS] if opus_available() else [])]


class RtpTarget:
    """One episode: a line, its peer, and a stranger."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.now_s = 100.0
        codecs = {one.payload_type: one for one in (*_CODECS, TELEPHONE_EVENT)}
        self._codecs: dict[int, Codec] = codecs
        self._receiver = Receiver(codecs)
        self._source = Source(("192.0.2.9", 40_000))
        self._keys = KeyReceiver()
        self._sender = Sender(PCMU, codecs, 101)
        self._ssrc, self._sequence, self._timestamp = 7, rng.randrange(65536), rng.randrange(2**32)
        self._pool = [self._whole()]

    def step(self) -> bytes:
        rng = self._rng
        data = self._whole()
        if rng.random() < 0.7:
            data = mutate(rng, data, self._pool)
        if len(self._pool) < 30:
            self._pool.append(data)
        return data

    async def take(self, data: bytes) -> None:
        rng = self._rng
        self.now_s += rng.choice((0.02, 0.02, 0.02, 0.0, 0.1, 3.0))
        if is_rtcp(data):
            for told in parse_rtcp(data):
                repr(told)
        elif (packet := parse_rtp(data)) is not None:
            address = rng.choice((("192.0.2.9", 40_000),) * 8 + (("192.0.2.66", 5),))
            for one in self._source.admit(packet, address, set(self._codecs), self.now_s):
                if one.payload_type == 101:
                    self._keys.push(one)
                self._check(self._receiver.push(one, self.now_s))
        self._check(self._receiver.poll(self.now_s))
        if rng.random() < 0.02:
            self._seldom()

    def _seldom(self) -> None:
        rng = self._rng
        block = self._receiver.report()
        report = self._sender.report(self.now_s)
        if block is not None:
            report = replace(report, blocks=(block,))
        assert parse_rtcp(make_report(report, "c"))
        match rng.randrange(4):
            case 0:
                self._sender.press(rng.choice(("1", "*#", "x" * 100)))
            case 1:
                self._receiver.pause()
            case 2:
                self._source.change(("192.0.2.9", rng.randrange(65536)))
            case _:
                self._sender.frame(bytes(320))

    @staticmethod
    def _check(frames: list[bytes]) -> None:
        assert len(frames) <= MOST_FRAMES, f"{len(frames)} frames of one datagram"
        assert all(len(frame) == FRAME_BYTES for frame in frames)

    async def finish(self) -> None:
        """Nothing is held for ever."""
        self.now_s += 10
        self._check(self._receiver.poll(self.now_s))

    def _whole(self) -> bytes:
        rng = self._rng
        if rng.random() < 0.15:
            block = ReportBlock(7, 3, 4, 500, 6)
            return make_report(Report(9, 1 << 33, 5, 6, 7, (block,) * rng.randrange(4), True), "c")
        step = rng.choice((1, 1, 1, 1, 2, 0, -1, 5, 3001, -200))
        self._sequence = (self._sequence + step) % 65536
        self._timestamp = (self._timestamp + 160 * step) % 2**32
        kind = rng.choice((0, 0, 0, 8, 111, 101, 13, 77))
        payload = rng.randbytes(rng.choice((160, 160, 160, 80, 0, 1, 480, 1400)))
        if kind == 101:
            payload = struct.pack(
                "!BBH", rng.randrange(20), rng.choice((10, 0x8A)), 160 * step % 999
            )
        ssrc = 7 if rng.random() < 0.95 else rng.randrange(9)
        return make_rtp(
            RtpPacket(kind, self._sequence, self._timestamp, ssrc, payload, rng.random() < 0.1)
        )
