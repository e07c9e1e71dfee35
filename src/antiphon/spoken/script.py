"""A segment of the agent's text -> what a voice is given for it.

A voice that reads SSML gets a document. For every other the tags are rendered here: a break becomes
a pause between two pieces of text, `<sub>` and `<say-as>` the words that they ask for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape

from antiphon.engine.ssml import ATTRIBUTE, TAG, WHOLE
from antiphon.spoken.text import Replacement, Spoken, verbalise

_LONGEST_BREAK_MS = 10_000
_STRENGTHS = {
    "none": 0,
    "x-weak": 100,
    "weak": 200,
    "medium": 400,
    "strong": 700,
    "x-strong": 1000,
}
_SPELLED = frozenset({"characters", "spell-out", "verbatim", "digits", "telephone"})


@dataclass(frozen=True, slots=True)
class Part:
    """Text that a voice speaks at once, after a pause of `pause_ms`, and its written words."""

    pause_ms: int
    text: str
    words: tuple[Spoken, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """The parts of a segment, at least one, and the pause after them."""

    parts: tuple[Part, ...]
    pause_ms: int = 0


def script(segment: str, language: str, *, takes_ssml: bool, as_written: bool = False) -> Script:
    """Make the script of a segment. The written words of all parts together are those of
    `antiphon.engine.ssml.written(segment)`."""
    if takes_ssml:
        words = tuple(w for p in _parts(segment, language, as_written)[0] for w in p.words)
        return Script((Part(0, _document(segment, language, as_written), words),))
    parts, pause_ms = _parts(segment, language, as_written)
    return Script(parts or (Part(0, "", ()),), pause_ms)


def _parts(segment: str, language: str, as_written: bool) -> tuple[tuple[Part, ...], int]:
    parts: list[Part] = []
    pause_ms, at = 0, 0
    breaks = [tag for tag in TAG.finditer(segment) if tag[2] == "break"] if "<" in segment else []
    for tag in [*breaks, None]:
        piece = segment[at : tag.start() if tag else len(segment)]
        words = _words(piece, language, as_written)
        if words:
            text = " ".join(word.spoken for word in words if word.spoken)
            parts.append(Part(pause_ms, text, words))
            pause_ms = 0
        if tag is not None:
            pause_ms, at = min(_LONGEST_BREAK_MS, pause_ms + _break_ms(tag[3])), tag.end()
    return tuple(parts), pause_ms


def _words(piece: str, language: str, as_written: bool) -> tuple[Spoken, ...]:
    """Written and spoken words of a piece without breaks."""
    if "<" not in piece:
        return verbalise(piece, language, as_written=as_written)
    plain, fixed, at = "", [], 0
    open_tag: tuple[str, dict[str, str], int] | None = None
    for tag in TAG.finditer(piece):
        plain += piece[at : tag.start()]
        at = tag.end()
        if tag[2] not in WHOLE:
            continue
        if not tag[1]:
            open_tag = (tag[2], _attributes(tag[3]), len(plain))
        elif open_tag is not None:
            name, attributes, start = open_tag
            parts = _asked_for(name, attributes, plain[start:])
            if parts is not None:
                fixed.append(Replacement(start, len(plain), parts))
            open_tag = None
    return verbalise(plain + piece[at:], language, fixed, as_written=as_written)


def _asked_for(name: str, attributes: dict[str, str], content: str) -> tuple[str, ...] | None:
    """What a `<sub>` or `<say-as>` has to be spoken as; None when as usual."""
    words = content.split()
    if not words:
        return None
    if name == "sub" and attributes.get("alias"):
        return (attributes["alias"], *[""] * (len(words) - 1))
    if name == "say-as" and attributes.get("interpret-as") in _SPELLED:
        return tuple(" ".join(char for char in word if char.isalnum()) for word in words)
    return None


def _attributes(text: str) -> dict[str, str]:
    return {name: double or single for name, double, single in ATTRIBUTE.findall(text)}


def _break_ms(attributes: str) -> int:
    found = _attributes(attributes)
    time = re.fullmatch(r"\+?(\d{1,7}(?:\.\d+)?)(ms|s)", found.get("time", "").strip())
    if time is not None:
        return round(float(time[1]) * (1000 if time[2] == "s" else 1))
    return _STRENGTHS.get(found.get("strength", "medium"), _STRENGTHS["medium"])


def _document(segment: str, language: str, as_written: bool) -> str:
    """The segment as an SSML document: its tags, and its text read out but where a tag says how."""
    said, at, whole = [], 0, False
    for tag in [*TAG.finditer(segment), None]:
        run = segment[at : tag.start() if tag else len(segment)]
        if not whole and run.strip():
            words = verbalise(run, language, as_written=as_written)
            lead, tail = run[: len(run) - len(run.lstrip())], run[len(run.rstrip()) :]
            run = f"{lead}{' '.join(word.spoken for word in words if word.spoken)}{tail}"
        said.append(escape(run, quote=False))
        if tag is not None:
            said.append(tag[0])
            at = tag.end()
            if tag[2] in WHOLE:
                whole = not tag[1]
    return f"<speak>{''.join(said)}</speak>"
