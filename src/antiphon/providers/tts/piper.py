"""Piper: neural voices that a processor keeps up with, in this process or behind Piper's server.

In the process the package `piper-tts` turns text into phonemes and runs the voice's model, sentence
by sentence (https://github.com/OHF-Voice/piper1-gpl). Its server, `python -m piper.http_server`,
answers a POST of /synthesize with a WAV file of the whole text.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast

import httpx
from pydantic import Field

from antiphon import models
from antiphon.audio.resample import LiveResampler
from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers import threads
from antiphon.providers.base import (
    AgentHints,
    ProviderOptions,
    Traits,
    TtsAudio,
    TtsEvent,
    TtsSegment,
    TtsSegmentDone,
)
from antiphon.providers.tts._wav import WavStream
from antiphon.providers.tts.http_voice import HttpLimits, HttpVoice
from antiphon.providers.tts.options import speakable

_USUAL_RATE = 150
_PACKAGE = "the Python package piper-tts is not installed; run: pip install 'antiphon[piper]'"


class PiperOptions(ProviderOptions):
    """Options of a Piper voice: `model` for one in this process, else `base_url`."""

    model: str | None = Field(
        default=None,
        min_length=1,
        description="A voice that was pulled (`antiphon models pull en_US-amy-medium`), or the path"
        " of its `.onnx` file.",
    )
    config_path: Path | None = Field(
        default=None, description="Its `.onnx.json` file, when that is not beside it."
    )
    base_url: str | None = Field(
        default=None, description="Piper's server, such as `http://127.0.0.1:5000`."
    )
    voice: str | None = Field(
        default=None, description="With a server of several voices: which of them."
    )
    speaker: int | str | None = Field(
        default=None, description="Of a voice with several speakers: a number or a name."
    )
    speed: float = Field(
        default=1.0, ge=0.5, le=2.0, description="1.2 is a fifth faster than the agent's rate."
    )
    noise_scale: float | None = Field(
        default=None, ge=0, le=2, description="How much the sound varies; else the voice's own."
    )
    noise_w_scale: float | None = Field(
        default=None, ge=0, le=2, description="How much the rhythm varies; else the voice's own."
    )
    sentence_gap_ms: int = Field(
        default=150, ge=0, le=2000, description="Silence between sentences, in this process."
    )
    sample_rate_hz: int = Field(
        default=22_050, description="What comes out; a voice of another rate is resampled."
    )
    threads: int = Field(
        default=1, ge=1, le=16, description="Processor threads for one sentence, in this process."
    )
    connect_ms: int = Field(default=3000, ge=10, le=60_000, description="Longest connecting.")
    first_audio_ms: int = Field(
        default=5000, ge=10, le=60_000, description="Longest wait for the server's sound."
    )
    idle_ms: int = Field(
        default=3000, ge=10, le=60_000, description="Longest wait between two pieces of it."
    )


class PiperTts:
    """Neural voices for some forty languages that need no graphics card. In this process, or from a
    Piper server."""

    Options = PiperOptions
    traits = Traits(can=("speed", "languages", "speakers"))

    def __init__(self, options: PiperOptions, hints: AgentHints) -> None:
        self._options = options
        self._stretch = _USUAL_RATE / (hints.rate * options.speed)
        self._voice: Any = None
        self._http: HttpVoice | None = None
        if options.base_url is not None:
            limits = HttpLimits(options.connect_ms, options.first_audio_ms, options.idle_ms)
            # Flask, which the server is made with, calls every body text/html.
            self._http = HttpVoice("piper", options.base_url, limits, self._request, not_sound=())

    @staticmethod
    def missing(options: PiperOptions | None = None) -> str | None:
        """What this machine lacks for a voice in this process; a server needs nothing here."""
        if options is not None and options.base_url is not None:
            return None
        if not importlib.util.find_spec("piper"):
            return _PACKAGE
        named = None if options is None else options.model
        return None if named is None else models.lack(named, "*.onnx")

    @property
    def sample_rate_hz(self) -> int:
        return self._options.sample_rate_hz

    async def start(self) -> None:
        """Load the voice, or open the connection to the server.

        Raises:
            UserFacingError: no voice is named, or it cannot be loaded.
        """
        if self._http is not None:
            await self._http.start({}, warm_path="info")
        elif self._voice is None:
            self._voice = await threads.run("piper", _load, self._options)

    async def aclose(self) -> None:
        self._voice = None
        if self._http is not None:
            await self._http.aclose()

    async def stream(self, segments: AsyncIterator[TtsSegment]) -> AsyncIterator[TtsEvent]:
        """Speak one response; a sentence's sound comes when all of it is made."""
        spoken = self._here(segments) if self._http is None else self._served(self._http, segments)
        async with aclosing(spoken) as events:
            async for event in events:
                yield event

    # ---- in this process -------------------------------------------------------------------

    async def _here(self, segments: AsyncIterator[TtsSegment]) -> AsyncGenerator[TtsEvent, None]:
        async for segment in segments:
            if speakable(segment.text):
                if self._voice is None:
                    raise ProviderError("not started", provider="piper", retryable=False)
                made = threads.steps("piper", self._sentences(self._voice, segment.text))
                async with aclosing(made) as sentences:
                    async for pcm in sentences:
                        if pcm:
                            yield TtsAudio(segment.segment_id, pcm)
            yield TtsSegmentDone(segment.segment_id)

    def _sentences(self, voice: Any, text: str) -> Iterator[bytes]:
        """On a thread: the sound of each sentence."""
        from piper import SynthesisConfig

        options = self._options
        settings = SynthesisConfig(
            speaker_id=_speaker_id(voice, options.speaker),
            length_scale=voice.config.length_scale * self._stretch,
            noise_scale=options.noise_scale,
            noise_w_scale=options.noise_w_scale,
            # Loudest at full scale, sentence by sentence: a "hm" would be shouted.
            normalize_audio=False,
        )
        resampler = LiveResampler(voice.config.sample_rate, options.sample_rate_hz)
        gap = bytes(voice.config.sample_rate * options.sentence_gap_ms // 1000 * 2)
        # Two brackets would begin phonemes in Piper's own spelling.
        for number, chunk in enumerate(voice.synthesize(text.replace("[[", "["), settings)):
            yield resampler.push((gap if number else b"") + chunk.audio_int16_bytes)
        yield resampler.flush()

    # ---- from a server ---------------------------------------------------------------------

    def _request(self, client: httpx.AsyncClient, text: str) -> httpx.Request:
        options = self._options
        body: dict[str, Any] = {"text": text, "voice": options.voice}
        body["speaker_id" if isinstance(options.speaker, int) else "speaker"] = options.speaker
        body |= {"noise_scale": options.noise_scale, "noise_w_scale": options.noise_w_scale}
        if abs(self._stretch - 1) > 0.01:
            body["length_scale"] = round(self._stretch, 3)
        given = {key: value for key, value in body.items() if value is not None}
        return client.build_request("POST", "synthesize", json=given)

    async def _served(
        self, http: HttpVoice, segments: AsyncIterator[TtsSegment]
    ) -> AsyncGenerator[TtsEvent, None]:
        wav = WavStream("piper", self._options.sample_rate_hz)
        spoken = cast("AsyncGenerator[TtsEvent, None]", http.stream(segments))
        async with aclosing(spoken) as events:
            async for event in events:
                pcm = b""
                if isinstance(event, TtsAudio):
                    pcm = wav.push(event.pcm)
                elif isinstance(event, TtsSegmentDone):
                    pcm = wav.flush()
                if pcm:
                    yield TtsAudio(event.segment_id, pcm)
                if not isinstance(event, TtsAudio):
                    yield event


def _load(options: PiperOptions) -> Any:
    """A `PiperVoice`, with a session that does not take all processors, as its own would."""
    if options.model is None:
        raise UserFacingError(
            "tts piper: name a voice with `model` (`antiphon models list` has some, and its .onnx "
            "file will do), or a Piper server with `base_url`."
        )
    if PiperTts.missing() is not None:
        raise UserFacingError(f"tts piper: {_PACKAGE}")
    from piper import PiperVoice
    from piper.config import PiperConfig

    path = models.find(options.model, "*.onnx")
    config_path = options.config_path or path.with_name(path.name + ".json")
    try:
        config = PiperConfig.from_dict(json.loads(config_path.expanduser().read_bytes()))
        voice = PiperVoice(threads.onnx_session(str(path), options.threads), config)
        _speaker_id(voice, options.speaker)
    except UserFacingError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise UserFacingError(
            f"tts piper: {config_path} does not describe a voice: {reason}"
        ) from None
    except Exception as error:
        raise UserFacingError(f"tts piper: {path} is not a voice: {error}") from error
    return voice


def _speaker_id(voice: Any, speaker: int | str | None) -> int | None:
    if not isinstance(speaker, str):
        count = voice.config.num_speakers
        if speaker is None or 0 <= speaker < max(1, count):
            return speaker
        raise UserFacingError(f"tts piper: there is no speaker {speaker}; the voice has {count}.")
    found: int | None = voice.config.speaker_id_map.get(speaker)
    if found is None:
        known = ", ".join(sorted(voice.config.speaker_id_map)[:20]) or "none by name"
        raise UserFacingError(f"tts piper: there is no speaker `{speaker}`; it has {known}.")
    return found
