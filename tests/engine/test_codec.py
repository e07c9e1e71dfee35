"""Whatever the engine takes and gives survives JSON, and what does not fit is named."""

from __future__ import annotations

import dataclasses
import json
import time
import types
import typing
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine import codec, commands, events
from antiphon.engine.policy import Endpointing, Setup, TurnPolicy
from antiphon.types import Word


def _members(module: types.ModuleType, base: type) -> list[type]:
    # Not __subclasses__: a dataclass with slots leaves the class that it replaced in there.
    found = [item for item in vars(module).values() if isinstance(item, type)]
    return [item for item in found if issubclass(item, base) and item is not base]


def _values_for(hint: Any) -> st.SearchStrategy[Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and args[1:] == (Ellipsis,):
        return st.lists(_values_for(args[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(_values_for(arg) for arg in args))
    if origin is types.UnionType:
        return st.one_of(*(_values_for(arg) for arg in args))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    if dataclasses.is_dataclass(hint):
        return _instances(typing.cast(type, hint))
    plain: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(-(2**53), 2**53),
        str: st.text(max_size=8),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        type(None): st.none(),
    }
    return plain[hint]


def _instances(cls: type) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    names = [item.name for item in dataclasses.fields(cls)]
    return st.builds(cls, **{name: _values_for(hints[name]) for name in names})


@given(st.data())
def test_every_event_survives_json(data: st.DataObject) -> None:
    event = data.draw(_instances(data.draw(st.sampled_from(_members(events, events.Event)))))
    assert codec.decode_event(json.loads(json.dumps(codec.encode(event)))) == event


@given(st.data())
def test_every_command_survives_json(data: st.DataObject) -> None:
    command = data.draw(
        _instances(data.draw(st.sampled_from(_members(commands, commands.Command))))
    )
    assert codec.decode_command(json.loads(json.dumps(codec.encode(command)))) == command


def test_states_survive_json() -> None:
    state = commands.ReportState(commands.UserState.AWAY, commands.AgentState.PAUSED)
    assert codec.decode_command(json.loads(json.dumps(codec.encode(state)))) == state


def test_a_setup_survives_json() -> None:
    setup = Setup(
        greeting="Grüß Gott",
        greeting_protected=True,
        policy=TurnPolicy(endpointing=Endpointing(min_ms=100)),
        tool_deadlines=(("find", 300),),
    )
    assert codec.decode_setup(json.loads(json.dumps(codec.encode(setup)))) == setup


def test_a_setup_may_leave_out_what_has_a_default() -> None:
    encoded = {"type": "Setup", "policy": {"silence": {"check_ins": 1}}}
    assert codec.decode_setup(encoded).policy.silence.check_ins == 1


@pytest.mark.parametrize(
    ("encoded", "complaint"),
    [
        ({"type": "Nonsense"}, "unknown type 'Nonsense'"),
        ({"type": "Event", "at_ms": 1}, "unknown type 'Event'"),
        ([], "unknown type None"),
        ({"type": "CallEnded", "at_ms": 1}, "CallEnded.reason is missing"),
        ({"type": "CallStarted", "at_ms": "1"}, "CallStarted.at_ms is '1'; it must be int"),
        ({"type": "CallStarted", "at_ms": 1, "x": 1}, "CallStarted has no field x"),
        (
            {
                "type": "SegmentSynthesized",
                "at_ms": 1,
                "response_id": 1,
                "segment_id": 0,
                "duration_ms": 5,
                "words": [{"text": "a"}],
            },
            "SegmentSynthesized.words.start_ms is missing",
        ),
        (
            {
                "type": "SegmentSynthesized",
                "at_ms": 1,
                "response_id": 1,
                "segment_id": 0,
                "duration_ms": 5,
                "words": 3,
            },
            "SegmentSynthesized.words is 3; it must be a list",
        ),
    ],
)
def test_what_does_not_fit_is_named(encoded: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint.replace("[", r"\[")):
        codec.decode_event(encoded)


@pytest.mark.parametrize(
    ("encoded", "complaint"),
    [
        ({"type": "Setup", "policy": 5}, "Setup.policy is 5; it must be an object"),
        ({"type": "Setup", "tool_deadlines": [["a"]]}, "must be a list of 2"),
        ({"type": "Setup", "policy": {"silence": {"check_ins": 99}}}, "silence.check_ins is 99"),
    ],
)
def test_a_setup_that_does_not_fit_is_refused(encoded: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        codec.decode_setup(encoded)


def test_the_lines_of_a_trace_are_golden() -> None:
    word = Word("hé", 0, 120)
    event = events.SegmentSynthesized(5, 1, 0, 120, (word,))
    given = [commands.ReportState(commands.UserState.AWAY, commands.AgentState.PAUSED)]
    assert codec.step_line(event, given) == (
        '{"event":{"type":"SegmentSynthesized","at_ms":5,"response_id":1,"segment_id":0,'
        '"duration_ms":120,"words":[{"text":"hé","start_ms":0,"end_ms":120,"confidence":1.0}]},'
        '"commands":[{"type":"ReportState","user":"away","agent":"paused"}]}'
    )
    assert codec.header_line(Setup()).startswith('{"antiphon_trace":1,"setup":{"type":"Setup",')


def test_encoding_is_cheap_enough_for_every_event_of_every_call() -> None:
    event = events.PlaybackProgressed(1000, 1, 400)
    best = min(_encode_seconds(event) for _ in range(5))
    assert best < 10e-6


def _encode_seconds(event: events.Event) -> float:
    begun = time.process_time()
    for _ in range(2000):
        codec.encode(event)
    return (time.process_time() - begun) / 2000


def test_what_no_trace_can_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="a trace cannot hold a set"):
        codec.encode(events.CallEnded(1, {"x"}))  # type: ignore[arg-type]


def test_an_event_and_a_command_survive_json() -> None:
    event = events.UserSpeechStarted(1200, 1150)
    command = commands.EndCall("agent")
    assert codec.decode_event(json.loads(json.dumps(codec.encode(event)))) == event
    assert codec.decode_command(json.loads(json.dumps(codec.encode(command)))) == command
