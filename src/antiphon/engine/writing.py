"""From the text of an answer to its voice: cut into segments, kept in history, and ended."""

from __future__ import annotations

from antiphon.engine.commands import EndSynthesis
from antiphon.engine.floor import Floor
from antiphon.engine.response import Response
from antiphon.engine.voice_turn import VoiceTurn


class Writing:
    """See the module."""

    __slots__ = ("_floor", "_voice")

    def __init__(self, floor: Floor, voice: VoiceTurn) -> None:
        self._floor, self._voice = floor, voice

    def finish(self, response: Response) -> None:
        """All text is written."""
        self.flush(response)
        phrases = self._floor.setup.phrases
        if not response.segments and response.lead_in:
            self.write(response, response.lead_in)
            self.flush(response)
        if not response.segments and (response.owed or response.turn_id is not None):
            self.write(
                response, phrases.goodbye if response.end_call_reason else phrases.llm_failed
            )
            self.flush(response)
        if not response.segments:
            self._voice.close(response)
            return
        response.synthesis_ended = True
        self._floor.out.append(EndSynthesis(response.response_id))

    def write(self, response: Response, text: str) -> None:
        """More text."""
        if response.draft is not None:
            response.draft.written += text
        else:
            self._floor.history.add_text(response.response_id, text)
        for segment in response.segmenter.push(text):
            self._speak(response, segment)

    def flush(self, response: Response) -> None:
        """What is written so far is to be said."""
        for segment in response.segmenter.flush():
            self._speak(response, segment)

    def _speak(self, response: Response, segment: str) -> None:
        """A prepared answer has no more than its first segment voiced: the rest would cost."""
        draft = response.draft
        voiced = self._floor.policy.speculation.prepare == "voice" and not response.segments
        if draft is not None and not voiced:
            draft.waiting.append(segment)
        else:
            self._voice.speak(response, segment)
