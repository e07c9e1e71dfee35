"""What a reasoning model writes for itself is never spoken. Pure.

Models think in text between two marks when their server does not take their thoughts out:
`<think>` and `</think>` (DeepSeek-R1, Qwen3), `<thinking>`, `[THINK]` (Magistral).
"""

from __future__ import annotations

MARKS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"))
"""How thoughts begin and end."""
_OPENS = tuple(mark for mark, _ in MARKS)
_CLOSES = tuple(mark for _, mark in MARKS)


class ThoughtFilter:
    """Takes the text of one answer piece by piece and gives what is to be said.

    Some templates end the prompt with the opening mark, so that an answer begins in the middle of
    a thought and has only the closing mark. That cannot be known before the closing mark comes,
    unless it is said beforehand (`begins_inside`): then everything is held until the closing mark,
    or to the end when it never comes, because then it was the answer. Once it has been seen,
    `unopened` is true: the answers that follow will begin like that, too.
    """

    def __init__(self, begins_inside: bool = False) -> None:
        self.unopened = False
        self._held = ""
        self._guess = begins_inside
        self._close = ""
        self._said = self._strip = False

    def add(self, text: str) -> str:
        """Take more of the answer; return what may be said now."""
        self._held += text
        out = ""
        while (step := self._step()) is not None:
            out += step
        return out

    def rest(self) -> str:
        """The answer has ended: what was held back and turned out to be no mark."""
        held, self._held = self._held, ""
        if self._close or not held.strip():
            return ""
        return held.lstrip() if self._strip else held

    def thoughts_are_apart(self) -> str:
        """The server sends thoughts beside the text, so that the text does not begin with them;
        returns what was held because it might."""
        self._guess = False
        return self.add("")

    def _step(self) -> str | None:
        """One move through what is held: what may be said of it, None when more is needed."""
        if self._guess and self._held.lstrip().startswith(_OPENS):
            self._guess = False
        if self._close or self._guess:
            return self._leave()
        return self._pass_on()

    def _leave(self) -> str | None:
        ends = (self._close,) if self._close else _CLOSES
        at, mark = _first(self._held, ends)
        if mark:
            self._held = self._held[at + len(mark) :]
            self.unopened = self._guess
            self._guess, self._close, self._strip = False, "", not self._said
            return ""
        if not self._guess:
            # Enough to recognise the mark when it is split over pieces.
            self._held = self._held[len(self._held) - _begun(self._held, ends) :]
        return None

    def _pass_on(self) -> str | None:
        at, mark = _first(self._held, _OPENS + _CLOSES)
        if not mark:
            at = len(self._held) - _begun(self._held, _OPENS + _CLOSES)
        text = self._held[:at]
        if not self._said and not text.strip():
            text = ""
            if not mark:
                return None
        self._held = self._held[at + len(mark) :]
        if mark in _OPENS:
            self._close = _CLOSES[_OPENS.index(mark)]
        elif mark:
            self.unopened, self._strip = True, not self._said
        if self._strip and text:
            text, self._strip = text.lstrip(), False
        self._said = self._said or bool(text)
        return text if text or mark else None


def _first(text: str, marks: tuple[str, ...]) -> tuple[int, str]:
    """Where the first of the marks is, and which; an empty mark when there is none."""
    found = [(text.find(mark), mark) for mark in marks if mark in text]
    return min(found) if found else (-1, "")


def _begun(text: str, marks: tuple[str, ...]) -> int:
    """The length of the longest end of the text that may become a mark."""
    longest = max(len(mark) for mark in marks) - 1
    for size in range(min(longest, len(text)), 0, -1):
        if any(mark.startswith(text[-size:]) for mark in marks):
            return size
    return 0
