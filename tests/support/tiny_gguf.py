"""A GGUF file of a few kilobytes whose model says what a test wants it to say.

It is a llama of one layer whose attention and feed-forward are zero, so that the next token depends
on the last one alone: a chain, written into the matrix of its output. The format is that of
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}"
    "{% for call in message.tool_calls or [] %}{{ call.function.arguments | tojson }}{% endfor %}"
    "{% endfor %}{% if tools %}{{ tools[0].function.name }}{% endif %}"
    "{{ messages[-1].content[-1] }}"
)
"""Ends a prompt with the last letter of the last message, which begins the chain."""
_UNKNOWN, _BEGIN, _END, _BYTES = 0, 1, 2, 3
_NORMAL, _UNKNOWN_TYPE, _CONTROL, _USER, _BYTE = 1, 2, 3, 4, 6


def write_model(path: Path, answers: Mapping[str, Sequence[str]], context: int = 32_768) -> Path:
    """Write it.

    Args:
        answers: the last letter of the prompt -> the pieces of the answer, each of at most 31
            bytes and once in all answers; one that follows itself (`["a", "a"]`) does so for ever.
    """
    pieces = sorted({piece for answer in answers.values() for piece in answer})
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{number:02X}>" for number in range(256)), *pieces]
    kinds = [_UNKNOWN_TYPE, _CONTROL, _CONTROL, *[_BYTE] * 256, *[_USER] * len(pieces)]
    next_of = dict[int, int]()
    for letter, answer in answers.items():
        ids = [_BYTES + ord(letter), *(tokens.index(piece) for piece in answer)]
        for before, after in zip(ids, [*ids[1:], _END], strict=True):
            next_of.setdefault(before, after)
    width = -(-len(tokens) // 32) * 32
    embedding = np.zeros((len(tokens), width), np.float32)
    embedding[np.arange(len(tokens)), np.arange(len(tokens))] = 1
    output = np.zeros((len(tokens), width), np.float32)
    for before, after in next_of.items():
        output[after, before] = 10
    path.write_bytes(_file(_metadata(tokens, kinds, width, context), _tensors(embedding, output)))
    return path


def _metadata(tokens: list[str], kinds: list[int], width: int, context: int) -> dict[str, Any]:
    return {
        "general.architecture": "llama",
        "general.name": "tiny",
        "llama.context_length": context,
        "llama.embedding_length": width,
        "llama.block_count": 1,
        "llama.feed_forward_length": 32,
        "llama.attention.head_count": 1,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": width,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.bos_token_id": _BEGIN,
        "tokenizer.ggml.eos_token_id": _END,
        "tokenizer.ggml.unknown_token_id": _UNKNOWN,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def _tensors(embedding: Any, output: Any) -> dict[str, Any]:
    width = embedding.shape[1]
    square, up = np.zeros((width, width), np.float32), np.zeros((32, width), np.float32)
    ones = np.ones(width, np.float32)
    layer = {f"attn_{name}": square for name in ("q", "k", "v", "output")}
    layer |= {"ffn_gate": up, "ffn_up": up, "ffn_down": up.T, "attn_norm": ones, "ffn_norm": ones}
    named = {f"blk.0.{name}.weight": value for name, value in layer.items()}
    whole = {"token_embd": embedding, "output_norm": ones, "output": output}
    return named | {f"{name}.weight": value for name, value in whole.items()}


def _file(metadata: Mapping[str, Any], tensors: Mapping[str, Any]) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += _text(key) + _typed(value)
    data = b""
    for name, tensor in tensors.items():
        shape = tensor.shape[::-1]
        head += _text(name) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}QIQ", *shape, 0, len(data))
        data += np.ascontiguousarray(tensor).tobytes()
        data += bytes(-len(data) % 32)
    return head + bytes(-len(head) % 32) + data


def _typed(value: Any, integer: int = 4) -> bytes:
    """Integers are unsigned, in lists signed."""
    if isinstance(value, list):
        items = [_typed(one, 5) for one in value]
        kind = items[0][:4]
        return (
            struct.pack("<I", 9)
            + kind
            + struct.pack("<Q", len(items))
            + b"".join(one[4:] for one in items)
        )
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", integer, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    return struct.pack("<I", 8) + _text(value)


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data
