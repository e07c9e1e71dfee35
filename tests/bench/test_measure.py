"""What else is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from antiphon.bench.ear import Silence
from antiphon.bench.items import Item
from antiphon.bench.measure import decisions, measure, misses
from antiphon.bench.play import Outcome, Turn
from antiphon.bench.roles import Edge

PAUSE = {"type": "pause", "label": "hold", "start": 1.0, "end": 1.5}
END = {"type": "end_of_turn", "time": 4.0}


def item(name: str, **row: Any) -> Item:
    return Item(name, {"id": name, "duration": 10.0, **row}, Path("a"), None, ())


def outcome(name: str, **done: Any) -> Outcome:
    nothing: dict[str, Any] = {"turns": (), "lowered": (), "silences": (), "edges": ()}
    return Outcome(**{"item_id": name, "computing_s": 0.1, **nothing, **done})


EOT = item("eot", kind="complete", events=[PAUSE, END], speech_start=0.5, transcript="a b")
EDGES = (Edge(True, 0.55, 0.65), Edge(False, 3.95, 4.05))


def test_edges_are_compared_with_the_truth() -> None:
    figures = measure([EOT], {"eot": outcome("eot", edges=EDGES)})["vad.eot"]
    assert (figures["starts"], figures["ends"]) == (1, 1)
    assert (figures["start_off_p50_ms"], figures["start_told_p50_ms"]) == (50, 150)
    assert (figures["end_off_p50_ms"], figures["end_told_p50_ms"]) == (-50, 50)


def test_turns_without_words_that_were_said_are_counted() -> None:
    turns = (Turn(2.0, "answered", "a", 1), Turn(4.5, "answered", "a b", 0))
    figures = measure([EOT], {"eot": outcome("eot", turns=turns)})
    assert figures["words"] == {"turns": 2, "without_words_said": 1}


def test_every_miss_of_a_turn_is_named() -> None:
    turns = (
        Turn(0.7, "noise", "", 0),
        Turn(1.4, "answered", "a", 1),
        Turn(5.5, "answered", "a b", 0),
    )
    edges = (Edge(False, 0.9, 1.0), *EDGES)
    found = misses([EOT], {"eot": outcome("eot", turns=turns, edges=edges)})
    assert [(one.what, one.at_s, one.wait_ms) for one in found] == [
        ("cut-in", 1.4, 500),
        ("words missing", 1.4, 500),
        ("1500 ms late", 5.5, 1550),
    ]
    assert [one.what for one in misses([EOT], {"eot": outcome("eot")})] == ["never"]
    assert misses([EOT], {}) == []


def barge(kind: str, category: str, expected: str) -> Item:
    events = [{"onset": 2.0, "offset": 3.0}]
    return item(kind, category=category, expected=expected, events=events)


STOP = barge("bargein", "interruption", "stop")


def test_how_soon_the_voice_is_lower() -> None:
    done = outcome(
        "bargein",
        edges=(Edge(True, 0.5, 0.6), Edge(False, 0.7, 0.8), Edge(True, 2.02, 2.1)),
        lowered=(0.6, 2.105, 2.3),
        silences=(Silence(2.3, None, None),),
    )
    figures = measure([STOP], {"bargein": done})
    assert figures["lowered"]["interruptions"] == figures["lowered"]["lowered"] == 1
    assert figures["lowered"]["after_onset_p50_ms"] == 105
    assert figures["lowered"]["after_edge_p50_ms"] == 5
    assert figures["false_stops"]["silences"] == 0
    assert decisions({"bargein": done}) == {"bargein": {"end_of_turn": [], "stop": [2.3]}}
    assert misses([STOP], {"bargein": done}) == []
    slow = outcome("bargein", silences=(Silence(2.5, None, None),))
    assert [one.what for one in misses([STOP], {"bargein": slow})] == ["500 ms to stop"]
    (missed,) = misses([STOP], {"bargein": outcome("bargein")})
    assert (missed.what, missed.text) == ("not stopped", "interruption: ")


def test_what_became_of_false_stops() -> None:
    noise = barge("bargein", "noise", "carry_on")
    silences = (Silence(2.2, 2.7, 20), Silence(3.0, 3.4, None), Silence(4.0, None, None))
    done = {"bargein": outcome("bargein", silences=silences)}
    figures = measure([noise], done)["false_stops"]
    assert (figures["silences"], figures["resumed"]) == (3, 2)
    assert (figures["sound_again_p50_ms"], figures["sound_again_max_ms"]) == (450, 500)
    assert figures["repeated_max_ms"] == 20
    assert [one.what for one in misses([noise], done)] == [
        "false stop, again after 500 ms",
        "false stop, again after 400 ms",
        "false stop",
    ]


def test_a_stop_before_the_caller_speaks_is_false() -> None:
    done = {"bargein": outcome("bargein", silences=(Silence(1.0, 1.4, 20),))}
    assert measure([STOP], done)["false_stops"]["silences"] == 1
    # Of one whose truth is not known nothing is said.
    either = barge("echo_real", "doubletalk_real", "unlabelled")
    assert misses([either], {"echo_real": outcome("echo_real")}) == []


def test_computing_is_a_share_of_the_audio() -> None:
    figures = measure([EOT], {"eot": outcome("eot")})["computing"]
    assert figures == {"audio_s": 10, "cores": 0.01}
