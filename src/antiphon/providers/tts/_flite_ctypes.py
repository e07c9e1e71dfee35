"""The part of the C library flite (http://cmuflite.org) that we use, through ctypes.

ctypes releases the interpreter lock while flite computes, so synthesis belongs in a thread. flite
counts references to the features of a voice without locking, so a voice object serves one
synthesis at a time; `FliteLibrary` makes another one when all are busy.
"""

from __future__ import annotations

import ctypes as c
import ctypes.util
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from antiphon.errors import ProviderError, UserFacingError

# Voice -> (library, the library's own pointer to the one voice that it would make).
_VOICES = {
    "slt": ("flite_cmu_us_slt", "cmu_us_slt_cg"),
    "rms": ("flite_cmu_us_rms", "cmu_us_rms_cg"),
    "awb": ("flite_cmu_us_awb", "cmu_us_awb_cg"),
}
_CONTINUE, _STOP = 0, -1
_CALLBACK_SAMPLES = 800
_WORD_START = b"R:SylStructure.daughter1.daughter1.R:Segment.p.end"
_WORD_END = b"R:SylStructure.daughtern.daughtern.R:Segment.end"


class _Wave(c.Structure):
    """`cst_wave` of flite's cst_wave.h."""

    _fields_ = (
        ("type", c.c_char_p),
        ("sample_rate", c.c_int),
        ("num_samples", c.c_int),
        ("num_channels", c.c_int),
        ("samples", c.c_void_p),
    )


class _StreamingInfo(c.Structure):
    """`cst_audio_streaming_info` of flite's cst_audio.h."""


_StreamCallback = c.CFUNCTYPE(
    c.c_int, c.POINTER(_Wave), c.c_int, c.c_int, c.c_int, c.POINTER(_StreamingInfo)
)
_StreamingInfo._fields_ = (
    ("min_buffsize", c.c_int),
    ("asc", _StreamCallback),
    ("utt", c.c_void_p),
    ("item", c.c_void_p),
    ("userdata", c.c_void_p),
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text as flite cut it. `follows_space` is false for a piece of the same written
    word as the one before. Times are None when nothing of it is spoken."""

    follows_space: bool
    start_ms: int | None
    end_ms: int | None


@dataclass(slots=True)
class _Listener:
    on_tokens: Callable[[list[Token]], None]
    on_audio: Callable[[int, bytes], bool]
    begun: bool = False
    error: Exception | None = None


class FliteLibrary:
    """flite and its voices, loaded.

    Raises:
        UserFacingError: it is not installed.
    """

    def __init__(self, voice: str) -> None:
        self._lock = threading.Lock()
        self._lib = _load("flite")
        # flite's voices find the symbols of these two through their own dependencies.
        for name in ("flite_usenglish", "flite_cmulex"):
            _load(name)
        library, self._singleton = _VOICES[voice]
        self._voice_lib = _load(library)
        self._register = getattr(self._voice_lib, "register_" + library.removeprefix("flite_"))
        self._register.restype, self._register.argtypes = c.c_void_p, [c.c_char_p]
        self._idle: list[int] = []
        self._listeners: dict[int, _Listener] = {}
        self._numbers = itertools.count(1)
        self._callback = _StreamCallback(self._on_stream)
        _declare(self._lib)
        with self._lock:
            self._lib.flite_init()
            self._idle.append(self._new_voice())

    def synthesize(
        self,
        text: str,
        stretch: float,
        on_tokens: Callable[[list[Token]], None],
        on_audio: Callable[[int, bytes], bool],
    ) -> None:
        """Speak printable ASCII text; blocks, and calls back on this thread.

        `on_tokens` comes once, before any audio. `on_audio(first_sample, pcm)` takes s16 PCM at
        16 kHz; False stops the synthesis.

        Raises:
            ProviderError: flite could not.
        """
        listener = _Listener(on_tokens, on_audio)
        with self._borrowed_voice() as voice, self._listening(listener) as number:
            utterance = c.c_void_p(self._lib.new_utterance())
            try:
                self._prepare(utterance, voice, text, stretch, number)
                done = self._lib.utt_synth(utterance)
            finally:
                self._lib.delete_utterance(utterance)
        if listener.error is not None:
            raise listener.error
        if not done:
            raise ProviderError("could not speak the text", provider="flite", retryable=False)

    def _prepare(
        self, utterance: c.c_void_p, voice: int, text: str, stretch: float, number: int
    ) -> None:
        lib = self._lib
        lib.utt_init(utterance, voice)
        lib.utt_set_input_text(utterance, text.encode("ascii"))
        info = lib.new_audio_streaming_info()
        info.contents.min_buffsize = _CALLBACK_SAMPLES
        info.contents.asc = self._callback
        info.contents.userdata = number
        # The features are the first field of an utterance; it frees `info` with them.
        features = c.cast(utterance, c.POINTER(c.c_void_p))[0]
        lib.feat_set(features, b"streaming_info", lib.audio_streaming_info_val(info))
        lib.feat_set_float(features, b"duration_stretch", stretch)

    @contextmanager
    def _borrowed_voice(self) -> Iterator[int]:
        with self._lock:
            voice = self._idle.pop() if self._idle else self._new_voice()
        try:
            yield voice
        finally:
            with self._lock:
                self._idle.append(voice)

    def _new_voice(self) -> int:
        # The library hands out the same voice for ever unless it is made to forget it.
        c.c_void_p.in_dll(self._voice_lib, self._singleton).value = None
        voice = self._register(None)
        if not voice:
            raise ProviderError("could not load the voice", provider="flite", retryable=False)
        return int(voice)

    @contextmanager
    def _listening(self, listener: _Listener) -> Iterator[int]:
        number = next(self._numbers)
        self._listeners[number] = listener
        try:
            yield number
        finally:
            del self._listeners[number]

    def _on_stream(
        self,
        wave: c._Pointer[_Wave],
        start: int,
        size: int,
        last: int,
        info: c._Pointer[_StreamingInfo],
    ) -> int:
        listener = self._listeners[info.contents.userdata]
        # This is the outermost frame of a C callback: an exception cannot leave it.
        try:
            if not listener.begun:
                listener.begun = True
                listener.on_tokens(self._tokens(info.contents.utt))
            pcm = c.string_at(wave.contents.samples + 2 * start, 2 * size)
            return _CONTINUE if listener.on_audio(start, pcm) else _STOP
        except Exception as error:  # noqa: BLE001
            listener.error = error
            return _STOP

    def _tokens(self, utterance: int) -> list[Token]:
        lib = self._lib
        tokens = []
        item = lib.relation_head(lib.utt_relation(utterance, b"Token"))
        while item:
            word = first = lib.item_daughter(item)
            last = None
            while word:
                last, word = word, lib.item_next(word)
            start = lib.ffeature_float(first, _WORD_START) if first else None
            end = lib.ffeature_float(last, _WORD_END) if last else None
            tokens.append(
                Token(
                    bool(lib.item_feat_string(item, b"whitespace")),
                    None if start is None else round(start * 1000),
                    None if end is None else round(end * 1000),
                )
            )
            item = lib.item_next(item)
        return tokens


def _load(name: str) -> c.CDLL:
    for candidate in (f"lib{name}.so.1", ctypes.util.find_library(name)):
        if candidate:
            try:
                return c.CDLL(candidate, mode=c.RTLD_GLOBAL)
            except OSError:
                continue
    raise UserFacingError(
        f"The voice needs the library lib{name}.so.1, which is not installed. Install the package"
        " libflite1 (on Debian and Ubuntu: sudo apt-get install libflite1), or name another"
        " provider under `tts` in the agent's file."
    )


def _declare(lib: c.CDLL) -> None:
    """Argument and result types; without them pointers would be cut to 32 bits."""
    pointer, text = c.c_void_p, c.c_char_p
    info = c.POINTER(_StreamingInfo)
    signatures: dict[str, tuple[object, list[object]]] = {
        "flite_init": (c.c_int, []),
        "new_utterance": (pointer, []),
        "delete_utterance": (None, [pointer]),
        "utt_init": (pointer, [pointer, pointer]),
        "utt_synth": (pointer, [pointer]),
        "utt_set_input_text": (c.c_int, [pointer, text]),
        "utt_relation": (pointer, [pointer, text]),
        "relation_head": (pointer, [pointer]),
        "item_next": (pointer, [pointer]),
        "item_daughter": (pointer, [pointer]),
        "item_feat_string": (text, [pointer, text]),
        "ffeature_float": (c.c_float, [pointer, text]),
        "feat_set": (None, [pointer, text, pointer]),
        "feat_set_float": (None, [pointer, text, c.c_float]),
        "new_audio_streaming_info": (info, []),
        "audio_streaming_info_val": (pointer, [info]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
