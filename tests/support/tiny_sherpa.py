"""Streaming models for sherpa-onnx of some hundred bytes, which hear loudness as words."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

CHUNK, MELS = 8, 80
QUIET, LOUD = -8.0, -4.0
"""Means of the log-mel energies from which YES and NO are heard; noise of an amplitude of 1000 and
of 10,000 is above them, one of 100 below both."""


def make_ctc(folder: Path, tokens: tuple[str, str] = ("▁YES", "▁NO")) -> Path:
    """A model as NeMo's streaming CTC models are (sherpa-onnx/csrc/online-nemo-ctc-model.cc):
    chunks of 80 ms, one token for each 40 ms."""
    folder.mkdir(parents=True, exist_ok=True)
    info, float_, int_ = helper.make_tensor_value_info, TensorProto.FLOAT, TensorProto.INT64
    cache = ["n", 1, 1, 1]
    inputs = [info("audio", float_, ["n", MELS, CHUNK]), info("length", int_, ["n"])]
    inputs += [
        info("channel", float_, cache),
        info("time", float_, cache),
        info("len", int_, ["n"]),
    ]
    outputs = [info("logits", float_, ["n", CHUNK // 4, 3]), info("length_out", int_, ["n"])]
    outputs += [info("channel_out", float_, cache), info("time_out", float_, cache)]
    outputs += [info("len_out", int_, ["n"])]
    nodes = [
        helper.make_node("ReduceMean", ["audio"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Reshape", ["mean", "fours"], ["grouped"]),
        helper.make_node("ReduceMean", ["grouped"], ["energy"], axes=[2], keepdims=1),
        helper.make_node("MatMul", ["energy", "slopes"], ["sloped"]),
        helper.make_node("Add", ["sloped", "heights"], ["logits"]),
    ]
    same = ("length", "channel", "time", "len")
    nodes += [helper.make_node("Identity", [name], [f"{name}_out"]) for name in same]
    constants = {
        "fours": np.array([0, CHUNK // 4, 4], np.int64),
        "slopes": np.array([[1, 2, 0]], np.float32),
        "heights": np.array([-QUIET, -QUIET - LOUD, 0], np.float32),
    }
    metadata = {
        "window_size": CHUNK,
        "chunk_shift": CHUNK,
        "subsampling_factor": 4,
        "vocab_size": 2,
    }
    metadata |= {f"cache_last_{one}_dim{n}": 1 for one in ("channel", "time") for n in (1, 2, 3)}
    _save(folder / "nemo.onnx", nodes, inputs, outputs, constants, metadata)
    lines = [f"{token} {number}" for number, token in enumerate((*tokens, "<blk>"))]
    (folder / "tokens.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def sentencepiece(pieces: dict[str, float]) -> bytes:
    """A `bpe.model` of these pieces and their scores, with a field that nobody wants."""
    out = b""
    for piece, score in pieces.items():
        text = piece.encode()
        inner = (
            b"\x0a" + bytes([len(text)]) + text + b"\x15" + struct.pack("<f", score) + b"\x18\x01"
        )
        out += b"\x0a" + bytes([len(inner)]) + inner
    return out + b"\x12\x03abc"


def _save(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    constants: dict[str, Any],
    metadata: dict[str, int],
) -> None:
    tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {name: str(value) for name, value in metadata.items()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
