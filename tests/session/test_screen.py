from __future__ import annotations

from typing import Any

from antiphon.session.screen import MOST_REMEMBERED, Screen


def turn(item: str, text: str) -> dict[str, Any]:
    kind = "conversation.item.input_audio_transcription.completed"
    return {"type": kind, "item_id": item, "transcript": text}


def said(response: str, text: str) -> dict[str, Any]:
    kind = "response.output_audio_transcript.done"
    return {"type": kind, "response_id": response, "transcript": text}


def test_an_empty_screen_is_told_what_was_said() -> None:
    shown: list[dict[str, Any]] = []
    screen = Screen(shown.append)
    screen.tell({"type": "session.created", "session": {"id": "call_1"}})
    screen.tell({"type": "antiphon.state", "user": "listening", "agent": "speaking"})
    screen.tell(said("resp_1", "Hello."))
    screen.tell({"type": "response.output_audio_transcript.delta", "delta": "x"})
    screen.tell(turn("turn_1", "a"))
    screen.tell({"type": "conversation.item.deleted", "item_id": "turn_1"})
    screen.tell(turn("turn_2", "a latte"))
    assert len(shown) == 7
    screen.again()
    again, state = shown[7:]
    assert again == {
        "type": "antiphon.session.resumed",
        "session": {"id": "call_1"},
        "items": [said("resp_1", "Hello."), turn("turn_2", "a latte")],
    }
    assert state["agent"] == "speaking"


def test_a_long_call_is_not_remembered_for_ever() -> None:
    shown: list[dict[str, Any]] = []
    screen = Screen(shown.append)
    for number in range(MOST_REMEMBERED + 5):
        screen.tell(turn(f"turn_{number}", "word"))
    screen.again()
    items = shown[-1]["items"]
    assert len(items) == MOST_REMEMBERED
    assert items[0]["item_id"] == "turn_5"
