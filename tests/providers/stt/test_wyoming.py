"""Our adapter against a Wyoming server that can fail; the package's own is in tests/vendors."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from tests.fakes.wyoming import FakeWyoming, line
from tests.support.stt_talk import failure, read_final, say, speak, until

from antiphon.providers.base import AgentHints, FinalText, PartialText
from antiphon.providers.stt.wyoming import WyomingStt, WyomingSttOptions

HEARD = line("transcript", {"text": " call me ", "language": "en"})


def serving(*said: bytes, **more: Any) -> FakeWyoming:
    models = [{"name": "small", "languages": ["de", "en_GB"]}]
    info = line("info", {"asr": [{"models": models}], "tts": "none"})
    return FakeWyoming({"describe": [info], "audio-stop": [*said]}, **more)


async def started(host: FakeWyoming, hints: AgentHints | None = None, **more: Any) -> WyomingStt:
    given = {"base_url": host.url, "final_ms": 500, **more}
    stt = WyomingStt(WyomingSttOptions.model_validate(given), hints or AgentHints())
    await stt.start()
    return stt


def kinds(host: FakeWyoming) -> list[str]:
    found = [event["type"] for event in host.events]
    return [one for n, one in enumerate(found) if n == 0 or found[n - 1] != one]


def sent(host: FakeWyoming) -> int:
    return sum(len(event["payload"]) for event in host.events if event["type"] == "audio-chunk")


async def test_an_utterance() -> None:
    async with serving(HEARD) as host:
        hints = AgentHints(language="en", vocabulary=("Okonkwo",))
        stt = await started(host, hints, model="small")
        stream = await stt.open()
        host.events.clear()
        speak(stream, 20)
        stream.begin(3, 200)
        speak(stream, 40)
        # The sound is on its way while it is spoken, but for what makes no whole chunk.
        await host.until(lambda: sent(host) == 50 * 640)
        assert "audio-stop" not in kinds(host)
        stream.finalize(3, 1)
        final, before = await read_final(stream)
        assert final == FinalText(3, 1, "call me", language="en")
        assert before == []
        assert kinds(host) == ["transcribe", "audio-start", "audio-chunk", "audio-stop"]
        wanted = {"language": "en_GB", "name": "small", "transcript_terms": ["Okonkwo"]}
        assert host.events[0]["data"] == wanted
        assert host.events[2]["data"] == {"rate": 16_000, "width": 2, "channels": 1}
        await host.until(lambda: not host.open)
        await stream.aclose()


async def test_who_goes_on_is_heard_as_a_whole() -> None:
    async with serving(HEARD) as host:
        stream = await (await started(host)).open()
        host.events.clear()
        stream.begin(1, 0)
        speak(stream, 10)
        stream.finalize(1, 1)
        await read_final(stream)
        assert sent(host) == 10 * 640
        host.events.clear()
        speak(stream, 15)
        stream.finalize(1, 2)
        assert (await read_final(stream))[0].revision == 2
        assert sent(host) == 25 * 640
        assert kinds(host)[0] == "transcribe"
        await stream.aclose()


async def test_partial_texts_of_a_server_that_streams() -> None:
    chunks = [line("transcript-chunk", {"text": text}) for text in ("call", " me")]
    start, stop = line("transcript-start", {"language": "en"}), line("transcript-stop")
    for end in ([HEARD, stop], [stop]):
        async with serving(start, *chunks, *end) as host:
            stream = await (await started(host)).open()
            stream.begin(1, 0)
            speak(stream, 10)
            stream.finalize(1, 1)
            final, before = await read_final(stream)
            assert before == [PartialText(1, "call"), PartialText(1, "call me")]
            assert (final.text, final.language) == ("call me", "en")
            await stream.aclose()


async def test_sound_may_wait_for_the_end() -> None:
    async with serving(HEARD) as host:
        stream = await (await started(host, live=False)).open()
        host.events.clear()
        stream.begin(1, 0)
        speak(stream, 20)
        await asyncio.sleep(0.02)
        assert not host.events
        stream.finalize(1, 1)
        assert (await read_final(stream))[0].text == "call me"
        assert sent(host) == 20 * 640
        await stream.aclose()


async def test_what_is_over_is_cancelled() -> None:
    async with serving() as host:
        stream = await (await started(host)).open()
        for utterance_id, over in enumerate(("end", "begin", "finalize", "close")):
            stream.begin(utterance_id, 0)
            speak(stream, 10)
            if utterance_id > 1:
                stream.finalize(utterance_id, 1)
            await host.until(lambda: host.open == 1)
            if over == "close":
                await stream.aclose()
            elif over != "begin":
                stream.end(utterance_id)
            if over != "begin":
                await host.until(lambda: not host.open)
        assert [event async for event in stream.events()] == []


async def test_a_newer_finalize_cancels_the_older_one() -> None:
    async with serving() as host:
        stream = await (await started(host)).open()
        stream.begin(1, 0)
        speak(stream, 10)
        stream.finalize(1, 1)
        await host.until(lambda: "audio-stop" in kinds(host))
        host.script["audio-stop"] = [HEARD]
        stream.finalize(1, 2)
        final, before = await read_final(stream)
        assert (final.revision, before) == (2, [])
        await host.until(lambda: not host.open)
        await stream.aclose()


async def test_a_server_that_closed_early_is_asked_again() -> None:
    async with serving(HEARD, closes=True) as host:
        stream = await (await started(host)).open()
        stream.begin(1, 0)
        speak(stream, 10)
        await until(lambda: stream._early is not None and stream._early.task.done())
        host.closes = False
        stream.finalize(1, 1)
        assert (await read_final(stream))[0].text == "call me"
        await stream.aclose()


@pytest.mark.parametrize(
    ("said", "match", "retryable"),
    [
        ((), "no text within 100 ms", True),
        ((line("error", {"text": "no model", "code": "x"}),), "the server says: no model", True),
        ((b"GET / HTTP/1.1\n",), "does not speak Wyoming", False),
        ((b'{"type": "transcript", "data_length": 9, "pa',), "no text within", True),
    ],
)
async def test_failures(said: tuple[bytes, ...], match: str, retryable: bool) -> None:
    async with serving(*said) as host:
        stt = await started(host, final_ms=100)
        error = await failure(await stt.open())
        assert match in str(error)
        assert error.retryable is retryable


async def test_events_that_mean_nothing_are_ignored() -> None:
    odd = line("transcript", {"text": 7})
    async with serving(line("played"), line("novelty", {"a": 1}), odd) as host:
        stream = await (await started(host)).open()
        assert (await say(stream)).text == ""
        await stream.aclose()


async def test_a_server_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(HEARD) as host:
        pass
    stt = await started(host, connect_ms=200)
    assert "stt not ready" in caplog.text
    error = await failure(await stt.open())
    assert "cannot be reached" in str(error)
    assert error.retryable


async def test_a_language_that_it_has_not_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(HEARD) as host:
        with caplog.at_level(logging.WARNING):
            stt = await started(host, AgentHints(language="fr"))
        assert "does not list this language" in caplog.text
        assert stt._request["language"] == "fr"
        assert "transcript_terms" not in stt._request
