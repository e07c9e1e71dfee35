"""What the caller's screen is told, a line for each event and command."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.engine import commands as c
from antiphon.engine import events as e
from antiphon.session import notices

EVENTS: list[tuple[e.Event, dict[str, Any] | None]] = [
    (
        e.UserSpeechStarted(500, 420),
        {
            "type": "input_audio_buffer.speech_started",
            "audio_start_ms": 420,
            "item_id": "turn_3",
        },
    ),
    (
        e.UserSpeechStopped(900, 820),
        {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 820, "item_id": "turn_3"},
    ),
    (
        e.ToolCompleted(1, "t1", "{}"),
        {"type": "antiphon.tool.completed", "call_id": "t1", "output": "{}"},
    ),
    *(
        (event, {"type": "error", "error": {"type": "provider_error", "message": "gone"}})
        for event in (
            e.TranscriptionFailed(1, "gone"),
            e.GenerationFailed(1, 1, "gone"),
            e.SynthesisFailed(1, 1, "gone"),
        )
    ),
    (e.CallStarted(0), None),
]


@pytest.mark.parametrize(("event", "notice"), EVENTS)
def test_events(event: e.Event, notice: dict[str, Any] | None) -> None:
    assert notices.of_event(event, 3) == notice


COMMANDS: list[tuple[c.Command, list[dict[str, Any]]]] = [
    (
        c.ReportState(c.UserState.AWAY, c.AgentState.PAUSED),
        [{"type": "antiphon.state", "user": "away", "agent": "paused"}],
    ),
    (
        c.ReportTranscript(3, "a cof"),
        [{"type": "antiphon.transcript.partial", "item_id": "turn_3", "transcript": "a cof"}],
    ),
    (
        c.ReportTurn(3, "a coffee", "answered", "text"),
        [
            {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": "turn_3",
                "transcript": "a coffee",
                "outcome": "answered",
                "source": "text",
            }
        ],
    ),
    (
        c.ReportTurn(4, "", "merged"),
        [{"type": "conversation.item.deleted", "item_id": "turn_4"}],
    ),
    (
        c.ReportHeard(2, "one two"),
        [
            {
                "type": "response.output_audio_transcript.delta",
                "response_id": "resp_2",
                "delta": "one two ",
            }
        ],
    ),
    (
        c.ReportResponse(2, "in_progress"),
        [{"type": "response.created", "response": {"id": "resp_2", "status": "in_progress"}}],
    ),
    (
        c.ReportResponse(2, "cancelled", "one two", "turn_detected"),
        [
            {
                "type": "response.output_audio_transcript.done",
                "response_id": "resp_2",
                "transcript": "one two",
            },
            {
                "type": "response.done",
                "response": {
                    "id": "resp_2",
                    "status": "cancelled",
                    "status_details": {"reason": "turn_detected"},
                },
            },
        ],
    ),
    (
        c.ReportLatency(3, 2, 300, (("endpointing", 200), ("playback", 100))),
        [
            {
                "type": "antiphon.latency",
                "item_id": "turn_3",
                "response_id": "resp_2",
                "total_ms": 300,
                "contributions": {"endpointing": 200, "playback": 100},
            }
        ],
    ),
    (
        c.ReportOverlap("duck", "onset"),
        [{"type": "antiphon.overlap", "decision": "duck", "why": "onset"}],
    ),
    (
        c.CallTool("t1", "place", '{"n":1}', 500),
        [
            {
                "type": "response.function_call_arguments.done",
                "call_id": "t1",
                "name": "place",
                "arguments": '{"n":1}',
            }
        ],
    ),
    (c.PauseAudio(), []),
]


@pytest.mark.parametrize(("command", "expected"), COMMANDS)
def test_commands(command: c.Command, expected: list[dict[str, Any]]) -> None:
    assert notices.of_command(command) == expected
    json.dumps(expected)


def test_beginning_and_end() -> None:
    assert notices.created("call_1", "Cafe", "wav", "manual") == {
        "type": "session.created",
        "session": {
            "id": "call_1",
            "agent": {"name": "Cafe"},
            "channel": "wav",
            "turn_mode": "manual",
        },
    }
    assert notices.ended("gone") == {"type": "antiphon.session.ended", "reason": "gone"}
