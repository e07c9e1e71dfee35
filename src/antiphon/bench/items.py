"""The items of a turn benchmark: recordings with what is true of them, and their words in time.

A folder has up to four lists (`SETS`), a line of JSON per item; times are seconds of the stream.
`file`, `user_file` and `agent_file` lie in the folder, `corpus_file` beside it in `corpus/`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.errors import UserFacingError

SETS = ("eot", "eot_natural", "bargein", "echo_real")
"""The lists, by the names of their files without `.jsonl`."""

UNKNOWN = "…"
"""What is understood of speech whose words nobody wrote down: something, but no word."""

_ACKNOWLEDGEMENTS = ("mm-hm", "yeah")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One recording. `row` is its line; `agent_file` what the agent says meanwhile, if it does.

    `words` are the caller's words, each with the moment at which it has been said; None: there are
    words, and nobody knows them.
    """

    kind: str
    row: Row
    user_file: Path
    agent_file: Path | None
    words: tuple[tuple[float, str], ...] | None

    @property
    def id(self) -> str:
        return str(self.row["id"])

    def spoken(self, at_s: float) -> int:
        """How many of the words have been said by then."""
        return sum(1 for end_s, _ in self.words or () if end_s <= at_s)


def read_items(folder: Path, only: Sequence[str] = SETS) -> list[Item]:
    """The items of the lists named, in their order.

    Raises:
        UserFacingError: there is no such folder or list, or a line is not an item.
    """
    if not folder.is_dir():
        raise UserFacingError(f"{folder}: there is no such folder. Name one with {_files(SETS)}.")
    if unknown := [name for name in only if name not in SETS]:
        raise UserFacingError(f"there is no set `{unknown[0]}`; the sets are {', '.join(SETS)}")
    found = [name for name in only if (folder / f"{name}.jsonl").is_file()]
    if not found:
        raise UserFacingError(f"{folder}: none of {_files(only)} is in this folder.")
    voices = sorted((folder / "bargein" / "agent").glob("*.flac"))
    items: list[Item] = []
    for name in found:
        path = folder / f"{name}.jsonl"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            try:
                items.append(_item(name, json.loads(line), folder, voices, number))
            except (ValueError, KeyError, TypeError) as error:
                raise UserFacingError(
                    f"{path}:{number + 1}: this is not an item ({error!r})."
                ) from None
    if missing := [item.user_file for item in items if not item.user_file.is_file()]:
        raise UserFacingError(f"{missing[0]}: there is no such file; {folder} names it.")
    return items


def _files(names: Iterable[str]) -> str:
    return ", ".join(f"{name}.jsonl" for name in names)


def _item(kind: str, row: dict[str, Any], folder: Path, voices: list[Path], number: int) -> Item:
    if "corpus_file" in row:
        user = folder.parent / "corpus" / row["corpus_file"]
    else:
        user = folder / (row["file"] if kind == "eot" else row["user_file"])
    agent = folder / row["agent_file"] if "agent_file" in row else None
    if kind == "echo_real":
        if not voices:
            raise ValueError("the agent needs a voice in bargein/agent")
        agent = voices[number % len(voices)]
    float(row["duration"])
    return Item(kind, row, user, agent, _words(kind, row, number))


# ---- words in time ---------------------------------------------------------------------------


def _words(kind: str, row: Row, number: int) -> tuple[tuple[float, str], ...] | None:
    text = row.get("transcript")
    if kind == "eot_natural":
        return None
    if kind == "echo_real":
        return ()
    if kind == "eot":
        return None if text is None else _over_pauses(text.split(), row)
    events, category = row["events"], row["category"].removesuffix("+echo")
    if category == "backchannel" and not text:
        text = _ACKNOWLEDGEMENTS[number % len(_ACKNOWLEDGEMENTS)]
    if category not in ("interruption", "short_interruption", "backchannel", "ack_word"):
        return ()
    if not text:
        return None
    return tuple(_spread(text.split(), [(events[0]["onset"], events[0]["offset"])]))


def _over_pauses(words: list[str], row: Row) -> tuple[tuple[float, str], ...]:
    """Words at an even pace over the speech between pauses. Where it is known which words come
    before a pause, they do."""
    placed: list[tuple[float, str]] = []
    spans: list[tuple[float, float]] = []
    begun_s, done = float(row["speech_start"]), 0
    for event in sorted(row["events"], key=lambda one: float(one.get("start", one.get("time", 0)))):
        is_pause = event["type"] == "pause"
        spans.append((begun_s, event["start"] if is_pause else event["time"]))
        before = _before(event, words) if is_pause else len(words)
        if before is not None:
            placed += _spread(words[done:before], spans)
            spans, done = [], max(done, before)
        if is_pause:
            begun_s = event["end"]
    return tuple(placed)


def _before(pause: Row, words: list[str]) -> int | None:
    """How many words come before a pause, where that is known. The words after it are counted
    rather than those before, where both are: what was corrected in hindsight is the beginning."""
    if "text_before" not in pause:
        return None
    if "text_after" in pause:
        after = pause["text_after"].split()
        if words[-len(after) :] == after:
            return len(words) - len(after)
    return min(len(pause["text_before"].split()), len(words))


def _spread(words: list[str], spans: list[tuple[float, float]]) -> list[tuple[float, str]]:
    """Word k of n is said when k/n of the time in the spans is over."""
    total_s = sum(end - start for start, end in spans)
    placed = []
    for number, word in enumerate(words, start=1):
        left_s = total_s * number / len(words)
        for start, end in spans:
            if left_s <= end - start + 1e-9:
                placed.append((start + left_s, word))
                break
            left_s -= end - start
        else:
            placed.append((spans[-1][1], word))
    return placed
