"""The lists of a turn benchmark, and words in time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.bench.items import Item, read_items
from antiphon.errors import UserFacingError

DATA = Path(__file__).parents[1] / "data" / "turns"


def item(tmp_path: Path, kind: str, **row: Any) -> Item:
    """An item of a list that has one line."""
    defaults = {"id": "one", "duration": 5.0, "file": "a.flac", "user_file": "a.flac"}
    (tmp_path / "a.flac").touch()
    (tmp_path / "bargein" / "agent").mkdir(parents=True, exist_ok=True)
    (tmp_path / "bargein" / "agent" / "voice.flac").touch()
    (tmp_path / f"{kind}.jsonl").write_text(json.dumps({**defaults, **row}) + "\n")
    (found,) = read_items(tmp_path, [kind])
    return found


def pause(start: float, end: float, **more: str) -> dict[str, Any]:
    return {"type": "pause", "label": "hold", "start": start, "end": end, **more}


def end(time: float) -> dict[str, Any]:
    return {"type": "end_of_turn", "time": time}


def test_the_shipped_items_are_read_in_their_order() -> None:
    items = read_items(DATA)
    assert [(one.kind, one.id) for one in items] == [
        ("eot", "cmd_full_fbc1060f"),
        ("eot", "cmd_pause_b7735b39"),
        ("bargein", "int_s2i_cd4f04c1"),
        ("bargein", "int_s2i_992464ee"),
    ]
    assert all(one.user_file.is_file() for one in items)
    assert [one.agent_file is not None for one in items] == [False, False, True, True]


def test_words_are_said_at_an_even_pace(tmp_path: Path) -> None:
    one = item(tmp_path, "eot", transcript="a b c d", speech_start=1.0, events=[end(3.0)])
    assert one.words == ((1.5, "a"), (2.0, "b"), (2.5, "c"), (3.0, "d"))
    assert [one.spoken(at) for at in (1.4, 1.5, 2.9, 3.0)] == [0, 1, 3, 4]


def test_words_before_a_pause_are_before_it(tmp_path: Path) -> None:
    events = [pause(1.0, 2.0, text_before="a", text_after="b c"), end(4.0)]
    one = item(tmp_path, "eot", transcript="a b c", speech_start=0.0, events=events)
    assert one.words == ((1.0, "a"), (3.0, "b"), (4.0, "c"))


def test_words_that_were_corrected_are_counted_from_the_end(tmp_path: Path) -> None:
    events = [pause(1.0, 2.0, text_before="one", text_after="c"), end(3.0)]
    one = item(tmp_path, "eot", transcript="a b c", speech_start=0.0, events=events)
    assert one.words == ((0.5, "a"), (1.0, "b"), (3.0, "c"))


def test_each_group_of_a_number_has_its_place(tmp_path: Path) -> None:
    events = [pause(2.0, 3.0, text_before="1 2"), pause(4.0, 5.0, text_before="1 2 3"), end(6.0)]
    one = item(tmp_path, "eot", transcript="1 2 3 4", speech_start=0.0, events=events)
    assert one.words == ((1.0, "1"), (2.0, "2"), (4.0, "3"), (6.0, "4"))


def test_no_word_is_said_in_a_pause_of_unknown_words(tmp_path: Path) -> None:
    events = [pause(1.0, 2.0), end(3.0)]
    one = item(tmp_path, "eot", transcript="a b c d", speech_start=0.0, events=events)
    assert one.words == ((0.5, "a"), (1.0, "b"), (2.5, "c"), (3.0, "d"))


@pytest.mark.parametrize(
    ("category", "transcript", "words"),
    [
        ("interruption", "stop it", ("stop", "it")),
        ("short_interruption+echo", "no", ("no",)),
        ("backchannel", None, ("mm-hm",)),
        ("ack_word+echo", "right", ("right",)),
        ("noise", "", ()),
        ("background_speech", "", ()),
        ("echo_only", None, ()),
        ("dtmf", None, ()),
        ("interruption", None, None),
    ],
)
def test_what_is_understood_of_what_interrupts(
    tmp_path: Path, category: str, transcript: str | None, words: tuple[str, ...] | None
) -> None:
    events = [] if category == "echo_only" else [{"onset": 1.0, "offset": 2.0}]
    one = item(
        tmp_path, "bargein", category=category, transcript=transcript, events=events,
        agent_file="b.flac",
    )  # fmt: skip
    if words is None:
        assert one.words is None
    else:
        assert one.words is not None
        assert tuple(word for _, word in one.words) == words
        assert all(1.0 < at <= 2.0 for at, _ in one.words)


def test_nobody_wrote_down_a_natural_call(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "call.flac").touch()
    folder = tmp_path / "turns"
    folder.mkdir()
    one = item(folder, "eot_natural", corpus_file="call.flac", events=[])
    assert one.words is None
    assert one.user_file == corpus / "call.flac"
    # With nothing but its own echo the caller says nothing at all.
    echo = item(folder, "echo_real", corpus_file="call.flac", category="residual_echo_real")
    assert echo.words == ()
    assert echo.agent_file == folder / "bargein" / "agent" / "voice.flac"


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match="there is no such folder"):
        read_items(tmp_path / "nowhere")
    with pytest.raises(UserFacingError, match=r"none of eot\.jsonl.* is in this folder"):
        read_items(tmp_path)
    with pytest.raises(UserFacingError, match="there is no set `natural`; the sets are eot"):
        read_items(tmp_path, ["natural"])
    (tmp_path / "eot.jsonl").write_text("{}\n")
    with pytest.raises(UserFacingError, match=r"eot\.jsonl:1: this is not an item .*'file'"):
        read_items(tmp_path)
    line = {"id": "a", "file": "a.flac", "duration": 1, "transcript": None, "events": []}
    (tmp_path / "eot.jsonl").write_text(json.dumps(line))
    with pytest.raises(UserFacingError, match=r"a\.flac: there is no such file"):
        read_items(tmp_path)
