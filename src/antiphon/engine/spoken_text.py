"""Written text -> segments that a voice can speak.

An answer arrives in pieces of any size. The first segment is cut at the first clause, for the first
sound to come soon; later ones at sentences, for prosody. A cut is only made where white space
follows, so that it never falls inside a number, an e-mail address or a URL, nor after an
abbreviation. What cannot be spoken (markdown, emoji) is left out.
"""

from __future__ import annotations

import re
import unicodedata

_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st vs etc approx dept est inc ltd jr sr mt ave".split()  # noqa: SIM905
)
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")  # e.g, U.S, a.m
_SENTENCE = re.compile(r"[.!?…]+[\"')\]*_]*\s|\n")
_CLAUSE = re.compile(r"[.!?…]+[\"')\]*_]*\s|[,;:][\"')\]*_]*\s|\s[-–—]+\s|\n")
_FIRST_CLAUSE_CHARS = 10
_LONGEST_SEGMENT_CHARS = 280

_FENCE = re.compile(r"^\s*(?:```|~~~).*$", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_LINE_MARK = re.compile(r"^\s*(?:#{1,6}\s+|[-*+•]\s+|>\s+)", re.MULTILINE)
_EMPHASIS = re.compile(r"(\*\*|__|~~|`+|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w))")
_SPACE = re.compile(r"\s+")


def speakable(text: str) -> str:
    """Return the text without markdown and emoji, white space collapsed; empty when nothing in it
    can be spoken."""
    text = _FENCE.sub("", text)
    text = _LINK.sub(r"\1", text)
    text = _LINE_MARK.sub("", text)
    text = _EMPHASIS.sub("", text)
    if not text.isascii():
        text = "".join(c for c in text if not _is_pictograph(c))
    text = _SPACE.sub(" ", text).strip()
    return text if any(c.isalnum() for c in text) else ""


def _is_pictograph(char: str) -> bool:
    if char in "°©®™℃℉№":
        return False
    return unicodedata.category(char) in ("So", "Sk", "Cf", "Cs") or "\ufe00" <= char <= "\ufe0f"


class Segmenter:
    """Cuts one response's text into segments as it is written."""

    __slots__ = ("_buffer", "_first")

    def __init__(self) -> None:
        self._buffer = ""
        self._first = True

    def push(self, text: str) -> list[str]:
        """Take more text; return the segments that are now whole, ready to speak."""
        self._buffer += text
        segments: list[str] = []
        while (cut := self._find_cut()) is not None:
            piece, self._buffer = self._buffer[:cut], self._buffer[cut:]
            self._keep(piece, segments)
        return segments

    def flush(self) -> list[str]:
        """The text is whole: return what is left of it."""
        segments: list[str] = []
        piece, self._buffer = self._buffer, ""
        self._keep(piece, segments)
        return segments

    def _keep(self, piece: str, segments: list[str]) -> None:
        if spoken := speakable(piece):
            segments.append(spoken)
            self._first = False

    def _find_cut(self) -> int | None:
        pattern = _CLAUSE if self._first else _SENTENCE
        for match in pattern.finditer(self._buffer):
            if self._first and match.start() < _FIRST_CLAUSE_CHARS and match.group()[0] in ",;: ":
                continue
            if match.group()[0] == "." and self._is_abbreviation(match.start()):
                continue
            return match.end()
        if len(self._buffer) > _LONGEST_SEGMENT_CHARS:
            space = self._buffer.rfind(" ", 0, _LONGEST_SEGMENT_CHARS)
            return space + 1 if space > 0 else _LONGEST_SEGMENT_CHARS
        return None

    def _is_abbreviation(self, dot: int) -> bool:
        word = self._buffer[:dot].rsplit(None, 1)[-1:] or [""]
        bare = word[0].strip("(\"'").lower()
        # A single letter is an initial; digits are a list number such as "1. ".
        return (
            bare in _ABBREVIATIONS
            or _DOTTED.fullmatch(bare) is not None
            or (len(bare) == 1 and bare.isalpha() and bare != "i")
            or (bare.isdigit() and len(bare) <= 2 and self._buffer[:dot].strip() == bare)
        )
