"""What the voices behind a network have in common, each against the fake of its vendor."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.fakes.cartesia import FakeCartesia
from tests.fakes.deepgram_tts import FakeDeepgramTts
from tests.fakes.elevenlabs_tts import FakeElevenLabsTts
from tests.fakes.openai_tts import FakeOpenAiTts
from tests.fakes.rime import FakeRime
from tests.fakes.voices import VoiceFake, sound
from tests.providers.tts.speaking import audio, open_stream, speak, until, words

from antiphon.cost.book import load_book
from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers import registry
from antiphon.providers.base import Tts, TtsAudio, TtsEvent, TtsSegment, TtsSegmentDone
from antiphon.providers.tts import sockets as pool

TEXTS = ("Hello there, what can I get you?", "", "One coffee.", "—", "Is that — right?")
QUICK: dict[str, Any] = {"connect_ms": 10_000, "first_audio_ms": 150, "idle_ms": 150}


@dataclass(frozen=True)
class Vendor:
    name: str
    fake: Callable[[], VoiceFake]
    key: str
    path: str = ""
    socket: bool = True

    def make(self, fake: VoiceFake, **options: Any) -> Tts:
        at = {"base_url": fake.http_url + self.path}
        return registry.make("tts", self.name, at | options)


ALL = [
    Vendor("cartesia", FakeCartesia, "CARTESIA_API_KEY"),
    Vendor("deepgram", FakeDeepgramTts, "DEEPGRAM_API_KEY"),
    Vendor("elevenlabs", FakeElevenLabsTts, "ELEVENLABS_API_KEY"),
    Vendor("openai", FakeOpenAiTts, "OPENAI_API_KEY", "/v1", socket=False),
    Vendor("rime", FakeRime, "RIME_API_KEY"),
]
every = pytest.mark.parametrize("vendor", ALL, ids=lambda one: one.name)
sockets = pytest.mark.parametrize(
    "vendor", [one for one in ALL if one.socket], ids=lambda one: one.name
)
timed = pytest.mark.parametrize(
    "vendor",
    [one for one in ALL if one.name in ("cartesia", "elevenlabs", "rime")],
    ids=lambda one: one.name,
)


@pytest.fixture
async def fake(vendor: Vendor) -> AsyncIterator[VoiceFake]:
    async with vendor.fake() as running:
        yield running


@pytest.fixture
async def tts(vendor: Vendor, fake: VoiceFake) -> AsyncIterator[Tts]:
    provider = vendor.make(fake)
    await provider.start()
    yield provider
    await provider.aclose()


@pytest.fixture
async def quick(vendor: Vendor, fake: VoiceFake) -> AsyncIterator[Tts]:
    """One that waits for little."""
    provider = vendor.make(fake, **QUICK)
    await provider.start()
    yield provider
    await provider.aclose()


# ---- what is heard -------------------------------------------------------------------------


@every
async def test_each_segment_has_its_own_sound_to_the_sample(tts: Tts, fake: VoiceFake) -> None:
    heard = await audio(tts, *TEXTS)
    for number, text in enumerate(TEXTS):
        expected = b"" if text in ("", "—") else sound(text, tts.sample_rate_hz)
        assert heard[number] == expected, text
    assert fake.spoken == [text for text in TEXTS if text not in ("", "—")]


@timed
async def test_words_are_those_written_with_their_times(tts: Tts) -> None:
    found = await words(tts, *TEXTS)
    for number, text in enumerate(TEXTS):
        if text in ("", "—"):
            assert found[number] == []
            continue
        assert [word.text for word in found[number]] == text.split()
        starts = [word.start_ms for word in found[number]]
        assert starts == [300 * place for place in range(len(starts))]
        assert all(word.end_ms == word.start_ms + 300 for word in found[number])


@every
async def test_many_responses_at_once_do_not_mix(tts: Tts) -> None:
    texts = [("one " * (n % 4 + 1)).strip() + "." for n in range(12)]
    heard = await asyncio.gather(*(audio(tts, text, "And more.") for text in texts))
    for text, found in zip(texts, heard, strict=True):
        assert found[0] == sound(text, tts.sample_rate_hz)


@every
async def test_sound_comes_before_the_text_is_whole(tts: Tts) -> None:
    heard = asyncio.Event()

    async def slowly() -> AsyncIterator[TtsSegment]:
        yield TtsSegment(0, "One moment.")
        await heard.wait()
        yield TtsSegment(1, "Here it is.")

    async with asyncio.timeout(20):
        async for event in tts.stream(slowly()):
            if event == TtsSegmentDone(0):
                heard.set()
    assert heard.is_set()


@every
async def test_a_long_answer_is_whole(tts: Tts) -> None:
    texts = [f"This is sentence number {n}." for n in range(45)]
    heard = await audio(tts, *texts)
    assert all(pcm == sound(texts[0], tts.sample_rate_hz) for pcm in heard.values())


@every
async def test_little_text_is_sent_ahead_of_what_is_listened_to(
    vendor: Vendor, tts: Tts, fake: VoiceFake
) -> None:
    """What is never heard is paid for, too."""
    stream = open_stream(tts, *(f"This is sentence number {n}." for n in range(60)))
    await anext(stream)
    await asyncio.sleep(0.05)
    assert len(fake.spoken) <= 6
    await stream.aclose()


# ---- beginning and end ----------------------------------------------------------------------


@every
async def test_connections_are_open_before_the_first_word(tts: Tts, fake: VoiceFake) -> None:
    assert fake.connections
    before = len(fake.connections)
    await audio(tts, "Hello.")
    opened = [one for one in fake.connections[before:] if one.method == "WS"]
    # Another free one may have been opened meanwhile.
    assert len(opened) <= 2


@every
async def test_a_server_that_is_not_there_yet_is_a_warning(
    vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    provider = registry.make("tts", vendor.name, {"base_url": "http://127.0.0.1:9", **QUICK})
    with caplog.at_level(logging.WARNING):
        await provider.start()
    assert [record.message for record in caplog.records] == ["tts not ready"]
    with pytest.raises(ProviderError, match=f"{vendor.name}: .*cannot be reached") as caught:
        await speak(provider, "Hello.")
    assert caught.value.retryable
    await provider.aclose()
    with pytest.raises(ProviderError, match="not started"):
        await speak(provider, "Hello.")


@every
async def test_a_key_is_asked_for(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(vendor.key, raising=False)
    provider = registry.make("tts", vendor.name)
    with pytest.raises(UserFacingError, match=f"set the environment variable {vendor.key}"):
        await provider.start()


@every
async def test_a_key_is_sent_and_nowhere_shown(
    vendor: Vendor, fake: VoiceFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "k-123")
    provider = vendor.make(fake, api_key="${MY_KEY}", **QUICK)
    await provider.start()
    headers = fake.last.headers
    assert "k-123" in headers.get("authorization", "") + headers.get("xi-api-key", "")
    assert "k-123" not in fake.last.path + str(fake.last.query)
    await provider.aclose()
    fake.faults.status = 401
    await provider.start()
    with pytest.raises(ProviderError) as caught:
        await speak(provider, "Hello.")
    assert "k-123" not in str(caught.value)
    await provider.aclose()


@every
async def test_a_cloned_voice_needs_a_note_of_consent(
    vendor: Vendor, fake: VoiceFake, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(UserFacingError, match=r"needs `cloned_voice_consent`: who agreed"):
        vendor.make(fake, voice="v", voice_is_cloned=True, cloned_voice_consent=" ")
    note = "Ada, in writing, 2026-11-02"
    provider = vendor.make(fake, voice="v", voice_is_cloned=True, cloned_voice_consent=note)
    with caplog.at_level(logging.INFO):
        await provider.start()
    await provider.aclose()
    noted = [record for record in caplog.records if record.message == "cloned voice"]
    assert [getattr(record, "consent", None) for record in noted] == [note]


@every
def test_it_has_a_price_and_traits(vendor: Vendor) -> None:
    provider = registry.make("tts", vendor.name)
    assert load_book().find("tts", vendor.name, getattr(provider, "model", "")) is not None
    described = registry.info("tts", vendor.name)
    assert (described.traits.where, described.traits.key) == ("cloud", vendor.key)


# ---- what goes wrong --------------------------------------------------------------------------


@every
@pytest.mark.parametrize(("status", "retryable"), [(401, False), (429, True), (503, True)])
async def test_a_refusal_says_why(
    vendor: Vendor, fake: VoiceFake, status: int, retryable: bool
) -> None:
    fake.faults.status = status
    provider = vendor.make(fake, **QUICK)
    await provider.start()
    with pytest.raises(ProviderError, match=f"{vendor.name}: HTTP {status}: refused") as caught:
        await speak(provider, "Hello.")
    assert (caught.value.retryable, caught.value.status) == (retryable, status)
    fake.faults.status = None
    assert (await audio(provider, "Hello."))[0] == sound("Hello.", provider.sample_rate_hz)
    await provider.aclose()


@every
async def test_nothing_comes(quick: Tts, fake: VoiceFake) -> None:
    fake.faults.silent = True
    with pytest.raises(ProviderError, match=r"no sound within 0\.15 s|no answer within") as caught:
        await speak(quick, "Hello.")
    assert caught.value.retryable
    fake.faults.silent = False
    assert await audio(quick, "Hello.")


@every
async def test_the_first_sound_comes_too_late(quick: Tts, fake: VoiceFake) -> None:
    fake.faults.first_ms = 400
    with pytest.raises(ProviderError, match="no sound within") as caught:
        await speak(quick, "Hello.")
    assert caught.value.retryable


@every
async def test_the_sound_stops_coming(vendor: Vendor, fake: VoiceFake) -> None:
    provider = vendor.make(fake, **QUICK | {"first_audio_ms": 2000})
    await provider.start()
    fake.pace_s, fake.chunk_ms = 0.5, 50
    with pytest.raises(ProviderError, match=r"no sound within 0\.15 s"):
        await speak(provider, "Hello there.")
    await provider.aclose()


@every
async def test_garbage_is_an_error(quick: Tts, fake: VoiceFake) -> None:
    fake.faults.garbage = True
    with pytest.raises(ProviderError, match=r"not JSON|sent no sound|no sound"):
        await speak(quick, "Hello.")


@every
async def test_a_loss_in_the_middle_of_a_segment_is_an_error(tts: Tts, fake: VoiceFake) -> None:
    fake.cut_after, fake.pace_s = 4, 0.005
    events: list[TtsEvent] = []

    async def listen() -> None:
        async for event in open_stream(tts, "One two three four five six seven."):
            events.append(event)  # noqa: PERF401 - what came before the error is looked at

    with pytest.raises(ProviderError) as caught:
        await listen()
    assert caught.value.retryable
    assert any(isinstance(event, TtsAudio) for event in events)
    assert (await audio(tts, "Hello."))[0] == sound("Hello.", tts.sample_rate_hz)


@sockets
async def test_a_loss_before_a_segment_is_heard_is_not_heard(tts: Tts, fake: VoiceFake) -> None:
    """The socket is lost on the first message of the response: nobody hears of it."""
    fake.faults.close_after = fake.faults.times = 1
    stream = open_stream(tts, "One coffee.", "And a tea.")

    async def listen() -> dict[int, bytes]:
        pcm = {0: b"", 1: b""}
        async for event in stream:
            if isinstance(event, TtsAudio):
                pcm[event.segment_id] += event.pcm
        return pcm

    async with asyncio.timeout(20):
        heard = await listen()
    assert any(one.closed for one in fake.connections)
    rate_hz = tts.sample_rate_hz
    assert heard == {0: sound("One coffee.", rate_hz), 1: sound("And a tea.", rate_hz)}


@sockets
async def test_a_loss_between_two_segments_is_not_heard(
    vendor: Vendor, tts: Tts, fake: VoiceFake
) -> None:
    lost = asyncio.Event()

    async def slowly() -> AsyncIterator[TtsSegment]:
        yield TtsSegment(0, "One moment.")
        await lost.wait()
        yield TtsSegment(1, "Here it is.")

    pcm = {0: b"", 1: b""}
    async with asyncio.timeout(20):
        async for event in tts.stream(slowly()):
            if isinstance(event, TtsAudio):
                pcm[event.segment_id] += event.pcm
            elif event == TtsSegmentDone(0):
                for link in list(getattr(tts, "_sockets")._links):  # noqa: B009
                    link._socket.transport.abort()
                lost.set()
    assert pcm[1] == sound("Here it is.", tts.sample_rate_hz)


@sockets
async def test_a_half_open_socket_is_found_out_and_not_heard(
    vendor: Vendor, tts: Tts, fake: VoiceFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent arrives nowhere, and not even a ping is answered."""
    monkeypatch.setattr(pool, "PROBE_AFTER_S", 0.0)
    monkeypatch.setattr(pool, "PROBE_S", 0.1)
    warm = 2 if vendor.name in ("deepgram", "rime") else 1
    await until(lambda: len(fake.connections) == warm)
    assert fake._server is not None
    dead = [one.transport for one in list(fake._server.server_state.connections)]
    for transport in dead:
        transport.pause_reading()
    assert await audio(tts, "Hello.") == {0: sound("Hello.", tts.sample_rate_hz)}
    for transport in dead:
        transport.abort()


@sockets
async def test_lost_sockets_are_opened_again_in_the_background(tts: Tts, fake: VoiceFake) -> None:
    await until(lambda: all(not one.closed for one in fake.connections))
    before = len(fake.connections)
    for link in list(getattr(tts, "_sockets")._links):  # noqa: B009
        link._socket.transport.abort()
    await until(lambda: len(fake.connections) > before)


@sockets
async def test_a_vendor_who_is_back_is_found(vendor: Vendor, fake: VoiceFake) -> None:
    fake.faults.status = 503
    provider = vendor.make(fake, **QUICK)
    await provider.start()
    fake.faults.status = None
    refused = len(fake.connections)
    await until(lambda: len(fake.connections) > refused)
    assert await audio(provider, "Hello.")
    await provider.aclose()


@sockets
@pytest.mark.parametrize(("code", "retryable"), [(1011, True), (1008, False)])
async def test_closing_codes(quick: Tts, fake: VoiceFake, code: int, retryable: bool) -> None:
    fake.faults.close_after, fake.faults.close_code = 1, code
    fake.faults.close_reason = "enough"
    with pytest.raises(ProviderError, match=f"closed with {code}: enough") as caught:
        await speak(quick, "Hello.")
    assert caught.value.retryable is retryable


# ---- being stopped ------------------------------------------------------------------------------


@every
async def test_closing_stops_it_at_the_vendor_and_the_next_is_clean(
    vendor: Vendor, tts: Tts, fake: VoiceFake
) -> None:
    fake.pace_s, fake.chunk_ms = 0.01, 50
    stream = open_stream(tts, "One two three four five six seven eight.", "Never heard.")
    await anext(stream)
    connection = next(one for one in fake.connections if one.received or one.body)
    async with asyncio.timeout(20):
        await stream.aclose()
    if vendor.name == "rime":
        await until(lambda: connection.closed)
    elif vendor.name == "elevenlabs":
        await until(lambda: _says(connection.received[-1], "close_context"))
    elif vendor.name == "openai":
        await until(lambda: fake.cancelled)
    else:
        await until(lambda: fake.cancelled)
    # What is late is not heard in what is said next.
    assert (await audio(tts, "Yes."))[0] == sound("Yes.", tts.sample_rate_hz)


def _says(message: Any, what: str) -> bool:
    return bool(json.loads(message).get(what))


@every
async def test_many_interruptions_leak_nothing(tts: Tts, fake: VoiceFake) -> None:
    fake.pace_s = 0.002
    for _ in range(25):
        stream = open_stream(tts, "One two three four five.", "And so on.")
        await anext(stream)
        await stream.aclose()
    assert (await audio(tts, "Yes."))[0] == sound("Yes.", tts.sample_rate_hz)
    found = getattr(tts, "_sockets", None)
    if found is not None:
        await until(lambda: sum(len(link.lanes) for link in found._links) == 0)


@every
async def test_an_error_of_the_text_is_passed_on(tts: Tts) -> None:
    async def broken() -> AsyncIterator[TtsSegment]:
        yield TtsSegment(0, "Hello.")
        raise LookupError("no more")

    async def listen() -> None:
        async with asyncio.timeout(20):
            async for _ in tts.stream(broken()):
                pass

    with pytest.raises(LookupError, match="no more"):
        await listen()
