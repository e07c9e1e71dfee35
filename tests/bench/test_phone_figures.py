"""Figures of calls, and what is expected of them."""

from __future__ import annotations

from antiphon.bench.phone_caller import SimCall
from antiphon.bench.phone_figures import Expected, share, summarize, told
from antiphon.bench.phone_speech import Plan, Turn
from antiphon.bench.phone_wire import Line

from .test_phone_caller import SPEECH, Agent, converse


def _figures(clear_ms: int | None = 200) -> dict[str, object]:
    call = SimCall(Line("1"), Plan([Turn(SPEECH, barge_in_ms=400)]))
    converse(call, Agent(100, clear_ms=clear_ms))
    return summarize([call])


def test_the_figures_of_a_call() -> None:
    figures = _figures()
    assert figures["first_audio_ms"] == {"count": 1, "p50": 320, "p95": 320, "max": 320}
    assert figures["clear_ms"] == {"count": 1, "p50": 220, "p95": 220, "max": 220}
    assert figures["ended"] == {"the caller was done": 1}
    text = told(figures)
    assert "interruption to clear: p50 220" in text
    assert "gaps in the agent's audio: none" in text


def test_what_is_expected() -> None:
    figures = _figures()
    assert Expected(320, 0, 220).failures(figures) == []
    assert Expected(300).failures(figures) == ["first audio: 320 ms, expected at most 300"]
    [failure] = Expected(max_clear_ms=100).failures(figures)
    assert failure.startswith("clear after an interruption: 220 ms")
    broken = {**figures, "protocol_errors": ["not JSON"], "ended": {"connection lost": 2}}
    assert len(Expected().failures(broken)) == 2
    assert Expected(max_first_audio_ms=1000).failures({**figures, "unanswered": 1})


def test_an_interruption_that_nobody_hears_fails() -> None:
    figures = _figures(clear_ms=None)
    assert Expected(max_clear_ms=400).failures(figures) == ["interruptions without a clear: 1"]


def test_no_calls_have_no_figures() -> None:
    assert summarize([])["first_audio_ms"]["p50"] is None
    assert "calls: 0" in told(summarize([]))
    assert share([], 0.5) is None
    assert share([1, 2, 3], 0.5) == 2
