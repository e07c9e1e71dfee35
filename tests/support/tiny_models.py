"""Models of a few hundred bytes with the inputs and outputs of real ones, made on the spot."""

from __future__ import annotations

import atexit
import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

PIPER_RATE_HZ = 16_000
_PHONEMES = (
    "_^$ !\"'(),-.:;?abcdefhijklmnopqrstuvwxyzæçðøħŋœǀǁǂ"
    "ǃɐɑɒɓɔɕɖɗɘəɚɛɜɞɟɠɡɢɣɤɥɦɧɨɪɫɬɭɮɯɰɱɲɳɴɵɶɸɹɺɻɽɾʀʁʂʃʄʈ"
    "ʉʊʋʌʍʎʏʐʑʒʔʕʘʙʛʜʝʟʡʢˈˌːˑ˞βθχᵻⱱ0123456789̧̪̩̺̻̃"
)


def piper_voice(folder: Path, *, speakers: int = 1) -> Path:
    """A voice that hums: each phoneme lasts `length_scale` times 25 ms at a pitch of its own, and
    each speaker is louder than the one before."""
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "phonemes"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    nodes = [
        helper.make_node("Gather", ["scales", "one"], ["stretch"]),
        helper.make_node("Mul", ["stretch", "unit"], ["each"]),
        helper.make_node("Reshape", ["input", "flat"], ["ids"]),
        *_hum("ids", "each"),
    ]
    gain = "level"
    if speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
        nodes += [
            helper.make_node("Cast", ["sid"], ["sid_float"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["sid_float", "one_float"], ["louder"]),
            helper.make_node("Mul", ["louder", "level"], ["gain"]),
        ]
        gain = "gain"
    nodes += [
        helper.make_node("Mul", ["wave", gain], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "batch"], ["output"]),
    ]
    constants = {
        "one": np.int64(1),
        "unit": np.float32(0.025 * PIPER_RATE_HZ),
        "flat": np.array([-1], np.int64),
        "batch": np.array([1, 1, 1, -1], np.int64),
        "level": np.float32(0.2),
        **({"one_float": np.float32(1)} if speakers > 1 else {}),
        **_hum_constants(PIPER_RATE_HZ),
    }
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, 1, "samples"])
    path = folder / f"hum{speakers}.onnx"
    _save(path, nodes, inputs, [output], constants)
    config = {
        "audio": {"sample_rate": PIPER_RATE_HZ},
        "espeak": {"voice": "en-us"},
        "num_symbols": len(_PHONEMES),
        "num_speakers": speakers,
        "speaker_id_map": {f"s{n}": n for n in range(speakers)} if speakers > 1 else {},
        "inference": {"noise_scale": 0.667, "length_scale": 1.0, "noise_w": 0.8},
        "phoneme_id_map": {phoneme: [n] for n, phoneme in enumerate(_PHONEMES)},
    }
    Path(f"{path}.json").write_text(json.dumps(config), encoding="utf-8")
    return path


def kokoro_voices(folder: Path) -> tuple[Path, Path]:
    """A model that hums, and a file with the voices `af_low` and `bf_high`."""
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "tokens"]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
    ]
    nodes = [
        helper.make_node("Squeeze", ["speed"], ["speed_scalar"]),
        helper.make_node("Div", ["unit", "speed_scalar"], ["each"]),
        helper.make_node("Reshape", ["input_ids", "flat"], ["ids"]),
        *_hum("ids", "each"),
        helper.make_node("ReduceMean", ["style"], ["loudness"], keepdims=0),
        helper.make_node("Mul", ["wave", "loudness"], ["audio"]),
    ]
    constants = {
        "unit": np.float32(0.06 * 24_000),
        "flat": np.array([-1], np.int64),
        **_hum_constants(24_000),
    }
    output = helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["samples"])
    path, voices = folder / "kokoro.onnx", folder / "voices.bin"
    _save(path, nodes, inputs, [output], constants)
    low, high = (np.full((510, 1, 256), level, np.float32) for level in (0.1, 0.4))
    with voices.open("wb") as file:
        np.savez(file, af_low=low, bf_high=high)
    return path, voices


def smart_turn(folder: Path) -> Path:
    """A classifier that says the mean of the features of the last second, made a probability."""
    nodes = [
        helper.make_node("Slice", ["input_features", "first", "last", "axis"], ["end"]),
        helper.make_node("ReduceMean", ["end"], ["mean"], keepdims=0),
        helper.make_node("Sigmoid", ["mean"], ["probability"]),
        helper.make_node("Reshape", ["probability", "shape"], ["logits"]),
    ]
    constants = {
        "first": np.array([700], np.int64),
        "last": np.array([800], np.int64),
        "axis": np.array([2], np.int64),
        "shape": np.array([1, 1], np.int64),
    }
    features = helper.make_tensor_value_info("input_features", TensorProto.FLOAT, ["n", 80, 800])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 1])
    path = folder / "smart-turn.onnx"
    _save(path, nodes, [features], [logits], constants)
    return path


# ---- options that name them, for whoever has no folder -------------------------------------


@functools.cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="antiphon-models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def piper_options() -> dict[str, Any]:
    return {"model": str(piper_voice(_folder()))}


@functools.cache
def kokoro_options() -> dict[str, Any]:
    model, voices = kokoro_voices(_folder())
    return {"model": str(model), "voices_path": voices, "voice": "bf_high"}


@functools.cache
def smart_turn_options() -> dict[str, Any]:
    return {"model": str(smart_turn(_folder()))}


def _hum(ids: str, each: str) -> list[Any]:
    """`wave` of as many tones as there are `ids`, `each` so many samples long."""
    make = helper.make_node
    return [
        make("Size", [ids], ["count"]),
        make("Cast", ["count"], ["count_float"], to=TensorProto.FLOAT),
        make("Mul", ["count_float", each], ["length"]),
        make("Range", ["zero", "length", "step"], ["time"]),
        make("Div", ["time", each], ["place"]),
        make("Cast", ["place"], ["index"], to=TensorProto.INT64),
        make("Sub", ["count", "one_int"], ["most"]),
        make("Min", ["index", "most"], ["index_inside"]),
        make("Gather", [ids, "index_inside"], ["tone"]),
        make("Cast", ["tone"], ["tone_float"], to=TensorProto.FLOAT),
        make("Mul", ["tone_float", "pitch"], ["higher"]),
        make("Add", ["higher", "lowest"], ["frequency"]),
        make("Mul", ["frequency", "time"], ["phase"]),
        make("Sin", ["phase"], ["wave"]),
    ]


def _hum_constants(rate_hz: int) -> dict[str, Any]:
    turn = 2 * np.pi / rate_hz
    return {
        "zero": np.float32(0),
        "step": np.float32(1),
        "one_int": np.int64(1),
        "pitch": np.float32(2 * turn),
        "lowest": np.float32(120 * turn),
    }


def _save(
    path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any]
) -> None:
    tensors = [onnx.numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, path.stem, inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
