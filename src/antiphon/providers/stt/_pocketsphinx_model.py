"""A language model and a dictionary for pocketsphinx, made from sample sentences.

Made once per set of sentences, and kept in the user's cache folder.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import json
import logging
import math
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

VERSION = 5
"""Raised whenever the files would come out different from the same sentences."""

# Share of probability that a longer context leaves to the shorter one. Fixed, and not estimated
# from counts of counts, because the corpus is sampled: its size says nothing. Small values won on
# recordings of people who had not seen the phrases (bench/stt_commands.py).
BACKOFF_TRIGRAM, BACKOFF_BIGRAM, BACKOFF_UNIGRAM = 0.1, 0.2, 0.05

END_CONTEXT_WORDS = 3
END_PRIOR_COUNT = 4
START, END = "<s>", "</s>"

_HUM = ("M HH M", "AH M HH AH M", "M AH HH AH M")
HUMS = {"mhm": _HUM, "mmhm": _HUM, "mm": ("M", "AH M"), "huh": ("HH AH", "AH")}
"""As people say them. The dictionary, where it has them, has them as they are read."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Paths of a finished model."""

    folder: Path

    @property
    def language_model(self) -> Path:
        return self.folder / "model.arpa"

    @property
    def dictionary(self) -> Path:
        return self.folder / "words.dict"

    @property
    def ends(self) -> Path:
        return self.folder / "ends.json"


def acoustic_model() -> Path:
    """The folder of the English model that comes with the package."""
    import pocketsphinx

    return Path(pocketsphinx.get_model_path()) / "en-us"


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/antiphon`, by default `~/.cache/antiphon`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "antiphon"


def make_model(
    sentences: Iterable[str], pronunciations: Mapping[str, str], cache: Path | None = None
) -> ModelFiles:
    """The model of these sentences, from the cache when it is there.

    A sentence with a word that nobody can pronounce is left out, and the word is logged. Raises
    ValueError when no sentence is left.
    """
    lines = [speakable(s) for s in sentences]
    digest = hashlib.sha256()
    digest.update(json.dumps([VERSION, lines, sorted(pronunciations.items())]).encode())
    folder = (cache or cache_dir()) / f"pocketsphinx-{digest.hexdigest()[:24]}"
    files = ModelFiles(folder)
    if folder.is_dir():
        return files
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as made:
        work = Path(made) / "model"
        work.mkdir()
        _write(ModelFiles(work), lines, pronunciations)
        try:
            work.rename(folder)
        except OSError:
            # Another server made the same model at the same moment; its files are equal.
            if not folder.is_dir():
                raise
    return files


def _write(files: ModelFiles, lines: list[str], pronunciations: Mapping[str, str]) -> None:
    counted = Counter(line for line in lines if line)
    vocabulary = {word for line in counted for word in line.split()}
    phones = pronounce(vocabulary, pronunciations)
    if unknown := vocabulary - set(phones):
        log.warning("no pronunciation: %s", " ".join(sorted(unknown)))
        counted = Counter({s: n for s, n in counted.items() if unknown.isdisjoint(s.split())})
    if not counted:
        raise ValueError("there is no sentence to make a language model from")
    used = {word for line in counted for word in line.split()}
    with files.dictionary.open("w", encoding="utf-8") as out:
        for word in sorted(used):
            for n, one in enumerate(phones[word], 1):
                out.write(f"{word if n == 1 else f'{word}({n})'} {one}\n")
    files.language_model.write_text(arpa(counted), encoding="utf-8")
    files.ends.write_text(json.dumps(end_probabilities(counted)), encoding="utf-8")


def speakable(text: str) -> str:
    """The dictionary's spelling: lower case, no punctuation but the apostrophe."""
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*'?", text.lower().replace("’", "'")))


# ---- language model ------------------------------------------------------------------------


def arpa(counted: Mapping[str, int]) -> str:
    """An interpolated trigram model as ARPA text, from sentences and their counts.

    Jelinek-Mercer: P(w|uv) = (1-a) c(uvw)/c(uv) + a P(w|v), and so on down to a uniform share, so
    that the back-off weight of every context is its share, exactly.
    """
    ones: Counter[str] = Counter()
    twos: Counter[tuple[str, str]] = Counter()
    threes: Counter[tuple[str, str, str]] = Counter()
    for line, count in counted.items():
        words = (START, *line.split(), END)
        for at in range(1, len(words)):
            ones[words[at]] += count
            twos[words[at - 1], words[at]] += count
            if at > 1:
                threes[words[at - 2], words[at - 1], words[at]] += count
    after_one: Counter[str] = Counter()
    after_two: Counter[tuple[str, str]] = Counter()
    for pair, count in twos.items():
        after_one[pair[0]] += count
    for triple, count in threes.items():
        after_two[triple[:2]] += count
    total = sum(ones.values())
    p1 = {
        w: (1 - BACKOFF_UNIGRAM) * c / total + BACKOFF_UNIGRAM / len(ones) for w, c in ones.items()
    }
    p2 = {
        k: (1 - BACKOFF_BIGRAM) * c / after_one[k[0]] + BACKOFF_BIGRAM * p1[k[1]]
        for k, c in twos.items()
    }
    p3 = {
        k: (1 - BACKOFF_TRIGRAM) * c / after_two[k[:2]] + BACKOFF_TRIGRAM * p2[k[1:]]
        for k, c in threes.items()
    }
    weight1 = {w: BACKOFF_BIGRAM if w in after_one else 1.0 for w in p1}
    weight2 = {k: BACKOFF_TRIGRAM if k in after_two else 1.0 for k in p2}
    lines = ["\\data\\", f"ngram 1={len(p1) + 1}", f"ngram 2={len(p2)}", f"ngram 3={len(p3)}"]
    lines += ["", "\\1-grams:", f"-99.0 {START} {math.log10(BACKOFF_BIGRAM):.4f}"]
    lines += [_entry(p, w, weight1[w]) for w, p in sorted(p1.items())]
    lines += ["", "\\2-grams:"]
    lines += [_entry(p, " ".join(k), weight2[k]) for k, p in sorted(p2.items())]
    lines += ["", "\\3-grams:"]
    lines += [f"{math.log10(p):.4f} {' '.join(k)}" for k, p in sorted(p3.items())]
    return "\n".join([*lines, "", "\\end\\", ""])


def _entry(probability: float, words: str, weight: float) -> str:
    return f"{math.log10(probability):.4f} {words} {math.log10(weight):.4f}"


def end_probabilities(counted: Mapping[str, int]) -> dict[str, float]:
    """P(the sentence ends | its last words), for each context of up to three words.

    A context that was seen rarely leans on the shorter one: that "a small mocha" never ended one
    of four sampled sentences says little.
    """
    seen: Counter[tuple[str, ...]] = Counter()
    ended: Counter[tuple[str, ...]] = Counter()
    for line, count in counted.items():
        words = (START, *line.split())
        for end in range(1, len(words) + 1):
            for size in range(min(END_CONTEXT_WORDS, end) + 1):
                context = words[end - size : end]
                seen[context] += count
                if end == len(words):
                    ended[context] += count
    result: dict[tuple[str, ...], float] = {(): ended[()] / seen[()]}
    for context in sorted(seen, key=len)[1:]:
        prior = END_PRIOR_COUNT * result[context[1:]]
        result[context] = (ended[context] + prior) / (seen[context] + END_PRIOR_COUNT)
    return {" ".join(context): round(p, 4) for context, p in result.items()}


def completeness(words: list[str], ends: Mapping[str, float]) -> float:
    """How complete a sentence looks, 0 to 1; above 0.5 it may well be over.

    A plain probability would rarely pass 0.5 even after a whole order, because callers like to add
    things; what counts is that an end is *usual* here. Ends that happen in one of eight cases
    are taken as even.
    """
    if not words:
        return 0.0
    known = [START, *words][-END_CONTEXT_WORDS:]
    for first in range(len(known)):
        probability = ends.get(" ".join(known[first:]))
        if probability is not None:
            return round(probability / (probability + 0.125), 4)
    return 0.0


# ---- dictionary ----------------------------------------------------------------------------


def pronounce(words: Iterable[str], given: Mapping[str, str]) -> dict[str, list[str]]:
    """Phones of the words: as given, else from the dictionary, else by flite's rules."""
    wanted = set(words)
    found = {word: list(phones) for word, phones in HUMS.items() if word in wanted}
    found |= {w: [p] for word, p in given.items() if (w := speakable(word)) in wanted}
    overridden = set(found)
    dictionary = acoustic_model() / "cmudict-en-us.dict"
    with dictionary.open(encoding="utf-8") as entries:
        for entry in entries:
            word, _, phones = entry.strip().partition(" ")
            base = word.partition("(")[0]
            if base in wanted and base not in overridden:
                found.setdefault(base, []).append(phones)
    for word in sorted(wanted - set(found)):
        if phones := letters_to_sound(word):
            found[word] = [phones]
    return found


def letters_to_sound(word: str) -> str:
    """Phones by flite's letter-to-sound rules; empty when the library is not installed."""
    lexicon = _flite_lexicon()
    if lexicon is None or not word.isascii():
        return ""
    flite, handle = lexicon
    first = flite.lex_lookup(handle, word.encode(), None, None)
    phones: list[str] = []
    cell = first
    while cell:
        phones.append(_arpabet(flite.val_string(flite.val_car(cell)).decode()))
        cell = flite.val_cdr(cell)
    if first:
        flite.delete_val(first)
    return " ".join(p for p in phones if p)


def _arpabet(phone: str) -> str:
    """flite's phone as the acoustic model names it: upper case, no stress, schwa as AH."""
    name = phone.rstrip("012").upper()
    return {"AX": "AH", "AXR": "ER", "DX": "T", "NX": "N", "HV": "HH", "PAU": ""}.get(name, name)


@functools.cache
def _flite_lexicon() -> tuple[ctypes.CDLL, int] | None:
    """flite and its English lexicon, or None (Debian: libflite1)."""
    try:
        flite = ctypes.CDLL("libflite.so.1", mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL("libflite_usenglish.so.1", mode=ctypes.RTLD_GLOBAL)
        lexicon = ctypes.CDLL("libflite_cmulex.so.1", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return None
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    flite.flite_init()
    lexicon.cmu_lex_init.restype = pointer
    flite.lex_lookup.restype, flite.lex_lookup.argtypes = pointer, [pointer, text, text, pointer]
    flite.val_car.restype, flite.val_car.argtypes = pointer, [pointer]
    flite.val_cdr.restype, flite.val_cdr.argtypes = pointer, [pointer]
    flite.val_string.restype, flite.val_string.argtypes = text, [pointer]
    flite.delete_val.argtypes = [pointer]
    return flite, lexicon.cmu_lex_init()
