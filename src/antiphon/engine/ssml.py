"""Speech marks in what is written for the voice: which SSML tags count, and the text without them.

Elements that change how something is spoken are kept, in one normal form; every other tag, HTML
included, is taken out before a segment exists. So a `<` of another kind in a segment is text.
"""

from __future__ import annotations

import re

_NAMES = "break|say-as|sub|phoneme|emphasis|prosody|lang|voice"
TAG = re.compile(rf"<(/?)({_NAMES})((?: [\w:-]+=\"[^\"<>]*\")*)(/?)>")
"""A tag in a segment: its slash, name, attributes, and the slash of an empty element."""
ATTRIBUTE = re.compile(r"([\w:-]+)\s*=\s*(?:\"([^\"<>]*)\"|'([^'<>]*)')")
WHOLE = frozenset({"say-as", "sub", "phoneme"})
"""Elements that replace their text: never in two segments."""

_KEPT = re.compile(_NAMES)
_ANY = re.compile(
    r"<!--.*?-->|<(/?)([A-Za-z][\w:.-]*)([^<>]*)>|<[!?][^<>]*>"
    # One that never ends: its name, and what looks like attributes.
    rf"|</?(?:{_NAMES}|speak|html|div|span|p|br|b|i|u|a|em|strong|li|ul|ol|img|code|h[1-6])\b"
    r"(?:\s+[\w:-]+\s*=\s*(?:\"[^\"<>]*\"?|'[^'<>]*'?))*\s*/?",
    re.IGNORECASE | re.DOTALL,
)
_BLOCKS = frozenset("br p div li ul ol tr td th h1 h2 h3 h4 h5 h6 s hr table".split())  # noqa: SIM905
_MARK_AFTER = re.compile(r"((?:\s*<break[^<>]*/>)+)\s*([,.;:!?…]+)(?!\w)")


def plain(text: str) -> str:
    """The text of a segment without its tags, as it belongs in the history."""
    if "<" not in text:
        return text
    return " ".join(TAG.sub(_gap, text).split())


def _gap(tag: re.Match[str]) -> str:
    return " " if tag[2] == "break" else ""


def written(text: str) -> list[str]:
    """The words of a segment: what stands between white space, tags apart."""
    return plain(text).split()


def clean(text: str) -> str:
    """Text with every tag in normal form, or gone: `<BREAK time='1s'>` becomes a `<break>` of its
    own, `<b>` nothing, and of a tag without an end only the text after it is left."""
    return _MARK_AFTER.sub(r"\2\1 ", _ANY.sub(_normal, text))


def _normal(tag: re.Match[str]) -> str:
    name = (tag[2] or "").lower()
    if not _KEPT.fullmatch(name):
        return " " if name in _BLOCKS else ""
    if name == "break":
        return f" <break{_attributes(tag[3])}/> "
    if tag[1]:
        return f"</{name}>"
    # An empty element of another kind changes nothing.
    return "" if tag[3].rstrip().endswith("/") else f"<{name}{_attributes(tag[3])}>"


def _attributes(text: str) -> str:
    found = ATTRIBUTE.findall(text)
    return "".join(f' {name.lower()}="{double or single}"' for name, double, single in found)


def balance(text: str, still_open: list[str]) -> str:
    """A segment whose elements all end in it. What began in an earlier one (`still_open`, whole
    tags, outermost first; updated) begins again, what does not end yet ends here too."""
    before, names, parts, at = list(still_open), [_name(tag) for tag in still_open], [], 0
    for tag in TAG.finditer(text):
        parts.append(text[at : tag.start()])
        at = tag.end()
        if tag[2] == "break":
            parts.append(tag[0])
        elif not tag[1]:
            if tag[2] not in WHOLE or f"</{tag[2]}>" in text[at:]:
                names.append(tag[2])
                still_open.append(tag[0])
                parts.append(tag[0])
        elif names and names[-1] == tag[2]:
            names.pop()
            still_open.pop()
            parts.append(tag[0])
    ends = "".join(f"</{name}>" for name in reversed(names))
    return "".join(before) + "".join(parts) + text[at:] + ends


def _name(tag: str) -> str:
    return tag[1:-1].partition(" ")[0]
