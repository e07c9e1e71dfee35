"""What is asked first over a connection, and what later."""

from __future__ import annotations

from antiphon.server.first import first_state, take_first


def test_only_what_is_asked_first_over_a_connection_from_the_front_is_first() -> None:
    connections = [first_state({"kept": 1}) for _ in range(2)]
    for state in connections:
        assert state["kept"] == 1
        # Each request has a copy.
        assert [take_first(dict(state)) for _ in range(3)] == [True, False, False]


def test_over_other_connections_nothing_is() -> None:
    assert not take_first({})
    assert not take_first({"antiphon.first": True})
