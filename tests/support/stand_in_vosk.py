"""Stands in for the package `vosk` where a model is needed: Kaldi's models cannot be made on the
spot. It hears loud noise as "yes" and louder noise as "no", with the results that vosk_api.h
describes: partials, a result at half a second of silence, times since the first sample.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

RATE_HZ = 16_000
_FRAME = 160
_PAUSE_S = 0.5


class Model:
    """Of any folder."""

    def __init__(self, model_path: str) -> None:
        if "broken" in model_path:
            raise Exception("Failed to create a model")
        self.path = model_path
        self.made: list[KaldiRecognizer] = []


class KaldiRecognizer:
    def __init__(self, model: Model, rate_hz: float, grammar: str | None = None) -> None:
        assert rate_hz == RATE_HZ
        model.made.append(self)
        self.grammar = grammar
        self._with_words = False
        self._heard: list[dict[str, Any]] = []
        self._samples = 0
        self._silence_s = 0.0

    def SetWords(self, wanted: bool) -> None:
        self._with_words = wanted

    def AcceptWaveform(self, data: bytes) -> int:
        samples = np.frombuffer(data, np.int16).astype(float)
        for start in range(0, len(samples), _FRAME):
            self._hear(float(np.sqrt((samples[start : start + _FRAME] ** 2).mean())))
        return int(bool(self._heard) and self._silence_s >= _PAUSE_S)

    def _hear(self, level: float) -> None:
        begin_s = self._samples / RATE_HZ
        self._samples += _FRAME
        end_s = self._samples / RATE_HZ
        if level < 300:
            self._silence_s += end_s - begin_s
            return
        word = "yes" if level < 3000 else "no"
        last = self._heard[-1] if self._heard else None
        if last is not None and last["word"] == word and not self._silence_s:
            last["end"] = end_s
        else:
            self._heard.append({"word": word, "start": begin_s, "end": end_s, "conf": 0.9})
        self._silence_s = 0.0

    def PartialResult(self) -> str:
        return json.dumps({"partial": " ".join(one["word"] for one in self._heard)})

    def Result(self) -> str:
        result: dict[str, Any] = {"text": " ".join(one["word"] for one in self._heard)}
        if self._with_words and self._heard:
            result["result"] = self._heard
        self._heard, self._silence_s = [], 0.0
        return json.dumps(result)

    FinalResult = Result


def SetLogLevel(level: int) -> None:
    assert level == -1
