"""The agent's own voice, come back over the line and taken for a turn of the caller's."""

from __future__ import annotations

from antiphon.engine.floor import Floor
from antiphon.engine.overlap import ECHO_SHARE, is_echo

_ECHO_ENDS_MS = 400
"""So long after the agent's last sound its echo is over."""


def is_own_voice(floor: Floor, text: str) -> bool:
    """Whether the turn that is over with these words began while the agent sounded, ended with it,
    and has the agent's words; no other one, where nobody has measured that it is an echo. Without
    words that is what counts."""
    user = floor.user
    over = user.speech_start_ms <= floor.last_sound_ms
    goes_on = user.speech_end_ms > floor.last_sound_ms + _ECHO_ENDS_MS
    if not over or goes_on:
        return False
    measured = floor.echo >= ECHO_SHARE
    return is_echo(text, floor.last_words, garbled=measured) if text else measured
