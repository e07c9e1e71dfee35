"""The call goes on in another process: everything under way outside is gone.

What the caller has not heard is said again, what was being written is written again; a tool that
ran is not run again. Words of the turn under way are kept, and answered.
"""

from __future__ import annotations

from antiphon.engine.agent_turn import AgentTurn
from antiphon.engine.caller_side import CallerSide
from antiphon.engine.commands import ReportTurn
from antiphon.engine.floor import Floor
from antiphon.engine.history import CUT_OFF, LOST_TOOL
from antiphon.engine.line import Line
from antiphon.engine.response import ResponseState
from antiphon.engine.user_turn import Phase
from antiphon.engine.voice_turn import VoiceTurn


def restore(
    floor: Floor, agent: AgentTurn, voice: VoiceTurn, caller: CallerSide, line: Line
) -> None:
    """A fresh process was fed the trace up to here."""
    if floor.ending:
        voice.end_call(floor.ending)  # nobody has hung up
        return
    agent.drop_prepared()
    line.restore()
    for call_id in list(agent.open_tools):
        agent.on_tool_lost(call_id, LOST_TOOL)
    _restore_response(floor, agent, voice)
    floor.idle_from_ms = floor.now_ms
    caller.hear_again()
    _restore_turn(floor, agent, voice)


def _restore_response(floor: Floor, agent: AgentTurn, voice: VoiceTurn) -> None:
    response = floor.response
    if response is None:
        return
    if response.state is ResponseState.FLUSHING:
        pass  # the caller had taken the floor
    elif response.working:
        agent.unreported = CUT_OFF
    else:
        voice.put_off("restored")
    voice.abandon("restored")


def _restore_turn(floor: Floor, agent: AgentTurn, voice: VoiceTurn) -> None:
    user = floor.user
    if user.phase is Phase.IDLE:
        return
    user.restore(floor.now_ms)
    if user.text:
        return
    # Spoken to, and nothing of it is left: the caller is asked to say it again.
    turn_id, lost = user.turn_id, user.voiced_ms(floor.now_ms)
    user.close()
    if lost < floor.policy.endpointing.min_speech_ms:
        floor.out.append(ReportTurn(turn_id, "", "noise"))
    else:
        floor.out.append(ReportTurn(turn_id, "", "unclear"))
        voice.rest_end = ""
        agent.own_sentence(agent.next_phrase(floor.setup.phrases.repeat))
