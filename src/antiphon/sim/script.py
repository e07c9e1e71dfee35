"""A trace as a script that a person can read: who did what, when.

Works on any trace, of a simulated call or of a real one: it needs events and commands only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from antiphon.engine import commands as c
from antiphon.engine import events as e

_CALLER, _AGENT, _WORLD = "caller", "agent", ""

_EVENTS: dict[type, tuple[str, Callable[[Any], str]]] = {
    e.CallStarted: (_WORLD, lambda x: "the call begins"),
    e.CallEnded: (_WORLD, lambda x: f"the call ends: {x.reason}"),
    e.ProviderChanged: (
        _WORLD,
        lambda x: f"{x.kind} {x.number} is " + ("back" if x.works else "known to be broken"),
    ),
    e.BudgetReached: (_WORLD, lambda x: f"the {x.scope}'s budget: {x.level}"),
    e.UserSpeechStarted: (_CALLER, lambda x: f"speaks, since {x.speech_at_ms / 1000:.3f}"),
    e.UserSpeechStopped: (_CALLER, lambda x: f"is silent, since {x.speech_at_ms / 1000:.3f}"),
    e.TranscriptUpdated: (
        _CALLER,
        lambda x: f"... {x.text!r} (utterance {x.utterance_id}{_complete(x)})",
    ),
    e.TranscriptCompleted: (
        _CALLER,
        lambda x: (
            f"said {x.text!r} (utterance {x.utterance_id}, revision {x.revision}, "
            f"confidence {x.confidence:.2f}{_complete(x)})"
        ),
    ),
    e.TranscriptionFailed: (_WORLD, lambda x: f"STT fails: {x.reason}"),
    e.KeyPressed: (_CALLER, lambda x: f"presses {x.key}"),
    e.CallRestored: (_WORLD, lambda x: "another process has the call"),
    e.LineHeld: (_CALLER, lambda x: "puts the line on hold" if x.held else "is back on the line"),
    e.MachineAnswered: (_WORLD, lambda x: f"a machine has answered; message {x.message!r}"),
    e.TransferEnded: (_WORLD, lambda x: f"transfer {x.tool_call_id}: {x.outcome} {x.detail}"),
    e.TextReceived: (_CALLER, lambda x: f"types {x.text!r}"),
    e.TextGenerated: (_WORLD, lambda x: f"LLM writes {x.text!r} (response {x.response_id})"),
    e.ToolRequested: (
        _WORLD,
        lambda x: (
            f"LLM wants {x.name}({x.arguments}) as {x.tool_call_id} (response {x.response_id})"
        ),
    ),
    e.GenerationEnded: (_WORLD, lambda x: f"LLM is done (response {x.response_id})"),
    e.GenerationFailed: (_WORLD, lambda x: f"LLM fails (response {x.response_id}): {x.reason}"),
    e.ToolCompleted: (_WORLD, lambda x: f"tool {x.tool_call_id} returns {x.output}"),
    e.AudioSynthesized: (_WORLD, lambda x: f"voice has {x.duration_ms} ms of {_segment(x)}"),
    e.SegmentSynthesized: (
        _WORLD,
        lambda x: (
            f"voice has all {x.duration_ms} ms of {_segment(x)}"
            + (", with word times" if x.words else "")
        ),
    ),
    e.SynthesisFailed: (_WORLD, lambda x: f"voice fails (response {x.response_id}): {x.reason}"),
    e.PlaybackStarted: (_AGENT, lambda x: f"is heard (response {x.response_id})"),
    e.PlaybackEnded: (_AGENT, lambda x: f"was heard to the end, {x.played_ms} ms"),
    e.PlaybackFlushed: (_AGENT, lambda x: f"fell silent after {x.played_ms} ms"),
}
_COMMANDS: dict[type, Callable[[Any], str]] = {
    c.SynthesizeText: lambda x: f"speak {_segment(x)}: {x.text!r}",
    c.ReportState: lambda x: f"caller {x.user.value}, agent {x.agent.value}",
    c.ReportTurn: lambda x: f"turn {x.turn_id} {x.outcome}: {x.text!r}",
    c.ReportResponse: lambda x: (
        f"response {x.response_id} {x.status}"
        + (f" ({x.reason})" if x.reason else "")
        + (f", heard {x.heard!r}" if x.heard else "")
    ),
    c.ReportOverlap: lambda x: f"overlap: {x.decision}, {x.why}",
    c.ReportLatency: lambda x: f"latency {x.total_ms} ms",
}
_LEFT_OUT = (c.ReportTranscript, c.ReportHeard)


def script_lines(trace: Iterable[tuple[e.Event, Sequence[c.Command]]]) -> Iterator[str]:
    """The lines of the script. Progress of playback that led to nothing is left out."""
    for event, given in trace:
        told = [_tell(command) for command in given if not isinstance(command, _LEFT_OUT)]
        known = _EVENTS.get(type(event))
        if known is not None:
            who, text = known[0], known[1](event)
        elif not told:
            continue
        elif isinstance(event, e.PlaybackProgressed):
            who, text = _AGENT, f"was heard up to {event.played_ms} ms"
        else:
            who, text = _WORLD, "the deadline has come"
        yield f"{event.at_ms / 1000:9.3f}  {who:6}  {text}"
        for line in told:
            yield f"{'':9}  {'':6}      -> {line}"


def _tell(command: c.Command) -> str:
    known = _COMMANDS.get(type(command))
    return known(command) if known is not None else repr(command)


def _segment(item: Any) -> str:
    return f"segment {item.response_id}.{item.segment_id}"


def _complete(item: Any) -> str:
    return "" if item.complete is None else f", complete {item.complete:.2f}"
