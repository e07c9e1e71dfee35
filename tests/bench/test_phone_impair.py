"""What goes wrong on a line comes from its seed."""

from __future__ import annotations

from antiphon.bench.phone_impair import RACE_MS, Impairments, Weather


def test_a_good_line_delays_nothing() -> None:
    weather = Weather(Impairments())
    assert {weather.frame_delay_ms() for _ in range(100)} == {0.0}
    assert {weather.mark_delay_ms() for _ in range(100)} == {0.0}


def test_the_same_seed_is_the_same_line() -> None:
    bad = Impairments(jitter_ms=40, loss=0.2, late_marks_ms=100, lose_marks=0.2)
    one, same, other = (Weather(bad, 1, call) for call in (0, 0, 1))
    draws = [one.frame_delay_ms() for _ in range(500)]
    assert draws == [same.frame_delay_ms() for _ in range(500)]
    assert draws != [other.frame_delay_ms() for _ in range(500)]
    assert 50 < draws.count(None) < 150
    assert 30 < max(draw for draw in draws if draw is not None) <= 40


def test_more_loss_does_not_change_the_jitter() -> None:
    less, more = Weather(Impairments(jitter_ms=9)), Weather(Impairments(jitter_ms=9, loss=0.5))
    pairs = [(less.frame_delay_ms(), more.frame_delay_ms()) for _ in range(100)]
    assert all(a == b for a, b in pairs if b is not None)


def test_a_race_keeps_marks_under_way() -> None:
    delay_ms = Weather(Impairments(clear_race=True)).mark_delay_ms()
    assert delay_ms == RACE_MS


def test_chaos_draws_a_bit_of_everything() -> None:
    lines = {Impairments.drawn(seed) for seed in range(20)}
    assert len(lines) == 20
    assert {line.clear_race for line in lines} == {True, False}
    assert Impairments.drawn(7) == Impairments.drawn(7)
