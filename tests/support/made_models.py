"""Models that the tests share, made once per process in a folder of its own."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.support.tiny_sherpa import make_ctc
from tests.support.tiny_whisper import make_whisper


def whisper() -> dict[str, Any]:
    """Options of `stt: faster-whisper`."""
    return {"model": _whisper(), "threads": 1}


def sherpa() -> dict[str, Any]:
    """Options of `stt: sherpa-onnx`."""
    return {"model": _sherpa()}


@functools.cache
def _whisper() -> str:
    return str(make_whisper(_folder() / "whisper"))


@functools.cache
def _sherpa() -> str:
    return str(make_ctc(_folder() / "sherpa"))


@functools.cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="antiphon-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
