"""What holds for each recogniser of a cloud, whatever its vendor does."""

from __future__ import annotations

import asyncio

import pytest
from tests.providers.stt.cloud import (
    CLOUDS,
    ELEVENLABS,
    HINTS,
    Cloud,
    final_text,
    partials,
    talk,
)
from tests.support.stt_talk import failure, read_final, until

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import PartialText
from antiphon.types import Word

every = pytest.mark.parametrize("cloud", CLOUDS, ids=lambda cloud: cloud.name)


@every
async def test_words_come_as_partials_and_as_a_final_with_times(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        stt = await cloud.start(fake)
        stream = await stt.open()
        talk(stream, 0, 400)
        stream.begin(1, 100)
        talk(stream, 4, 300)
        stream.finalize(1, 1)
        final, before = await read_final(stream)
        assert final.text == "I would like two"
        assert final.revision == 1
        told = [event.text for event in before if isinstance(event, PartialText)]
        assert told
        assert all("I would like two".startswith(text) for text in told)
        assert 0.5 < final.confidence <= 1
        assert [word.text for word in final.words] == ["I", "would", "like", "two"]
        first, last = final.words[0], final.words[-1]
        assert first == Word("I", 100, 400, first.confidence)
        assert (last.start_ms, last.end_ms) == (1000, 1300)
        stream.end(1)
        stream.begin(2, 0)
        talk(stream, 2, 200)
        stream.finalize(2, 1)
        final, _ = await read_final(stream)
        assert (final.utterance_id, final.text) == (2, "large pizzas")
        assert final.words[0].start_ms == 0
        assert len(fake.connections) == 1
        await stream.aclose()
        await until(lambda: fake.last.closed)
        await stt.aclose()


@every
async def test_speech_goes_on_after_a_final(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        stream = await (await cloud.start(fake)).open()
        stream.begin(1, 0)
        talk(stream, 2, 200)
        stream.finalize(1, 1)
        assert await final_text(stream) == "I would"
        talk(stream, 1, 100)
        stream.finalize(1, 2)
        final, _ = await read_final(stream)
        assert (final.text, final.revision) == ("I would like", 2)
        assert [word.start_ms for word in final.words] == [0, 300, 800]
        await stream.aclose()


@every
async def test_noise_is_answered_with_nothing_and_the_connection_stays(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        fake.mute = cloud.name in ("assemblyai", "speechmatics", "elevenlabs")
        stream = await (await cloud.start(fake, final_ms=150)).open()
        for utterance_id in range(3):
            stream.begin(utterance_id, 0)
            talk(stream, 0, 400)
            stream.finalize(utterance_id, 1)
            assert await final_text(stream) == ""
            talk(stream, 0, 100)
            stream.end(utterance_id)
        await stream.aclose()
        assert len(fake.connections) == 1


@every
async def test_a_lost_connection_is_replaced_and_nothing_is_missing(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        stream = await (await cloud.start(fake)).open()
        stream.begin(1, 0)
        talk(stream, 3)
        await partials(stream, 1)
        fake.faults.times, fake.faults.close_code = 1, 1011
        fake.faults.close_after = len(fake.last.received) + 1
        talk(stream, 1)
        await until(lambda: fake.connections[0].closed)
        await until(lambda: len(fake.connections) == 2)
        talk(stream, 1, 200)
        stream.finalize(1, 1)
        assert await final_text(stream) == "I would like two large"
        await stream.aclose()


@every
@pytest.mark.parametrize(("status", "retryable"), [(401, False), (403, False), (429, True)])
async def test_a_refused_handshake(cloud: Cloud, status: int, retryable: bool) -> None:
    async with cloud.fake() as fake:
        fake.faults.status = status
        stream = await (await cloud.start(fake)).open()
        error = await failure(stream)
        assert f"{cloud.name}: HTTP {status}" in str(error)
        assert (error.retryable, error.status) == (retryable, status)
        assert len(fake.connections) == (3 if retryable else 1)
        assert "key-1" not in str(error)


@every
async def test_a_handshake_that_is_refused_for_a_moment(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        fake.faults.status, fake.faults.times = 503, 1
        stream = await (await cloud.start(fake)).open()
        stream.begin(1, 0)
        talk(stream, 2, 200)
        stream.finalize(1, 1)
        assert await final_text(stream) == "I would"
        await stream.aclose()


@every
async def test_a_wrong_key_is_told_once(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        fake.key = "another"
        error = await failure(await (await cloud.start(fake)).open())
        assert not error.retryable
        assert "key-1" not in str(error)
        assert len(fake.connections) == 1


@every
async def test_an_error_message_is_followed_by_another_try(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        fake.error = cloud.error
        stream = await (await cloud.start(fake)).open()
        stream.begin(1, 0)
        talk(stream, 2, 200)
        stream.finalize(1, 1)
        assert await final_text(stream) == "I would"
        assert len(fake.connections) == 2
        await stream.aclose()


@every
async def test_an_error_that_stays(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        stream = await (await cloud.start(fake)).open()

        async def fail_again() -> None:
            while True:
                fake.error = cloud.error
                await asyncio.sleep(0.001)

        task = asyncio.create_task(fail_again())
        error = await failure(stream)
        task.cancel()
        assert error.retryable
        assert "broken for now" in str(error)


@every
async def test_a_vendor_that_only_reads_is_given_up(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        fake.faults.silent = True
        stt = await cloud.start(fake, final_ms=100, connect_ms=200)
        stream = await stt.open()
        stream.begin(1, 0)
        talk(stream, 12)
        stream.finalize(1, 1)
        with pytest.raises(ProviderError) as caught:
            await read_final(stream)
        assert caught.value.retryable
        await stream.aclose()


@every
async def test_a_vendor_that_falls_silent_is_replaced(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        stream = await (await cloud.start(fake, final_ms=300)).open()
        stream.begin(1, 0)
        talk(stream, 2)
        await partials(stream, 1)
        fake.faults.silent = True
        talk(stream, 1, 100)
        stream.finalize(1, 1)
        # What was known has to do.
        assert (await final_text(stream)).startswith("I")
        fake.faults.silent = False
        await until(lambda: len(fake.connections) == 2)
        await stream.aclose()


@every
async def test_garbage(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        fake.faults.garbage = True
        stream = await (await cloud.start(fake)).open()
        stream.begin(1, 0)
        talk(stream, 4, 300)
        stream.finalize(1, 1)
        with pytest.raises(ProviderError, match="no JSON") as caught:
            await read_final(stream)
        assert caught.value.retryable
        await stream.aclose()


@every
@pytest.mark.parametrize("odd", ['{"type": "NewThing"}', '{"message": "New"}', "{}", '{"type": 7}'])
async def test_unknown_messages_mean_nothing(cloud: Cloud, odd: str) -> None:
    async with cloud.fake() as fake:
        stt = await cloud.start(fake)
        link, wire = await stt._connect()
        assert list(wire.read(odd)) == []
        with pytest.raises(ProviderError, match="no JSON object"):
            wire.read("[]")
        with pytest.raises(ProviderError, match="no JSON object"):
            wire.read("[" * 100_000)
        await link.close()


@every
async def test_closing_in_the_middle_closes_the_socket(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        stream = await (await cloud.start(fake)).open()
        stream.begin(1, 0)
        talk(stream, 3)
        await partials(stream, 1)
        reader = asyncio.create_task(read_final(stream))
        await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait([reader])
        await stream.aclose()
        await stream.aclose()
        await until(lambda: fake.last.closed)
        assert [task for task in asyncio.all_tasks() if task.get_name().startswith("stt-")] == []


@every
async def test_closing_while_it_connects(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        fake.faults.silent = True
        stream = await (await cloud.start(fake)).open()
        await until(lambda: fake.connections)
        async with asyncio.timeout(20):
            await stream.aclose()
        await until(lambda: fake.last.closed)


@every
async def test_a_slow_beginning_is_waited_for(cloud: Cloud) -> None:
    async with cloud.fake() as fake:
        fake.faults.first_ms = 60
        stream = await (await cloud.start(fake)).open()
        stream.begin(1, 0)
        talk(stream, 2, 300)
        stream.finalize(1, 1)
        assert await final_text(stream) == "I would"
        await stream.aclose()


@every
async def test_a_key_is_needed_for_the_vendor_alone(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = cloud.stt.traits.key
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UserFacingError, match=variable):
        await cloud.stt(cloud.stt.Options(), HINTS).start()
    monkeypatch.setenv(variable, "from-the-environment")
    await cloud.stt(cloud.stt.Options(), HINTS).start()
    async with cloud.fake() as fake:
        stt = cloud.stt(cloud.stt.Options(base_url=fake.http_url), HINTS)
        await stt.start()
        stream = await stt.open()
        await until(lambda: fake.connections)
        assert "from-the-environment" not in str(fake.last.headers)
        await stream.aclose()


@every
def test_options_that_are_not_right(cloud: Cloud) -> None:
    for wrong in ({"base_url": "file:///x"}, {"final_ms": 1}, {"keywords": ["a"] * 2000}):
        with pytest.raises(ValueError, match=r"base_url|final_ms|keywords"):
            cloud.stt.Options.model_validate(wrong)


def test_models() -> None:
    names = [cloud.stt(cloud.stt.Options(), HINTS).model for cloud in CLOUDS]
    assert all(names)
    assert ELEVENLABS.stt(ELEVENLABS.stt.Options(model="x"), HINTS).model == "x"
