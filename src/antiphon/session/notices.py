"""What the caller's screen is told (docs/events.md), made from events and commands.

The names are those of the OpenAI Realtime API where it has one.
"""

from __future__ import annotations

from typing import Any

from antiphon.engine import commands as c
from antiphon.engine import events as e

Notice = dict[str, Any]


def item_id(turn_id: int) -> str:
    """The wire's name of a turn."""
    return f"turn_{turn_id}"


def response_name(response_id: int) -> str:
    """The wire's name of a response."""
    return f"resp_{response_id}"


def of_event(event: e.Event, turn_id: int) -> Notice | None:
    """The notice of an event; `turn_id` is the turn under way after it."""
    match event:
        case e.UserSpeechStarted():
            return {
                "type": "input_audio_buffer.speech_started",
                "audio_start_ms": event.speech_at_ms,
                "item_id": item_id(turn_id),
            }
        case e.UserSpeechStopped():
            return {
                "type": "input_audio_buffer.speech_stopped",
                "audio_end_ms": event.speech_at_ms,
                "item_id": item_id(turn_id),
            }
        case e.ToolCompleted():
            return {
                "type": "antiphon.tool.completed",
                "call_id": event.tool_call_id,
                "output": event.output,
            }
        case e.TranscriptionFailed() | e.GenerationFailed() | e.SynthesisFailed():
            return error("provider_error", event.reason)
    return None


def of_command(command: c.Command) -> list[Notice]:
    """The notices of a command, in order."""
    match command:
        case c.ReportState():
            return [{"type": "antiphon.state", "user": command.user, "agent": command.agent}]
        case c.ReportTranscript():
            return [
                {
                    "type": "antiphon.transcript.partial",
                    "item_id": item_id(command.turn_id),
                    "transcript": command.text,
                }
            ]
        case c.ReportTurn(outcome="merged"):
            return [{"type": "conversation.item.deleted", "item_id": item_id(command.turn_id)}]
        case c.ReportTurn():
            return [_turn(command)]
        case c.ReportHeard():
            return [
                {
                    "type": "response.output_audio_transcript.delta",
                    "response_id": response_name(command.response_id),
                    "delta": command.text + " ",
                }
            ]
        case c.ReportResponse():
            return _response(command)
        case c.ReportLatency():
            return [_latency(command)]
        case c.ReportOverlap():
            return [{"type": "antiphon.overlap", "decision": command.decision, "why": command.why}]
        case c.ReportBudget():
            return [{"type": "antiphon.budget", "level": command.level, "scope": command.scope}]
        case c.ReportConsent():
            return [{"type": "antiphon.consent", "granted": command.granted, "by": command.by}]
        case c.StartRecording() | c.ResumeRecording():
            return [{"type": "antiphon.recording", "state": "on"}]
        case c.PauseRecording():
            return [{"type": "antiphon.recording", "state": "paused"}]
        case c.CollectDigits():
            return [_digits(command.name, "awaited")]
        case c.DigitsCollected():
            return [_digits(command.name, command.outcome)]
        case c.CallTool():
            return [
                {
                    "type": "response.function_call_arguments.done",
                    "call_id": command.tool_call_id,
                    "name": command.name,
                    "arguments": command.arguments,
                }
            ]
    return []


def created(call_id: str, agent: str, channel: str, turn_mode: str) -> Notice:
    """The first notice of a session."""
    return {
        "type": "session.created",
        "session": {
            "id": call_id,
            "agent": {"name": agent},
            "channel": channel,
            "turn_mode": turn_mode,
        },
    }


def resumed(session: Notice, lasting: list[Notice]) -> Notice:
    """The caller is back; `lasting` are the notices of what was said so far, oldest first."""
    return {"type": "antiphon.session.resumed", "session": session, "items": lasting}


def ended(reason: str) -> Notice:
    """The last notice of a session."""
    return {"type": "antiphon.session.ended", "reason": reason}


def cost(bill: dict[str, Any], *, final: bool = False) -> Notice:
    """What the call has cost so far; `final`: in all."""
    return {"type": "antiphon.cost", "final": final, **bill}


def error(kind: str, message: str) -> Notice:
    """Something went wrong; the session goes on."""
    return {"type": "error", "error": {"type": kind, "message": message}}


def _digits(name: str, state: str) -> Notice:
    return {"type": "antiphon.digits", "name": name, "state": state}


def _turn(command: c.ReportTurn) -> Notice:
    return {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": item_id(command.turn_id),
        "transcript": command.text,
        "outcome": command.outcome,
        "source": command.source,
    }


def _response(command: c.ReportResponse) -> list[Notice]:
    name = response_name(command.response_id)
    if command.status == "in_progress":
        return [{"type": "response.created", "response": {"id": name, "status": "in_progress"}}]
    return [
        {
            "type": "response.output_audio_transcript.done",
            "response_id": name,
            "transcript": command.heard,
        },
        {
            "type": "response.done",
            "response": {
                "id": name,
                "status": command.status,
                "status_details": {"reason": command.reason},
            },
        },
    ]


def _latency(command: c.ReportLatency) -> Notice:
    return {
        "type": "antiphon.latency",
        "item_id": item_id(command.turn_id),
        "response_id": response_name(command.response_id),
        "total_ms": command.total_ms,
        "contributions": dict(command.contributions),
    }
