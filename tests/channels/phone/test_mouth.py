"""Sound on its way out."""

from __future__ import annotations

import base64
import json
from collections import deque

from tests.support.fake_line import start_message

from antiphon.audio import g711
from antiphon.channels.phone.mouth import MAX_TONE_FRAMES, Mouth
from antiphon.channels.phone.twilio_stream import TwilioDialect


class Line:
    """A mouth, what it reads, and what it sends."""

    def __init__(self, frames: int = 0) -> None:
        self.mouth, self.dialect = Mouth(8000), TwilioDialect()
        self.dialect.read(start_message("t"))
        self.frames = deque([b"\x00\x10" * 160] * frames)
        self.sent: list[dict[str, object]] = []
        self.now_s = 0.0

    def read(self) -> bytes | None:
        return self.frames.popleft() if self.frames else None

    def tick(self, ticks: int = 1) -> list[str]:
        """What is sent in so many ticks: milliseconds of sound, `mark`, `clear`."""
        self.sent.clear()
        for _ in range(ticks):
            self.mouth.speak(self.read, self.dialect, self._send, self.now_s)
            self.now_s += 0.02
        return [self._short(one) for one in self.sent]

    def clear(self) -> None:
        self.sent.clear()
        self.mouth.clear(self.dialect, self._send, self.now_s)

    def _send(self, message: str | bytes) -> None:
        self.sent.append(json.loads(message))

    def _short(self, message: dict[str, object]) -> str:
        if message["event"] != "media":
            return str(message["event"])
        media = message["media"]
        assert isinstance(media, dict)
        return str(len(base64.b64decode(media["payload"])) // 8)


def test_a_run_begins_with_its_lead_and_goes_on_by_40_ms() -> None:
    line = Line(50)
    assert line.tick() == ["100", "mark"]
    assert line.tick(8) == ["40", "40", "40", "mark", "40"]


def test_its_end_is_marked() -> None:
    line = Line(8)
    assert line.tick(10) == ["100", "mark", "40", "20", "mark"]
    assert line.tick(20) == []


def test_frames_that_come_one_at_a_time_go_out_as_they_come() -> None:
    line = Line()
    assert line.tick() == []
    line.frames.append(bytes(320))
    assert line.tick() == ["20", "mark"]
    assert line.tick() == []


def test_sound_is_in_the_streams_code() -> None:
    line = Line(1)
    line.tick()
    media = line.sent[0]["media"]
    assert isinstance(media, dict)
    expected = g711.encode(b"\x00\x10" * 160, "mulaw")
    assert base64.b64decode(media["payload"]) == expected


def test_a_stall_is_made_up_for_and_no_more() -> None:
    line = Line(500)
    line.tick()
    line.now_s += 3.0
    assert line.tick() == ["100", "mark"]


def test_clear_is_said_and_what_follows_has_its_lead() -> None:
    line = Line(500)
    line.tick(3)
    line.clear()
    assert [one["event"] for one in line.sent] == ["clear"]
    assert line.tick() == ["100", "mark"]


def test_keys_come_first_and_are_not_counted() -> None:
    line = Line(20)
    line.mouth.press(b"\x01\x02" * 160 * 3)
    assert line.tick() == ["60", "40", "mark"]
    line.tick(30)
    assert line.mouth.clock.heard(5.0) == 20


def test_keys_while_the_agent_speaks() -> None:
    line = Line(200)
    line.tick(4)
    line.mouth.press(b"\x01\x02" * 160 * 4 + b"\x01\x02")
    assert line.tick(4)[:1] == ["40"]
    line.tick(200)
    assert line.mouth.clock.heard(20.0) == 200


def test_endless_keys_are_cut() -> None:
    line = Line()
    for _ in range(10):
        line.mouth.press(bytes(320) * MAX_TONE_FRAMES)
    assert len(line.mouth._tones) == MAX_TONE_FRAMES
    line.clear()
    assert line.tick() == []
