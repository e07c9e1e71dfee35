from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.fakes.openai_stt import OpenAiTranscription
from tests.support.stt_talk import failure, read_final, say, speak, until

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import AgentHints, PartialText
from antiphon.providers.secret import Secret
from antiphon.providers.stt._openai_wire import OpenAiWire
from antiphon.providers.stt.openai import OpenAiStt
from antiphon.providers.stt.wire import Flushed, Piece, Told

HINTS = AgentHints("en-GB", vocabulary=("Antiphon", "espresso"))


def make(fake: OpenAiTranscription, **options: Any) -> OpenAiStt:
    given = {"base_url": f"{fake.http_url}/v1", "api_key": Secret("sk-1"), **options}
    return OpenAiStt(OpenAiStt.Options.model_validate(given), HINTS)


async def test_an_utterance_is_committed_and_its_text_comes_in_pieces() -> None:
    async with OpenAiTranscription("one espresso please", "and a tea") as fake:
        stt = make(fake, model="gpt-4o-transcribe", noise_reduction="far_field")
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 50)
        stream.finalize(1, 1)
        final, before = await read_final(stream)
        assert [event.text for event in before if isinstance(event, PartialText)] == [
            "one",
            "one espresso",
            "one espresso please",
        ]
        assert (final.text, final.language) == ("one espresso please", "en")
        assert final.confidence == pytest.approx(0.905, abs=0.001)
        speak(stream, 10)
        stream.finalize(1, 2)
        final, _ = await read_final(stream)
        assert (final.text, final.revision) == ("one espresso please and a tea", 2)
        assert fake.heard_ms == pytest.approx([1000, 200], abs=2)
        assert fake.last.query == [("intent", "transcription")]
        assert fake.last.headers["authorization"] == "Bearer sk-1"
        assert fake.session == {
            "type": "transcription",
            "include": ["item.input_audio_transcription.logprobs"],
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {
                        "model": "gpt-4o-transcribe",
                        "language": "en",
                        "prompt": "Antiphon, espresso.",
                    },
                    "turn_detection": None,
                    "noise_reduction": {"type": "far_field"},
                }
            },
        }
        await stream.aclose()
        await until(lambda: fake.last.closed)
        await stt.aclose()


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("gpt-live-transcribe", {"keywords": ["Antiphon", "espresso"], "prompt": "A cafe."}),
        ("gpt-realtime-whisper", {}),
        ("whisper-1", {"prompt": "A cafe. Antiphon, espresso."}),
    ],
)
async def test_what_models_are_told(model: str, more: dict[str, Any]) -> None:
    async with OpenAiTranscription() as fake:
        stt = make(fake, model=model, prompt="A cafe.")
        await stt.start()
        stream = await stt.open()
        await say(stream)
        transcription = fake.session["audio"]["input"]["transcription"]
        assert transcription == {"model": model, "language": "en"} | more
        await stream.aclose()


async def test_texts_before_the_commit() -> None:
    async with OpenAiTranscription("so far so good") as fake:
        fake.live = True
        stt = make(fake, model="gpt-live-transcribe")
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 10)
        async with asyncio.timeout(20):
            assert await anext(stream.events()) == PartialText(1, "so far")
        await stream.aclose()


async def test_less_than_a_commit_takes() -> None:
    async with OpenAiTranscription("hm") as fake:
        stt = make(fake)
        await stt.start()
        stream = await stt.open()
        assert (await say(stream, frames=1)).text == "hm"
        assert fake.heard_ms == [pytest.approx(100, abs=2)]
        await stream.aclose()


def tell(wire: OpenAiWire, kind: str, **more: Any) -> list[Told]:
    return list(wire.read(json.dumps({"type": kind, **more})))


def test_items_are_told_in_the_order_of_their_commits() -> None:
    wire, prefix = OpenAiWire(), "conversation.item.input_audio_transcription."
    assert tell(wire, "input_audio_buffer.committed", item_id="a") == []
    assert tell(wire, "input_audio_buffer.committed", item_id="b") == []
    assert tell(wire, prefix + "delta", item_id="b", delta="later") == []
    assert tell(wire, prefix + "completed", item_id="b", transcript="later") == []
    assert tell(wire, prefix + "delta", item_id="a", delta="first") == [Piece("first", False)]
    assert tell(wire, prefix + "completed", item_id="a", transcript="first") == [
        Piece("first", True),
        Flushed(),
        Piece("later", True),
        Flushed(),
    ]
    # One that is told before its commit is confirmed.
    assert tell(wire, prefix + "completed", item_id="c", transcript="third") == []
    assert tell(wire, "input_audio_buffer.committed", item_id="c")[0] == Piece("third", True)


def test_messages_that_mean_nothing_and_those_that_do() -> None:
    wire = OpenAiWire()
    assert tell(wire, "rate_limits.updated") == []
    assert tell(wire, "conversation.item.input_audio_transcription.segment", item_id="a") == []
    empty = {"code": "input_audio_buffer_commit_empty", "type": "invalid_request_error"}
    assert tell(wire, "error", error=empty) == [Flushed()]
    for error, retryable in (
        ({"type": "server_error", "message": "sorry"}, True),
        ({"type": "invalid_request_error", "code": "session_expired"}, True),
        ({"type": "invalid_request_error", "code": "model_not_found"}, False),
        ({"type": "rate_limit", "code": "insufficient_quota"}, False),
    ):
        with pytest.raises(ProviderError) as caught:
            tell(wire, "error", error=error)
        assert caught.value.retryable is retryable
    with pytest.raises(ProviderError, match="failed"):
        tell(
            wire,
            "conversation.item.input_audio_transcription.failed",
            item_id="a",
            error={"message": "failed"},
        )


@pytest.mark.parametrize(("status", "retryable"), [(401, False), (429, True), (500, True)])
async def test_refused_handshakes(status: int, retryable: bool) -> None:
    async with OpenAiTranscription() as fake:
        fake.faults.status = status
        stt = make(fake)
        await stt.start()
        error = await failure(await stt.open())
        assert (error.status, error.retryable) == (status, retryable)
        assert len(fake.connections) == (3 if retryable else 1)


async def test_a_socket_that_is_closed_in_mid_utterance_is_replaced() -> None:
    async with OpenAiTranscription("yes please") as fake:
        fake.faults.close_after, fake.faults.times = 4, 1
        stt = make(fake)
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 20)
        await until(lambda: len(fake.connections) == 2)
        speak(stream, 20)
        stream.finalize(1, 1)
        final, _ = await read_final(stream)
        assert final.text == "yes please"
        assert fake.heard_ms == pytest.approx([800], abs=2)
        await stream.aclose()


@pytest.mark.parametrize(
    ("fault", "message"),
    [("silent", "did not begin within 100 ms"), ("garbage", "no JSON object")],
)
async def test_half_open_sockets_and_nonsense(fault: str, message: str) -> None:
    async with OpenAiTranscription() as fake:
        setattr(fake.faults, fault, True)
        stt = make(fake, connect_ms=100)
        await stt.start()
        error = await failure(await stt.open())
        assert message in str(error)
        assert error.retryable


async def test_a_final_that_does_not_come() -> None:
    async with OpenAiTranscription() as fake:
        fake.swapped = True
        stt = make(fake, final_ms=60)
        await stt.start()
        stream = await stt.open()
        stream.begin(1, 0)
        speak(stream, 20)
        stream.finalize(1, 1)
        final, _ = await read_final(stream)
        assert final.text == "yes please"  # of the deltas
        await stream.aclose()


async def test_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    stt = OpenAiStt(OpenAiStt.Options(), AgentHints())
    assert stt.model == "gpt-4o-transcribe"
    with pytest.raises(UserFacingError, match="OPENAI_API_KEY"):
        await stt.start()
