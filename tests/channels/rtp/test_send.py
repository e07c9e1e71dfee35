"""The sending end: what goes out in 20 ms."""

from __future__ import annotations

import pytest

from antiphon.audio.tones import ToneDetector
from antiphon.channels.rtp.codec import OPUS, PCMA, PCMU, TELEPHONE_EVENT, Codec
from antiphon.channels.rtp.opus import OpusDecoder
from antiphon.channels.rtp.packet import RtpPacket, parse_rtp
from antiphon.channels.rtp.receive import Receiver
from antiphon.channels.rtp.send import Sender

SOUND = b"\0\x10" * 160
KEYS = {101: TELEPHONE_EVENT}


def sent(sender: Sender, *frames: bytes | None) -> list[RtpPacket]:
    made = [sender.frame(pcm) for pcm in frames]
    packets = [parse_rtp(one) for one in made if one is not None]
    return [packet for packet in packets if packet is not None]


def test_numbers_and_times_go_on_in_silence_too() -> None:
    packets = sent(Sender(PCMU, {}, 101), None, SOUND, SOUND, None, SOUND)
    first = packets[0]
    assert [(p.sequence - first.sequence) % 65536 for p in packets] == [0, 1, 2, 3, 4]
    assert [(p.timestamp - first.timestamp) % (1 << 32) for p in packets] == [0, 160, 320, 480, 640]
    assert [p.marker for p in packets] == [False, True, False, False, True]
    assert {p.ssrc for p in packets} == {first.ssrc}
    assert packets[0].payload == b"\xff" * 160
    assert sent(Sender(PCMA, {}, 101), None)[0].payload == b"\xd5" * 160


def test_the_clock_moves_while_nothing_is_sent() -> None:
    sender = Sender(OPUS, {}, None)
    before = sender.timestamp
    sender.skip(50)
    assert (sender.timestamp - before) % (1 << 32) == 48_000


def test_opus_silence_is_opus() -> None:
    packets = sent(Sender(OPUS, {}, None), *[None] * 5)
    assert packets[0].payload_type == 111
    assert len(OpusDecoder().decode(packets[4].payload)) == 640


def test_keys_go_out_instead_of_sound() -> None:
    sender = Sender(PCMU, KEYS, 101)
    sender.press("5")
    kinds = []
    while sender.busy:
        one = sender.frame(SOUND)
        kinds.append(None if one is None else parse_rtp(one))
    packets = [one for one in kinds if one is not None]
    assert len(kinds) == 8
    assert [p.payload_type for p in packets] == [101] * 7
    assert len({p.timestamp for p in packets}) == 1
    assert len({p.sequence for p in packets}) == 7
    assert [p.marker for p in packets] == [True] + [False] * 6
    after = sent(sender, SOUND)[0]
    assert after.marker
    assert (after.timestamp - packets[0].timestamp) % (1 << 32) == 8 * 160


@pytest.mark.parametrize(("events", "duration"), [(TELEPHONE_EVENT, 160), (None, 960)])
def test_durations_are_in_the_clock_of_the_events(events: Codec | None, duration: int) -> None:
    sender = Sender(OPUS, {101: events} if events else {}, 101)
    sender.press("1")
    assert int.from_bytes(sent(sender, None)[0].payload[2:], "big") == duration


@pytest.mark.parametrize("codec", [PCMU, PCMA, OPUS])
def test_keys_are_tones_where_no_events_are_taken(codec: Codec) -> None:
    sender, receiver, detector = Sender(codec, {}, None), Receiver({codec.payload_type: codec}), ""
    sender.press("19#w0")
    finder = ToneDetector(16_000)
    for number in range(80):
        assert sender.busy == (number < 3 * 8 + 25 + 8)
        for packet in sent(sender, SOUND * (2 if codec is OPUS else 1)):
            for frame in receiver.push(packet, number * 0.02):
                detector += finder.feed(frame)
    assert detector == "19#0"


@pytest.mark.parametrize("keys_type", [101, None])
def test_too_many_keys_are_left_out(keys_type: int | None) -> None:
    sender = Sender(PCMU, {}, keys_type)
    assert sender.press("1" * 200) == 72
    for _ in range(40):
        sender.press("w" * 100)
    waited = 0
    while sender.busy:
        sender.frame(None)
        waited += 1
    assert waited <= 128 * 25


def test_another_clock_is_another_stream() -> None:
    sender = Sender(PCMU, {}, 101)
    first = sent(sender, SOUND)[0]
    sender.change(PCMA, {}, 101)
    second = sent(sender, SOUND)[0]
    assert (second.ssrc, second.payload_type) == (first.ssrc, 8)
    assert second.sequence == (first.sequence + 1) % 65536
    sender.change(OPUS, {}, 101)
    assert sent(sender, SOUND * 2)[0].ssrc != first.ssrc


def test_keys_that_wait_are_dropped_when_they_are_sent_otherwise() -> None:
    sender = Sender(PCMU, {}, None)
    sender.press("123")
    sender.change(PCMU, {}, 101)
    assert not sender.busy


def test_what_it_reports() -> None:
    sender = Sender(PCMU, {}, 101)
    assert not sender.report(0.0).sends
    sent(sender, SOUND, SOUND)
    report = sender.report(1_700_000_000.0)
    assert (report.packets, report.octets, report.sends) == (2, 320, True)
    assert report.timestamp == sender.timestamp
    assert report.ntp >> 32 == 1_700_000_000 + 2_208_988_800
