"""docs/events.md names every event that exists, and none that does not."""

from __future__ import annotations

import re
from pathlib import Path

from antiphon.channels.client_events import MAX_EVENT_BYTES, MAX_TEXT_CHARS
from antiphon.server.app import CONSOLE_DIR
from antiphon.session import notices

DOCUMENT = Path(__file__).parents[2] / "docs" / "events.md"
EVENT = re.compile(r'"type": "([a-z_]+\.[a-z_.]+|error)"')


def section(title: str) -> set[str]:
    text = DOCUMENT.read_text(encoding="utf-8").split(f"## {title}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE))


def test_every_notice_is_documented() -> None:
    assert notices.__file__ is not None
    sent = set(EVENT.findall(Path(notices.__file__).read_text(encoding="utf-8")))
    assert section("From the server") == sent


def test_what_a_caller_may_send_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert section("To the server") == {
        "conversation.item.create",
        "antiphon.key",
        "antiphon.talk_key",
        "antiphon.playout",
        "antiphon.hang_up",
    }
    assert f"{MAX_EVENT_BYTES // 1024} KiB" in text
    assert f"{MAX_TEXT_CHARS:,} characters" in text


def test_the_page_handles_only_events_that_exist() -> None:
    known = section("From the server")
    for script in CONSOLE_DIR.glob("*.js"):
        handled = set(re.findall(r'case "([a-z_.]+)":', script.read_text(encoding="utf-8")))
        assert {event for event in handled if "." in event} <= known
