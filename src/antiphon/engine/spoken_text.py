"""Written text -> segments that a voice can speak.

An answer arrives in pieces of any size, and is cut at the same places whatever they are. The first
segment ends at the first clause, for the first sound to come soon; later ones at sentences, for
prosody. A cut is only made where white space follows, so that it never falls inside a number, an
e-mail address or a URL, nor after an abbreviation, nor inside a tag. What cannot be spoken
(markdown, code, HTML, emoji) is left out; the tags of SSML that change how something is spoken stay
(`ssml.py`).
"""

from __future__ import annotations

import html
import re
import unicodedata

from antiphon.engine import ssml

_FIRST_CLAUSE_CHARS = 10
_FIRST_SEGMENT_CHARS = 120
_LONGEST_SEGMENT_CHARS = 280
_LOOK_AHEAD_CHARS = 24
_LONGEST_TAG_CHARS = 160

_CLOSERS = "\"')]*_»”’"
# White space after what may end a segment, and every end of a line.
_CANDIDATE = re.compile(r"(?<=[.!?…,;:\"')\]*_»”’>–—-])[^\S\n]|\n|(?<=[。！？])")
_STOP = re.compile(r"[.!?…,;:\"')\]*_»”’>–—\n。！？-]")
_OPEN = re.compile(r"<[A-Za-z/!][^<>]*$|\[[^\[\]]*$|\]\([^()\s]*$")
_HALF_TAG = re.compile(r"<(?:[A-Za-z/!][^<>]*)?$")
_WHOLE = re.compile(r"<(say-as|sub|phoneme)\b[^<>]*>(?:(?!</\1>).)*$", re.IGNORECASE | re.DOTALL)
_DOTTED = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")  # e.g, U.S, a.m


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# What a full stop after it says: no end; no end before a digit; an end before a capital.
_NO_END = _set(
    "mr mrs ms dr prof st vs approx dept gen sen rep gov capt sgt lt mt fr hr bzw ca evtl ggf inkl"
    " zzgl vgl str sog sra srta ud uds mme mlle est ave blvd"
)
_NO_END_BEFORE_DIGIT = _set(
    "no nr núm num fig vol art pp ch sec ext tel jan feb mar apr jun jul aug sep sept oct nov dec"
    " okt dez ene abr ago dic janv févr avr juil"
)
_END_BEFORE_CAPITAL = _set("etc inc ltd jr sr co corp usw a.m p.m")
_ARTICLES = _set("der das dem den des vom zum zur beim im die")  # "die 3. Etage"
_MONTHS = _set(
    "januar jänner februar märz april mai juni juli august september oktober november dezember"
)
_JOINING = re.compile(
    r" (?=(?:and|but|or|because|which|that|when|while|if|so|with|for|und|aber|oder|weil|dass|wenn"
    r"|y|pero|porque|cuando|et|mais|ou|parce|quand) )"
)

_FENCE = re.compile(r"\s*(?:```|~~~)")
_RULE = re.compile(r"[\s|:=*_-]+")
_LINE_MARK = re.compile(r"\s*(?:#{1,6}\s+|[-*+•]\s+(?:\[[ xX]\]\s+)?|>\s*)+")
_ITEM = re.compile(r"\s*(?:#{1,6}\s|[-*+•]\s|\d{1,2}[.)]\s|\|)")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_EMPHASIS = re.compile(r"(\*\*|__|~~|`+|(?<!\w)[*_](?=\S)|(?<=\S)[*_](?!\w))")
_BARS = re.compile(r"\s*\|\s*")
_SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")
# Text with none of this is spoken as it is.
_MARKED = re.compile(r"[^ -~]|[*_`~\[<&|#^]|  |^ ?[-+>]")


def speakable(text: str, *, line_start: bool = True) -> str:
    """Return the text without markdown, HTML and emoji, white space collapsed; empty when nothing
    in it can be spoken. `line_start`: whether it begins where a line does."""
    if _MARKED.search(text):
        text = _unmarked(text, line_start)
    text = text.strip()
    return text if any(c.isalnum() for c in ssml.plain(text)) else ""


def _unmarked(text: str, line_start: bool) -> str:
    lines = text.split("\n")
    if len(lines) > 1:
        lines = [line for line in lines if not _is_fence(line)]
    for number, line in enumerate(lines):
        if line_start or number:
            lines[number] = _unmarked_line(line)
    text = "\n".join(lines)
    if "<" in text:
        text = ssml.clean(text)
    if "&" in text:
        text = html.unescape(text)
    text = _EMPHASIS.sub("", _LINK.sub(r"\1", text))
    if not text.isascii():
        text = "".join(c for c in text if c.isascii() or not _is_pictograph(c))
    return _SPACE.sub(" ", text)


def _unmarked_line(line: str) -> str:
    """Without the mark at its beginning; a row of a table becomes a list of its cells."""
    mark = _LINE_MARK.match(line)
    if mark is not None:
        line = line[mark.end() :]
    if line.lstrip().startswith("|"):
        line = "" if _RULE.fullmatch(line) else _BARS.sub(", ", line.strip().strip("|").strip())
    return line


def _is_fence(line: str) -> bool:
    return _FENCE.match(line) is not None and line.count("```") != 2


def _is_pictograph(char: str) -> bool:
    if char in "°©®™℃℉№":
        return False
    if "\ufe00" <= char <= "\ufe0f":
        return True
    return unicodedata.category(char) in ("So", "Sk", "Cf", "Cs", "Co", "Cn")


class Segmenter:
    """Cuts one response's text into segments as it is written."""

    __slots__ = ("_breaks", "_buffer", "_fenced", "_first", "_line_start", "_open", "_scanned")

    def __init__(self) -> None:
        self._buffer = ""
        self._scanned = 0  # no cut before this place
        self._first = True
        self._line_start = True  # the buffer begins where a line does
        self._fenced = False  # inside a block of code
        self._breaks = ""  # pauses that no text has followed yet
        self._open: list[str] = []

    def push(self, text: str) -> list[str]:
        """Take more text; return the segments that are now whole, ready to speak."""
        before = self._buffer
        self._buffer = buffer = before + text
        segments: list[str] = []
        short = len(buffer) <= _FIRST_SEGMENT_CHARS and self._scanned == len(before)
        if short and not _STOP.search(text) and not _STOP.match(before[-1:]):
            # Most pieces are a word, after a word: nothing can end there.
            self._scanned = len(buffer)
            return segments
        while (cut := self._find_cut()) is not None:
            self._take(cut, segments)
        return segments

    def flush(self) -> list[str]:
        """The text is whole: return what is left of it. What comes after begins anew."""
        segments: list[str] = []
        while (cut := self._find_cut(final=True)) is not None:
            self._take(cut, segments)
        self._take(len(self._buffer), segments)
        self._line_start, self._fenced = True, False
        self._open.clear()
        return segments

    def _take(self, cut: int, segments: list[str]) -> None:
        piece, self._buffer, self._scanned = self._buffer[:cut], self._buffer[cut:], 0
        if not piece:
            return
        line_start, self._line_start = self._line_start, piece.endswith("\n")
        if line_start and _is_fence(piece):
            self._fenced = not self._fenced
            return
        if self._fenced:
            return
        item = line_start and _ITEM.match(piece) is not None
        spoken = speakable(piece, line_start=line_start)
        if not spoken:
            if "<" in piece:
                self._breaks += " ".join(re.findall(r"<break[^<>]*/>", ssml.clean(piece)))
            return
        if item and self._line_start and spoken[-1].isalnum():
            spoken += "."  # a heading or an item of a list is a sentence
        if self._breaks:
            spoken, self._breaks = f"{self._breaks} {spoken}", ""
        if self._open or "<" in spoken:
            spoken = " ".join(ssml.balance(spoken, self._open).split())
        segments.append(spoken)
        self._first = False

    # ---- where to cut ----------------------------------------------------------------------

    def _find_cut(self, *, final: bool = False) -> int | None:
        """Where the first segment in the buffer ends; None when that is not known yet."""
        buffer = self._buffer
        limit = _FIRST_SEGMENT_CHARS if self._first else _LONGEST_SEGMENT_CHARS
        for match in _CANDIDATE.finditer(buffer, self._scanned):
            at = match.start()
            if at > limit:
                break
            ends = self._ends(at, final)
            if ends:
                return match.end()
            if ends is None:
                self._scanned = at
                return None
        if len(buffer) > limit:
            return self._forced_cut(limit)
        self._scanned = len(buffer)
        return None

    def _ends(self, at: int, final: bool) -> bool | None:
        """Whether a segment ends at this white space; None when what follows has to be seen."""
        buffer = self._buffer
        if self._keeps_line(at):
            return False
        if buffer[at : at + 1] == "\n":
            return True
        head = buffer[max(0, at - _LONGEST_TAG_CHARS) : at].rstrip(_CLOSERS)
        if head.endswith(">"):
            head = ssml.TAG.sub("", head).rstrip(_CLOSERS)
        mark = head[-1:]
        if mark == ".":
            return self._after_stop(head[:-1], at, final)
        if mark in ("!", "?", "…", "。", "！", "？"):
            return True
        if not self._first or not mark or at <= _FIRST_CLAUSE_CHARS:
            return False
        if mark in "–—-" and not head[-2:-1].isspace():
            return False
        if mark not in ",;:–—-":
            return False
        if not head[:-1].rstrip()[-1:].isdigit():
            return True
        if at + 1 >= len(buffer):
            return True if final else None
        return not buffer[at + 1].isdigit()

    def _keeps_line(self, at: int) -> bool:
        """Inside a tag or a link, which end soon; a block of code or a row of a table, which ends
        with its line."""
        buffer = self._buffer
        if "<" in buffer or "[" in buffer:
            near = buffer[max(0, at - _LONGEST_TAG_CHARS) : at]
            if _OPEN.search(near) or _WHOLE.search(near):
                return True
        if buffer[at : at + 1] == "\n":
            return False
        if self._fenced:
            return True
        start = buffer[:8].lstrip()
        return self._line_start and start.startswith(("```", "~~~", "|"))

    def _after_stop(self, head: str, at: int, final: bool) -> bool | None:
        """Whether the full stop after `head` is the end of a sentence."""
        words = head.rsplit(None, 1)
        bare = words[-1].strip("(\"'*_«“‘").lower() if words else ""
        if not bare or bare[-1:] in ".!?":
            return True  # an ellipsis
        if bare in _NO_END:
            return False
        if bare.isdigit() and len(bare) <= 2:
            if self._line_start and self._buffer[:at].strip(" *_.") == bare:
                return False  # "1. First"
            if len(words) == 2 and words[0].rsplit(None, 1)[-1].lower() in _ARTICLES:
                return False
            word = self._next_word(at, final)
            # "am 3. Oktober", "the 2. part": an ordinal, in the languages that write it so.
            return None if word is None else not (word[:1].islower() or word.lower() in _MONTHS)
        if bare in _NO_END_BEFORE_DIGIT:
            word = self._next_word(at, final)
            return None if word is None else not word[:1].isdigit()
        if bare in _END_BEFORE_CAPITAL:
            word = self._next_word(at, final)
            return None if word is None else word[:1].isupper()
        return not (_DOTTED.fullmatch(bare) or (len(bare) == 1 and bare.isalpha() and bare != "i"))

    def _next_word(self, at: int, final: bool) -> str | None:
        """The word after this white space; None when it may go on."""
        ahead = self._buffer[at : at + _LOOK_AHEAD_CHARS]
        word = re.match(r"\s*([\w]*)", ahead)
        assert word is not None
        if word.end() == len(ahead) and len(ahead) < _LOOK_AHEAD_CHARS and not final:
            return None
        return word[1]

    def _forced_cut(self, limit: int) -> int:
        """Nothing ends within the limit: the best place between words."""
        text, least = self._buffer[:limit], limit // 3
        if self._fenced:
            return limit
        commas = [m.end() for m in re.finditer(r"[,;:] (?!\d)", text)]
        joints = [m.end() for m in _JOINING.finditer(text)]
        spaces = [m.end() for m in re.finditer(r"(?<![\d.]) (?=\S)|(?<=\d) (?=[^\W\d])", text)]
        wanted = (*reversed(commas), *reversed(joints), *reversed(spaces))
        good = (p for p in wanted if p >= least and not self._keeps_line(p - 1))
        tag = _HALF_TAG.search(text)
        return next(good, tag.start() if tag is not None and tag.start() else limit)
