"""A recogniser made with the package `wyoming`, and our adapter as its client."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from tests.contracts import test_stt as contract
from tests.support.stt_talk import read_final, speak
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.event import Event

from antiphon.providers.base import AgentHints, PartialText
from antiphon.providers.stt.wyoming import WyomingStt, WyomingSttOptions

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it imports audioop
    from wyoming.audio import AudioChunk, AudioStart, AudioStop
    from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
    from wyoming.server import AsyncEventHandler, AsyncTcpServer, AsyncUnixServer

WHO = Attribution(name="someone", url="")
MODEL = AsrModel(
    name="m", attribution=WHO, installed=True, description=None, version=None, languages=["en"]
)
PROGRAM = AsrProgram(
    name="p", attribution=WHO, installed=True, description=None, version=None, models=[MODEL],
    supports_transcript_streaming=True,
)  # fmt: skip


class Recogniser(AsyncEventHandler):  # type: ignore[misc]
    """Says how much it heard, in which language, and which words it was told. As the servers of
    Home Assistant do, it ends the connection after a transcript."""

    def __init__(self, streams: bool, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._streams, self._asked, self._heard = streams, Transcribe(), 0

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(Info(asr=[PROGRAM]).event())
        elif Transcribe.is_type(event.type):
            self._asked = Transcribe.from_event(event)
        elif AudioStart.is_type(event.type):
            start = AudioStart.from_event(event)
            assert (start.rate, start.width, start.channels) == (16_000, 2, 1)
        elif AudioChunk.is_type(event.type):
            self._heard += len(AudioChunk.from_event(event).audio) // 32
        elif AudioStop.is_type(event.type):
            await self._answer(f"{self._asked.language} {self._heard} ms")
            return False
        return True

    async def _answer(self, text: str) -> None:
        terms = " ".join(self._asked.transcript_terms or ())
        if self._streams:
            await self.write_event(TranscriptStart(language="en").event())
            await self.write_event(TranscriptChunk(text=text).event())
            await self.write_event(TranscriptChunk(text=f" {terms}").event())
        await self.write_event(Transcript(text=f"{text} {terms}", language="en").event())
        if self._streams:
            await self.write_event(TranscriptStop().event())


@asynccontextmanager
async def recogniser(*, streams: bool, socket: Path | None = None) -> AsyncIterator[WyomingStt]:
    server: AsyncTcpServer | AsyncUnixServer
    server = AsyncTcpServer("127.0.0.1", 0) if socket is None else AsyncUnixServer(socket)
    await server.start(partial(Recogniser, streams))
    inner = server._server
    assert inner is not None
    url = f"unix://{socket}" if socket else f"tcp://127.0.0.1:{inner.sockets[0].getsockname()[1]}"
    hints = AgentHints(language="en", vocabulary=("Okonkwo", "Ximena"))
    stt = WyomingStt(WyomingSttOptions(base_url=url), hints)
    await stt.start()
    yield stt
    await stt.aclose()
    inner.close()
    await asyncio.sleep(0.01)


async def test_transcripts(tmp_path: Path) -> None:
    for socket in (None, tmp_path / "s"):
        async with recogniser(streams=False, socket=socket) as stt:
            stream = await stt.open()
            stream.begin(1, 0)
            for revision in (1, 2):
                speak(stream, 25)
                stream.finalize(1, revision)
                final, before = await read_final(stream)
                assert final.text == f"en {revision * 500} ms Okonkwo Ximena"
                assert (final.revision, before) == (revision, [])
            await stream.aclose()


async def test_transcripts_in_pieces() -> None:
    async with recogniser(streams=True) as stt:
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 25)
        stream.finalize(1, 1)
        final, before = await read_final(stream)
        assert final.text == "en 500 ms Okonkwo Ximena"
        assert before == [PartialText(1, "en 500 ms"), PartialText(1, final.text)]
        await stream.aclose()


async def test_the_contract() -> None:
    async with recogniser(streams=True) as stt:
        for name in [name for name in dir(contract) if name.startswith("test_")]:
            await getattr(contract, name)(stt)
