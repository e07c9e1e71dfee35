"""Google's two speech services over gRPC, with the message classes of Google's own packages."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import grpc
from tests.fakes.host import FakeVendor

CODES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    409: grpc.StatusCode.ABORTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}


@dataclass
class Call:
    """One stream that came in."""

    method: str
    metadata: dict[str, str]
    received: list[Any] = field(default_factory=list)
    finished: bool = False
    cancelled: bool = False

    def over(self) -> None:
        self.cancelled = not self.finished


class GoogleSpeech(FakeVendor):
    """Each stream of audio is the next of `transcripts`, the last one again and again; a text is
    50 ms of sound for each of its letters. Of the faults, `status`, `times`, `first_ms`, `silent`
    and `close_after` (messages of one stream, then ABORTED) are kept."""

    def __init__(self, *transcripts: str) -> None:
        super().__init__()
        self.transcripts = list(transcripts or ["yes please"])
        self.calls: list[Call] = []
        self.heard_ms: list[int] = []
        self.mute = False
        self._grpc: Any = None

    async def __aenter__(self) -> Self:
        from google.cloud.speech_v2.types import cloud_speech
        from google.cloud.texttospeech_v1.types import cloud_tts

        self._speech, self._voices = cloud_speech, cloud_tts
        # Threads: the tests count the tasks of the event loop.
        self._grpc = grpc.server(ThreadPoolExecutor(32))
        for service, method, handler, request, response in (
            (
                *("google.cloud.speech.v2.Speech", "StreamingRecognize", self._recognize),
                *(cloud_speech.StreamingRecognizeRequest, cloud_speech.StreamingRecognizeResponse),
            ),
            (
                *("google.cloud.texttospeech.v1.TextToSpeech", "StreamingSynthesize", self._speak),
                *(cloud_tts.StreamingSynthesizeRequest, cloud_tts.StreamingSynthesizeResponse),
            ),
        ):
            rpc = grpc.stream_stream_rpc_method_handler(
                handler,
                request_deserializer=request.deserialize,
                response_serializer=response.serialize,
            )
            generic = grpc.method_handlers_generic_handler(service, {method: rpc})
            self._grpc.add_generic_rpc_handlers((generic,))
        self.port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._grpc.stop(None).wait)

    def _arrive(self, context: Any, method: str) -> Call:
        call = Call(method, {key: str(value) for key, value in context.invocation_metadata()})
        self.calls.append(call)
        context.add_callback(call.over)
        faults = self.faults
        if faults.status is not None and faults.times != 0:
            if faults.times is not None:
                faults.times -= 1
            # As over a network: grpc.aio calls a refusal that crosses a write an INTERNAL error.
            time.sleep(0.02)
            call.finished = True
            context.abort(CODES[faults.status], "refused")
        return call

    def _requests(self, requests: Any, context: Any, call: Call) -> Iterator[Any]:
        over = threading.Event()
        context.add_callback(over.set)
        for request in requests:
            call.received.append(request)
            limit = self.faults.close_after
            if limit is not None and len(call.received) >= limit:
                time.sleep(0.02)
                call.finished = True
                context.abort(grpc.StatusCode.ABORTED, "Max duration of 5 minutes reached")
            yield request
        if self.faults.silent:
            over.wait(30)
        time.sleep(self.faults.first_ms / 1000)

    # ---- speech to text --------------------------------------------------------------------

    def _recognize(self, requests: Any, context: Any) -> Iterator[Any]:
        call = self._arrive(context, "StreamingRecognize")
        config, heard, words, told = None, 0, [], 0
        for request in self._requests(requests, context, call):
            if config is None:
                config = request.streaming_config
                assert config, "the first message has the configuration"
                taken = (
                    self.transcripts.pop(0) if len(self.transcripts) > 1 else self.transcripts[0]
                )
                words = taken.split()
                continue
            assert len(request.audio) <= 25_600
            heard += len(request.audio)
            # A word is heard every 300 ms.
            if (count := min(len(words), heard // 9600)) > told and not self.faults.silent:
                told = count
                yield self._interim(words[:count])
        self.heard_ms.append(heard // 32)
        if words:
            yield self._final(words, heard // 32)
        call.finished = not self.faults.silent

    def _interim(self, words: list[str]) -> Any:
        return self._speech.StreamingRecognizeResponse(
            results=[
                {"alternatives": [{"transcript": part}], "stability": stability}
                for part, stability in ((" ".join(words[:-1]), 0.9), (f" {words[-1]}", 0.01))
                if part
            ]
        )

    def _final(self, words: list[str], heard_ms: int) -> Any:
        best = {
            "transcript": " ".join(words),
            "confidence": 0.875,
            "words": [
                {
                    "word": word,
                    "start_offset": _delta(n * 300),
                    "end_offset": _delta(n * 300 + 250),
                    "confidence": 0.75,
                }
                for n, word in enumerate(words)
            ],
        }
        return self._speech.StreamingRecognizeResponse(
            results=[
                {
                    "alternatives": [best],
                    "is_final": True,
                    "result_end_offset": _delta(heard_ms),
                    "language_code": "en-us",
                }
            ]
        )

    # ---- text to speech --------------------------------------------------------------------

    def _speak(self, requests: Any, context: Any) -> Iterator[Any]:
        call = self._arrive(context, "StreamingSynthesize")
        texts = [
            request.input.text
            for request in self._requests(requests, context, call)
            if not request.streaming_config
        ]
        for _ in "" if self.mute else "".join(texts):
            yield self._voices.StreamingSynthesizeResponse(audio_content=b"\x01\x00" * 1200)
        call.finished = not self.faults.silent


def _delta(ms: int) -> timedelta:
    return timedelta(milliseconds=ms)
