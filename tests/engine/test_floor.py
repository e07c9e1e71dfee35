"""The table of joint states: caller, response, overlap."""

from __future__ import annotations

from itertools import product

import pytest

from antiphon.engine.floor import LEGAL, Floor, check_legal
from antiphon.engine.overlap import Overlap
from antiphon.engine.policy import Setup
from antiphon.engine.response import Pace, Response, ResponseState
from antiphon.engine.user_turn import Phase
from antiphon.errors import IllegalEvent

ID, S, Q = Phase.IDLE, Phase.SPEAKING, Phase.QUIET
NO = None
PE, SP = ResponseState.PENDING, ResponseState.SPEAKING
WA, FL = ResponseState.WAITING, ResponseState.FLUSHING
ALL = list(product(Phase, (NO, *ResponseState), Overlap))

# Who may be in which overlap, a row for each pair of caller and response.
TABLE: dict[tuple[Phase, ResponseState | None], str] = {
    (ID, NO): "none",
    (S, NO): "none",
    (Q, NO): "none",
    (ID, FL): "none",
    (S, FL): "none",
    (Q, FL): "none",
    (ID, PE): "none",
    (ID, SP): "none",
    (ID, WA): "none",
    (S, PE): "held ducked paused patient",
    (Q, PE): "held ducked paused patient",
    (S, SP): "ducked paused patient",
    (Q, SP): "ducked paused patient",
    (S, WA): "ducked paused patient",
    (Q, WA): "ducked paused patient",
}


def floor_in(phase: Phase, state: ResponseState | None, overlap: Overlap) -> Floor:
    floor = Floor(Setup())
    floor.user.phase, floor.overlap = phase, overlap
    if state is not None:
        floor.response = Response(1, None, 0, 0, Pace())
        floor.response.state = state
    return floor


@pytest.mark.parametrize(("phase", "state", "overlap"), ALL)
def test_a_joint_state_is_legal_exactly_when_the_table_says_so(
    phase: Phase, state: ResponseState | None, overlap: Overlap
) -> None:
    floor = floor_in(phase, state, overlap)
    if overlap.value in TABLE[phase, state].split():
        check_legal(floor)
        return
    with pytest.raises(IllegalEvent, match=f"joint state {phase.value}, .*, {overlap.value}"):
        check_legal(floor)


def test_the_table_is_complete() -> None:
    assert len(LEGAL) == sum(len(row.split()) for row in TABLE.values())
    assert len(TABLE) == len(Phase) * (1 + len(ResponseState))


def test_a_new_floor_is_legal() -> None:
    check_legal(Floor(Setup()))
