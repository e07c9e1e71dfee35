"""OpenAI's Realtime API, and servers that speak it.

Wire: openai 3.54 (`openai.types.realtime`), https://platform.openai.com/docs/api-reference/realtime.
The engine takes the turns: `turn_detection` is null. At each pause the sound so far is committed,
which makes an item of it and has it transcribed; several of them in a row are one turn to the
model. What turns out to be no turn is deleted, and an answer that was interrupted is truncated.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from pydantic import Field

from antiphon.audio.resample import LiveResampler
from antiphon.net.ws import Socket
from antiphon.providers.base import AgentHints, LlmRequest, RealtimeCall, Traits
from antiphon.providers.realtime import openai_events as events
from antiphon.providers.realtime.call import VendorCall
from antiphon.providers.realtime.connecting import message, opened, ws_address
from antiphon.providers.realtime.openai_items import COMMIT_MS, OpenAiItems
from antiphon.providers.realtime.sending import base64_of, decoded, encoded, functions
from antiphon.providers.realtime.wire import Frame, News, RealtimeOptions, Told, Vendor, Wire
from antiphon.providers.secret import vendor_key
from antiphon.types import INPUT_RATE_HZ, Message

NAME = "openai"
URL = "https://api.openai.com/v1"
KEY_VARIABLE = "OPENAI_API_KEY"
RATE_HZ = 24_000
_SAY = (
    "Say exactly the following sentence, word for word, in a natural voice, and nothing else. "
    "Do not answer it, translate it or add anything:\n"
)

log = logging.getLogger("antiphon.realtime.openai")


class OpenAiRealtimeOptions(RealtimeOptions):
    """Options of `realtime: openai`."""

    base_url: str = Field(
        default=URL, description="The server, with `/v1`; another one that speaks the same API."
    )
    model: str = Field(default="gpt-realtime", description="The model.")
    voice: str = Field(default="marin", description="The model's voice.")
    speed: float = Field(default=1.0, ge=0.25, le=1.5, description="How fast it speaks.")
    transcription_model: str = Field(
        default="gpt-4o-mini-transcribe", description="Writes down what the caller says."
    )
    transcript_ms: int = Field(
        default=500,
        ge=0,
        le=10_000,
        description="Longest wait for what the caller said in writing; the model hears it anyway.",
    )
    noise_reduction: str | None = Field(
        default=None,
        pattern="^(near_field|far_field)$",
        description="`near_field` for a headset, `far_field` for a room; none when absent.",
    )
    extra_session: dict[str, Any] = Field(
        default_factory=dict, description="Further fields of the session, sent as they are."
    )


class OpenAiRealtime:
    """OpenAI Realtime: a model that hears and speaks; also any server that speaks its API."""

    Options = OpenAiRealtimeOptions
    traits = Traits(
        where="cloud", key=KEY_VARIABLE, can=("tools", "interruptions", "typed text", "exact text")
    )
    decides_turns = False

    def __init__(self, options: OpenAiRealtimeOptions, hints: AgentHints) -> None:
        self._options, self._hints = options, hints
        self._url = f"{ws_address(options.base_url)}/realtime?model={quote(options.model)}"
        self._headers: dict[str, str] = {}

    @property
    def model(self) -> str:
        return self._options.model

    async def start(self) -> None:
        """Check the key."""
        given = self._options
        key = vendor_key(
            given.api_key, KEY_VARIABLE, "realtime: openai", url=given.base_url, vendor_url=URL
        )
        self._headers = {"Authorization": f"Bearer {key.value}"} if key else {}

    async def aclose(self) -> None:
        """Nothing is kept between calls."""

    async def open(self, request: LlmRequest) -> RealtimeCall:
        """Connect for one call; see `Realtime.open`."""
        options = self._options
        vendor = Vendor(
            NAME,
            self._connect,
            first_ms=options.first_ms,
            idle_ms=options.idle_ms,
            connect_ms=options.connect_ms,
            beside=True,
            marks=True,
            transcript_ms=options.transcript_ms,
        )
        return VendorCall(vendor, request, *await self._connect(request, ()))

    async def _connect(self, request: LlmRequest, known: Sequence[Message]) -> tuple[Socket, Wire]:
        async def greet(socket: Socket) -> Wire:
            wire = OpenAiWire()
            await _told(socket, "session.created")
            await socket.send(encoded(self._session(request)))
            await _told(socket, "session.updated")
            for frame in wire.items.create(known):
                await socket.send(encoded(frame))
            return wire

        within_ms = self._options.connect_ms
        return await opened(self._url, NAME, greet, headers=self._headers, within_ms=within_ms)

    def _session(self, request: LlmRequest) -> dict[str, Any]:
        options, hints = self._options, self._hints
        transcription: dict[str, Any] = {
            "model": options.transcription_model,
            "language": hints.language.partition("-")[0],
        }
        if hints.vocabulary:
            transcription["prompt"] = "Words: " + ", ".join(hints.vocabulary[:100])
        pcm = {"type": "audio/pcm", "rate": RATE_HZ}
        heard: dict[str, Any] = {
            "format": pcm,
            "transcription": transcription,
            "turn_detection": None,
        }
        if options.noise_reduction:
            heard["noise_reduction"] = {"type": options.noise_reduction}
        session: dict[str, Any] = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": "\n\n".join(m.content for m in request.messages if m.role == "system"),
            "tools": [{"type": "function", **one} for one in functions(request.tools)],
            "tool_choice": "auto",
            "audio": {
                "input": heard,
                "output": {"format": pcm, "voice": options.voice, "speed": options.speed},
            },
            **options.extra_session,
        }
        return {"type": "session.update", "session": session}


async def _told(socket: Socket, wanted: str) -> None:
    """Wait for an event; an error in its place is one."""
    while (event := await message(socket, NAME)).get("type") != wanted:
        if event.get("type") == "error":
            raise events.failure(event.get("error"))


class OpenAiWire:
    """A `wire.Wire`."""

    rate_hz = RATE_HZ

    def __init__(self) -> None:
        self.items = OpenAiItems()
        self._resampler = LiveResampler(INPUT_RATE_HZ, RATE_HZ)
        self._fresh_ms = 0  # sound sent and not committed
        self._commits: deque[int] = deque()  # marks whose items are not known yet

    def audio(self, pcm: bytes) -> Sequence[Frame]:
        self._fresh_ms += len(pcm) * 500 // INPUT_RATE_HZ
        sound = self._resampler.push(pcm)
        if not sound:
            return ()
        return ({"type": "input_audio_buffer.append", "audio": base64_of(sound)},)

    def begin(self) -> Sequence[Frame]:
        return self.rest()

    def pause(self, mark: int) -> Sequence[Frame] | None:
        if self._fresh_ms < COMMIT_MS:
            return None
        self._fresh_ms = 0
        self._commits.append(mark)
        return ({"type": "input_audio_buffer.commit", "event_id": f"commit_{mark}"},)

    def rest(self) -> Sequence[Frame]:
        if not self._fresh_ms:
            return ()
        self._fresh_ms = 0
        return ({"type": "input_audio_buffer.clear"},)

    def answer(self, news: News, ask: int) -> Sequence[Frame]:
        create = {
            "type": "response.create",
            "event_id": f"ask_{ask}",
            "response": {"metadata": {"ask": str(ask)}},
        }
        return (*self.items.update(news), create)

    def say(self, text: str, ask: int) -> Sequence[Frame]:
        response = {
            "conversation": "none",
            "input": [],
            "instructions": _SAY + text,
            "tool_choice": "none",
            "metadata": {"ask": str(ask)},
        }
        return ({"type": "response.create", "event_id": f"ask_{ask}", "response": response},)

    def cancel(self, key: str) -> Sequence[Frame]:
        return ({"type": "response.cancel", "response_id": key},)

    def over(self, key: str) -> bool:
        return False  # it is told

    def read(self, frame: str | bytes) -> Sequence[Told]:
        event = decoded(frame, NAME)
        match event.get("type"):
            case "input_audio_buffer.committed":
                mark = self._commits.popleft() if self._commits else 0
                return self.items.committed(mark, event)
            case "error":
                return self._error(event.get("error") or {})
            case "response.output_item.added" | "response.output_item.done":
                self.items.made(event)
        return events.told(event, self.items.mark_of)

    def _error(self, error: dict[str, Any]) -> Sequence[Told]:
        kind, _, number = str(error.get("event_id") or "").partition("_")
        failure = events.failure(error)
        if kind == "ask" and number.isdigit():
            return events.refused(int(number), failure)
        if kind == "commit" and number.isdigit() and int(number) in self._commits:
            self._commits.remove(int(number))
            return events.unheard(int(number))
        if error.get("code") in ("session_expired", "rate_limit_exceeded", "insufficient_quota"):
            raise failure
        # A cancellation that came too late, an item that is gone: nothing is lost by it.
        log.debug("realtime request refused", extra={"error": str(failure)})
        return ()
