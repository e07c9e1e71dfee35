"""Which files of a folder are a streaming model of sherpa-onnx, and of which kind.

sherpa-onnx ends the process when a model is not what it was said to be, so that what can be seen
from outside is looked at first.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from antiphon.errors import UserFacingError

Kind = Literal["transducer", "paraformer", "zipformer2-ctc", "nemo-ctc", "t-one-ctc", "wenet-ctc"]

# What a model's metadata must have, by its kind (sherpa-onnx/csrc/online-*-model.cc).
_NEEDED: dict[Kind, bytes] = {
    "transducer": b"model_type",
    "paraformer": b"lfr_window_size",
    "zipformer2-ctc": b"decode_chunk_len",
    "nemo-ctc": b"chunk_shift",
    "t-one-ctc": b"frame_length_ms",
    "wenet-ctc": b"subsampling_factor",
}
_PARTS: dict[Kind, tuple[str, ...]] = {
    "transducer": ("encoder", "decoder", "joiner"),
    "paraformer": ("encoder", "decoder"),
}
_BLANKS = {"<blk>", "<eps>", "<blank>"}


@dataclass(frozen=True, slots=True)
class Files:
    """`parts` are the model's files by the names that sherpa-onnx gives them. `letters`: what its
    tokens are made of."""

    kind: Kind
    parts: dict[str, str]
    tokens: str
    letters: frozenset[str]

    @property
    def shouts(self) -> bool:
        """There are capital letters only."""
        upper, lower = (any(map(is_, self.letters)) for is_ in (str.isupper, str.islower))
        return upper and not lower


def look(folder: Path, kind: Kind | None) -> Files:
    """What there is; `kind` None is told from the files' names.

    Raises:
        UserFacingError: it is no streaming model, or its kind cannot be told.
    """
    tokens = folder / "tokens.txt"
    if not tokens.is_file():
        raise UserFacingError(f"{folder} is not a model of sherpa-onnx: tokens.txt is missing")
    kind = kind or _guess(folder)
    names = _PARTS.get(kind, ("model",))
    parts = {name: _part(folder, name) for name in names}
    for path in parts.values():
        _check(path)
    first = parts[names[0]]
    if not _contains(first, _NEEDED[kind]):
        raise UserFacingError(f"{first} is no streaming model of the kind {kind}")
    text = tokens.read_text(encoding="utf-8")
    symbols = {line.rpartition(" ")[0] for line in text.splitlines()}
    if kind.endswith("ctc") and not symbols & _BLANKS:
        raise UserFacingError(f"{tokens} has no blank (one of {', '.join(sorted(_BLANKS))})")
    letters = frozenset(x for one in symbols if not one.startswith("<") for x in one)
    return Files(kind, {name: str(path) for name, path in parts.items()}, str(tokens), letters)


def vocabulary(folder: Path) -> str | None:
    """The pieces of words that a model's tokens are, as `bpe.vocab` has them: from there, or from
    SentencePiece's `bpe.model`."""
    if (folder / "bpe.vocab").is_file():
        return (folder / "bpe.vocab").read_text(encoding="utf-8")
    if not (folder / "bpe.model").is_file():
        return None
    try:
        pieces = [*_pieces((folder / "bpe.model").read_bytes())]
    except (IndexError, UnicodeDecodeError, struct.error):
        raise UserFacingError(f"{folder / 'bpe.model'} is damaged") from None
    return "".join(f"{piece}\t{score:g}\n" for piece, score in pieces)


def _guess(folder: Path) -> Kind:
    has = {name for name in ("encoder", "decoder", "joiner") if any(folder.glob(f"{name}*.onnx"))}
    if has == {"encoder", "decoder", "joiner"}:
        return "transducer"
    if has == {"encoder", "decoder"}:
        return "paraformer"
    names = folder.name + " ".join(path.name for path in folder.glob("*.onnx"))
    kinds: dict[str, Kind] = {"nemo": "nemo-ctc", "t-one": "t-one-ctc", "wenet": "wenet-ctc"}
    for word, kind in kinds.items():
        if word in names:
            return kind
    if "zipformer" in names or any(folder.glob("ctc-*.onnx")):
        return "zipformer2-ctc"
    raise UserFacingError(f"which model is in {folder}? Set `kind`: {', '.join(_NEEDED)}")


def _part(folder: Path, name: str) -> Path:
    """The smaller one, where there is one of 8 bits and one that is not."""
    found = sorted(folder.glob(f"{name}*.onnx" if name != "model" else "*.onnx"))
    if not found:
        raise UserFacingError(f"{folder} has no file {name}*.onnx")
    return next((path for path in found if "int8" in path.name), found[0])


def _check(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(1)
    # A model begins with its `ir_version`, field 1; what stands for a large file in git does not.
    if head != b"\x08":
        raise UserFacingError(f"{path} is not an ONNX model, or damaged")


def _contains(path: Path, word: bytes) -> bool:
    """Metadata comes last, after the weights."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.rfind(word) >= 0


def _pieces(data: bytes) -> Iterator[tuple[str, float]]:
    """Field 1 of a ModelProto repeated: text (field 1), score (field 2)
    (https://github.com/google/sentencepiece, sentencepiece_model.proto)."""
    for number, value in _fields(data):
        if number == 1:
            inner = dict(_fields(value))
            (score,) = struct.unpack("<f", inner.get(2, bytes(4)))
            yield inner[1].decode("utf-8"), score


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Fields of a protobuf message; numbers as the bytes that they take."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        begin = at
        match key & 7:
            case 0:
                _, at = _varint(data, at)
            case 1:
                at += 8
            case 2:
                size, begin = _varint(data, at)
                at = begin + size
            case 5:
                at += 4
            case _:
                raise IndexError
        if at > len(data):
            raise IndexError
        yield key >> 3, data[begin:at]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
