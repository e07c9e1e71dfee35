"""A Whisper model of 600 kB that hears the same words in any sound, for the real runtime.

Each token of the script has a direction of its own in the decoder's space; the projection leads
from it to the next one. All other weights do nothing. The vocabulary is that of an English model:
special tokens, the words, and the timestamps.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from ctranslate2.specs import common_spec, whisper_spec  # type: ignore[import-untyped]
from tokenizers import decoders, models, pre_tokenizers

WIDTH, MELS, SOUNDS, TEXTS = 32, 80, 1500, 448
SPECIAL = (
    *("endoftext", "startoftranscript", "translate", "transcribe", "startoflm"),
    *("startofprev", "nospeech", "notimestamps"),
)


def make_whisper(folder: Path, script: tuple[str, ...] = ("Hello", "Ġthere", ".")) -> Path:
    """Write a model that hears `script` within the first second. `Ġ` stands for a space.

    A script that begins with `nospeech` is sure that nobody speaks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    silent = script[0] == "nospeech"
    words = [word for word in script if word != "nospeech"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    stamps = [f"<|{n * 0.02:.2f}|>" for n in range(1501)]
    tokens = [*dict.fromkeys([*letters, *words]), *(f"<|{name}|>" for name in SPECIAL), *stamps]
    numbers = {token: number for number, token in enumerate(tokens)}
    _write_tokenizer(folder, tokens, numbers)
    chain = ["<|startoftranscript|>", "<|0.00|>", *words, "<|1.00|>", "<|endoftext|>"]
    spec = whisper_spec.WhisperSpec(1, 2, 1, 2)
    _fill(spec, [numbers[token] for token in chain], len(tokens))
    if silent:
        sure = numbers["<|nospeech|>"]
        spec.decoder.projection.weight[sure] = (
            spec.decoder.projection.weight[numbers["<|0.00|>"]] * 3
        )
    _align(spec, len(words))
    before = spec.decoder.embeddings.weight
    before[numbers["<|notimestamps|>"]] = before[numbers["<|0.00|>"]]
    spec.config.suppress_ids = spec.config.suppress_ids_begin = spec.config.lang_ids = []
    spec.register_vocabulary(tokens)
    spec.validate()
    spec.optimize(quantization="float32")
    spec.save(str(folder))
    return folder


def _write_tokenizer(folder: Path, tokens: list[str], numbers: dict[str, int]) -> None:
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab=numbers, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token in tokens if token.startswith("<|")])
    tokenizer.save(str(folder / "tokenizer.json"))


def _fill(spec: whisper_spec.WhisperSpec, chain: list[int], vocabulary: int) -> None:
    encoder, decoder = spec.encoder, spec.decoder
    encoder.conv1.weight, encoder.conv1.bias = _zeros(WIDTH, MELS, 3), _zeros(WIDTH)
    encoder.conv2.weight, encoder.conv2.bias = _zeros(WIDTH, WIDTH, 3), _zeros(WIDTH)
    encoder.position_encodings.encodings = _zeros(SOUNDS, WIDTH)
    _norm(encoder.layer_norm)
    _attention(encoder.layer[0].self_attention, 3)
    _feed(encoder.layer[0].ffn)
    decoder.position_encodings.encodings = _zeros(TEXTS, WIDTH)
    _norm(decoder.layer_norm)
    _attention(decoder.layer[0].self_attention, 3)
    _attention(decoder.layer[0].attention, 2)
    _feed(decoder.layer[0].ffn)
    decoder.embeddings.weight, decoder.projection.weight = (
        _zeros(vocabulary, WIDTH),
        _zeros(vocabulary, WIDTH),
    )
    for place, (this, after) in enumerate(itertools.pairwise(chain)):
        decoder.embeddings.weight[this, place] = 10.0
        decoder.projection.weight[after, place] = 4.0


def _align(spec: whisper_spec.WhisperSpec, words: int) -> None:
    """What a word follows looks at that word's share of the first second, for its times."""
    share = 50 // words
    for word in range(words):
        first = word * share
        spec.encoder.position_encodings.encodings[first : first + share, word + 1] = 10.0
    query, keys_values, _ = spec.decoder.layer[0].attention.linear
    query.weight[:] = np.eye(WIDTH)
    keys_values.weight[:WIDTH] = np.eye(WIDTH)
    spec.config.alignment_heads = [[0, 0]]


def _zeros(*shape: int) -> Any:
    return np.zeros(shape, np.float32)


def _norm(norm: common_spec.LayerNormSpec) -> None:
    norm.gamma, norm.beta = np.ones(WIDTH, np.float32), _zeros(WIDTH)


def _attention(attention: Any, parts: int) -> None:
    """`parts` of the projections are one: query, key and value, or key and value."""
    _norm(attention.layer_norm)
    widths = (3, 1) if parts == 3 else (1, 2, 1)
    for linear, width in zip(attention.linear, widths, strict=True):
        linear.weight, linear.bias = _zeros(width * WIDTH, WIDTH), _zeros(width * WIDTH)


def _feed(feed: Any) -> None:
    _norm(feed.layer_norm)
    feed.linear_0.weight, feed.linear_0.bias = _zeros(4 * WIDTH, WIDTH), _zeros(4 * WIDTH)
    feed.linear_1.weight, feed.linear_1.bias = _zeros(WIDTH, 4 * WIDTH), _zeros(WIDTH)
