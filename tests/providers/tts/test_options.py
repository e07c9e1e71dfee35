from __future__ import annotations

import pytest

from antiphon.providers.base import AgentHints
from antiphon.providers.tts.options import pace, socket_url, speakable


@pytest.mark.parametrize(
    ("speed", "rate", "expected"),
    [(None, 150, None), (1.2, 150, 1.2), (None, 165, 1.1), (1.1, 165, 1.21), (2.0, 300, 1.5)],
)
def test_the_agents_rate_and_the_voices_speed_are_multiplied(
    speed: float | None, rate: int, expected: float | None
) -> None:
    assert pace(speed, AgentHints(rate=rate), 0.7, 1.5) == expected


@pytest.mark.parametrize(("text", "there_is"), [("Hi.", True), ("...", False), ("", False)])
def test_marks_alone_cannot_be_spoken(text: str, there_is: bool) -> None:
    assert speakable(text) is there_is


def test_the_address_of_a_socket() -> None:
    query = {"a": "x y", "b": None, "c": True, "d": 2}
    assert socket_url("https://h:1/p/", "ws", query) == "wss://h:1/p/ws?a=x+y&c=true&d=2"
    assert socket_url("ws://h", "ws", {}) == "ws://h/ws"
