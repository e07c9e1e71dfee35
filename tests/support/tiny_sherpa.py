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
    cache: list[Any] = ["n", 1, 1, 1]
    inputs: dict[str, list[Any]] = {
        "audio": ["n", MELS, CHUNK],
        "length": ["n"],
        "channel": cache,
        "time": cache,
    }
    inputs |= {"len": ["n"]}
    outputs: dict[str, list[Any]] = {
        "logits": ["n", CHUNK // 4, 3],
        "length_out": ["n"],
        "channel_out": cache,
    }
    outputs |= {"time_out": cache, "len_out": ["n"]}
    nodes = [helper.make_node("ReduceMean", ["audio"], ["mean"], axes=[1], keepdims=0)]
    nodes += _logits([1, 2, 0], [-QUIET, -QUIET - LOUD, 0])
    nodes += _unchanged("length", "channel", "time", "len")
    metadata = {
        "window_size": CHUNK,
        "chunk_shift": CHUNK,
        "subsampling_factor": 4,
        "vocab_size": 2,
    }
    metadata |= {f"cache_last_{one}_dim{n}": 1 for one in ("channel", "time") for n in (1, 2, 3)}
    _save(folder / "nemo.onnx", nodes, inputs, outputs, metadata)
    _write_tokens(folder, *tokens, "<blk>")
    return folder


def make_transducer(folder: Path, prefers_yes: float = 0.0) -> Path:
    """A model as icefall's LSTM transducers are (online-lstm-transducer-model.cc). It hears one
    word and then no more. Noise of 1000 is NO, unless `prefers_yes` is above 1 or so."""
    folder.mkdir(parents=True, exist_ok=True)
    state: list[Any] = [1, "n", 1]
    nodes = [helper.make_node("ReduceMean", ["audio"], ["mean"], axes=[2], keepdims=0)]
    nodes += _logits([0, 1, 2], [0, -QUIET + prefers_yes, -QUIET - LOUD])
    _save(
        folder / "encoder.onnx",
        [*nodes, *_unchanged("hidden", "cell")],
        {"audio": ["n", CHUNK, MELS], "hidden": state, "cell": state},
        {"logits": ["n", CHUNK // 4, 3], "hidden_out": state, "cell_out": state},
        {"model_type": "lstm", "num_encoder_layers": 1, "T": CHUNK, "decode_chunk_len": CHUNK}
        | {"rnn_hidden_size": 1, "d_model": 1},
    )
    said = np.array([[0, 0, 0], [0, -100, -100], [0, -100, -100]], np.float32)
    nodes = [_constant("said", said), _constant("shape", np.array([-1, 3], np.int64))]
    nodes += [helper.make_node("Gather", ["said", "last"], ["rows"])]
    nodes += [helper.make_node("Reshape", ["rows", "shape"], ["out"])]
    metadata = {"vocab_size": 3, "context_size": 1}
    _save(folder / "decoder.onnx", nodes, {"last": ["n", 1]}, {"out": ["n", 3]}, metadata)
    nodes = [helper.make_node("Add", ["encoded", "decoded"], ["logit"])]
    both = {"encoded": ["n", 3], "decoded": ["n", 3]}
    _save(folder / "joiner.onnx", nodes, both, {"logit": ["n", 3]}, {"joiner_dim": 3})
    _write_tokens(folder, "<blk>", "▁YES", "▁NO")
    (folder / "bpe.model").write_bytes(sentencepiece({"▁YES": -1, "▁NO": -1}))
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


def _logits(slopes: list[float], heights: list[float]) -> list[Any]:
    """Nodes from `mean`, of each frame, to `logits`, of each four frames."""
    return [
        _constant("fours", np.array([0, CHUNK // 4, 4], np.int64)),
        _constant("slopes", np.array([slopes], np.float32)),
        _constant("heights", np.array(heights, np.float32)),
        helper.make_node("Reshape", ["mean", "fours"], ["grouped"]),
        helper.make_node("ReduceMean", ["grouped"], ["energy"], axes=[2], keepdims=1),
        helper.make_node("MatMul", ["energy", "slopes"], ["sloped"]),
        helper.make_node("Add", ["sloped", "heights"], ["logits"]),
    ]


def _unchanged(*names: str) -> list[Any]:
    return [helper.make_node("Identity", [name], [f"{name}_out"]) for name in names]


def _constant(name: str, value: Any) -> Any:
    return helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value))


def _write_tokens(folder: Path, *tokens: str) -> None:
    lines = [f"{token} {number}" for number, token in enumerate(tokens)]
    (folder / "tokens.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _save(
    path: Path,
    nodes: list[Any],
    inputs: dict[str, list[Any]],
    outputs: dict[str, list[Any]],
    metadata: dict[str, Any],
) -> None:
    whole = {"length", "len", "last", "length_out", "len_out"}

    def infos(shapes: dict[str, list[Any]]) -> list[Any]:
        return [
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name in whole else TensorProto.FLOAT, shape
            )
            for name, shape in shapes.items()
        ]

    graph = helper.make_graph(nodes, "tiny", infos(inputs), infos(outputs))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, {name: str(value) for name, value in metadata.items()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
