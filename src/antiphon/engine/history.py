"""What was said and heard, and the messages that an LLM is shown.

The agent's part of a closed response is what the caller heard of it; of the response under way it
is all that was written, because that is still going to be spoken.
"""

from __future__ import annotations

from antiphon.types import Message, ToolCall

STILL_RUNNING = '{"status": "still running"}'
"""What the LLM is shown as the output of a tool that has not come back."""
LATE_TOOL = "A tool has come back since your last answer. Tell the caller its result."
"""What the LLM is told when a tool came back after the answer that had to do without it: its output
stands where it was called, and the caller does not know it yet."""
TYPED = "The caller has typed what you asked for, or nothing. Go on."
"""What the LLM is told when a number is over that it had the caller type."""
REFUSED = "The caller was not passed on. Tell them why, and go on."
"""What the LLM is told when a transfer may not be made; the tool's output says why."""
NOT_TRANSFERRED = '{"error": "the caller spoke before the transfer, which was not made"}'
"""The output of a transfer that the caller stopped."""
CUT_OFF = "The line was cut off while you were answering. Go on with your answer."
"""What the LLM is told when its answer was lost in the middle."""
LOST_TOOL = '{"error": "the call was cut off while the tool ran; it may have done its work"}'
"""The output of a tool whose result was lost: nobody knows, and it must not run twice."""


class _User:
    __slots__ = ("text", "turn_id")

    def __init__(self, turn_id: int, text: str) -> None:
        self.turn_id, self.text = turn_id, text


class _Step:
    """One generation of a response."""

    __slots__ = ("interrupted", "response_id", "text", "tool_calls")

    def __init__(self, response_id: int) -> None:
        self.response_id, self.text, self.interrupted = response_id, "", False
        self.tool_calls: list[ToolCall] = []


class _Output:
    __slots__ = ("text", "tool_call_id")

    def __init__(self, tool_call_id: str) -> None:
        self.tool_call_id = tool_call_id
        self.text: str | None = None


class _Note:
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class History:
    """The conversation so far. Only ever appended to, but for the last turn when it is reopened."""

    __slots__ = ("_items", "_outputs")

    def __init__(self) -> None:
        self._items: list[_User | _Step | _Output | _Note] = []
        self._outputs: dict[str, _Output] = {}

    def add_user(self, turn_id: int, text: str) -> None:
        """A turn was committed."""
        self._items.append(_User(turn_id, text))

    def reopen(self, turn_id: int, response_id: int) -> None:
        """Take the last turn back, and the unheard response to it."""
        gone: set[str] = set()
        kept: list[_User | _Step | _Output | _Note] = []
        for item in self._items:
            if isinstance(item, _User) and item.turn_id == turn_id:
                continue
            if isinstance(item, _Step) and item.response_id == response_id:
                gone.update(call.tool_call_id for call in item.tool_calls)
                continue
            if isinstance(item, _Output) and item.tool_call_id in gone:
                continue
            kept.append(item)
        self._items = kept

    def add_step(self, response_id: int) -> None:
        """A generation of this response begins, or a sentence of the agent's own."""
        self._items.append(_Step(response_id))

    def add_text(self, response_id: int, text: str) -> None:
        """More text was written in the response's newest step."""
        self._newest(response_id).text += text

    def add_tool_call(self, response_id: int, call: ToolCall) -> None:
        """The response's newest step asks for a tool."""
        self._newest(response_id).tool_calls.append(call)
        output = self._outputs[call.tool_call_id] = _Output(call.tool_call_id)
        self._items.append(output)

    def add_note(self, text: str) -> None:
        """Tell the LLM why it is asked to go on without a word from the caller."""
        self._items.append(_Note(text))

    def knows_tool_call(self, tool_call_id: str) -> bool:
        """Whether this id was used before in the call."""
        return tool_call_id in self._outputs

    def set_output(self, tool_call_id: str, text: str) -> None:
        """A tool came back."""
        self._outputs[tool_call_id].text = text

    def close(self, response_id: int, heard: list[str], *, interrupted: bool) -> None:
        """The response is over; `heard` has what was heard of each of its steps, oldest first."""
        steps = [i for i in self._items if isinstance(i, _Step) and i.response_id == response_id]
        for step, text in zip(steps, heard, strict=True):
            step.text = text
        if steps and interrupted:
            # Marked where the LLM sees it: at the last words that were heard.
            audible = [step for step in steps if step.text]
            (audible or steps)[-1].interrupted = True

    def messages(self, pending: str = "") -> tuple[Message, ...]:
        """The conversation as messages, oldest first, without a system message; `pending`: what the
        caller has said of a turn that is not over."""
        result: list[Message] = []
        for item in self._items:
            if isinstance(item, _User):
                result.append(Message("user", item.text))
            elif isinstance(item, _Step):
                text = item.text.strip()
                if text or item.tool_calls:
                    calls = tuple(item.tool_calls)
                    result.append(Message("assistant", text, calls, None, item.interrupted))
            elif isinstance(item, _Note):
                result.append(Message("system", item.text))
            else:
                output = STILL_RUNNING if item.text is None else item.text
                result.append(Message("tool", output, (), item.tool_call_id))
        if pending:
            result.append(Message("user", pending))
        return tuple(result)

    def _newest(self, response_id: int) -> _Step:
        for item in reversed(self._items):
            if isinstance(item, _Step) and item.response_id == response_id:
                return item
        raise KeyError(response_id)
