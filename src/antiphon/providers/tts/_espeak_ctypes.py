"""libespeak-ng by ctypes: its header is speak_lib.h of espeak-ng 1.51.

The library has one state for the whole process, so that everything here happens on one thread.
"""

from __future__ import annotations

import ctypes
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antiphon.errors import UserFacingError

LIBRARY = "libespeak-ng.so.1"

_SYNCHRONOUS = 2
_PHONEME_EVENTS, _DONT_EXIT = 0x0001, 0x8000
_UTF8, _END_PAUSE = 1, 0x1000
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_END_OF_LIST, _WORD, _END, _PHONEME = 0, 1, 5, 7


def library_path() -> str:
    """Where the system's library is. Its name alone would do, but other packages carry one of the
    same name with data of their own, and what is loaded already is found first."""
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    for folder in (f"/usr/lib/{multiarch}", "/usr/lib64", "/usr/lib", "/usr/local/lib"):
        path = Path(folder, LIBRARY)
        if path.exists():
            return str(path)
    return LIBRARY


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Voice(ctypes.Structure):
    _fields_ = (
        *(("name", ctypes.c_char_p), ("languages", ctypes.c_char_p)),
        *(("identifier", ctypes.c_char_p), ("gender", ctypes.c_ubyte), ("age", ctypes.c_ubyte)),
        *(("variant", ctypes.c_ubyte), ("xx1", ctypes.c_ubyte), ("score", ctypes.c_int)),
        ("spare", ctypes.c_void_p),
    )


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a text is spoken: `rate` in espeak-ng's words a minute, the others 0 to 100."""

    voice: str
    rate: int
    pitch: int
    pitch_range: int


@dataclass(slots=True)
class Spoken:
    """A text as sound. `words`: the place of a word's first character, from 0, and the ms at which
    it begins; `pauses_ms`: where silence begins."""

    pcm: bytearray = field(default_factory=bytearray)
    words: list[tuple[int, int]] = field(default_factory=list)
    pauses_ms: list[int] = field(default_factory=list)


class EspeakLibrary:
    """The library. Construct it and call it on one and the same thread.

    Raises:
        UserFacingError: it is not installed, or lacks its data.
    """

    def __init__(self) -> None:
        try:
            self._lib: Any = ctypes.CDLL(library_path())
        except OSError as error:
            raise UserFacingError(f"tts espeak-ng: {MISSING} ({error})") from None
        self._lib.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        ]
        # It would end the process where its data is missing.
        options = _PHONEME_EVENTS | _DONT_EXIT
        self.rate_hz = int(self._lib.espeak_Initialize(_SYNCHRONOUS, 0, None, options))
        if self.rate_hz <= 0:
            raise UserFacingError("tts espeak-ng: its data is missing: apt-get install espeak-ng")
        # The library keeps the pointer: the object must live as long.
        self._callback = _Callback(self._on_sound)
        self._lib.espeak_SetSynthCallback(self._callback)
        self._voice = ""
        self._spoken = Spoken()
        self._stopped: Callable[[], bool] = bool

    def has_voice(self, voice: str) -> bool:
        """Whether there is a voice of that name or language; it is then the one in use."""
        if voice != self._voice:
            name = voice.encode()
            found = self._lib.espeak_SetVoiceByName(name) == 0
            if not found:
                # Some languages are served by a voice that is called otherwise.
                wanted = _Voice(languages=name)
                found = self._lib.espeak_SetVoiceByProperties(ctypes.byref(wanted)) == 0
            self._voice = voice if found else ""
        return bool(self._voice)

    def speak(self, text: str, manner: Manner, stopped: Callable[[], bool]) -> Spoken:
        """Synthesize; `stopped` is asked every 60 ms of sound, and ends it early."""
        if not self.has_voice(manner.voice):
            raise UserFacingError(f"tts espeak-ng: there is no voice `{manner.voice}`.")
        values = {_RATE: manner.rate, _PITCH: manner.pitch, _RANGE: manner.pitch_range}
        for parameter, value in values.items():
            self._lib.espeak_SetParameter(parameter, value, 0)
        self._spoken, self._stopped = Spoken(), stopped
        raw = text.replace("\0", " ").encode()
        self._lib.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, _UTF8 | _END_PAUSE, None, None)
        return self._spoken

    def _on_sound(self, samples: Any, count: int, events: Any) -> int:
        spoken = self._spoken
        if count > 0:
            spoken.pcm += ctypes.string_at(samples, count * 2)
        index = 0
        while events[index].type != _END_OF_LIST:
            event = events[index]
            index += 1
            if event.type == _WORD and event.length > 0:
                spoken.words.append((event.text_position - 1, event.audio_position))
            elif event.type == _END or (
                # The names of silent phonemes begin with an underscore.
                event.type == _PHONEME and event.id.string.startswith(b"_")
            ):
                spoken.pauses_ms.append(event.audio_position)
        return int(self._stopped())


MISSING = f"{LIBRARY} is not installed; run: apt-get install espeak-ng"
