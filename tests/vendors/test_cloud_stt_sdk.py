"""The vendors' own packages against the fakes that the recognisers in the cloud are tested with."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from assemblyai.streaming.v3 import (
    AsyncRealTimeTranscriber,
    RealTimeEvents,
    RealTimeParameters,
    RealTimeTranscriberOptions,
    SpeechModel,
    TerminationEvent,
    TurnEvent,
)
from deepgram import AsyncDeepgramClient
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.types.listen_v1metadata import ListenV1Metadata
from deepgram.listen.v1.types.listen_v1results import ListenV1Results
from deepgram.listen.v2.types.listen_v2connected import ListenV2Connected
from deepgram.listen.v2.types.listen_v2turn_info import ListenV2TurnInfo
from elevenlabs.realtime.connection import RealtimeEvents
from elevenlabs.realtime.scribe import AudioFormat, CommitStrategy, ScribeRealtime
from speechmatics.rt import (
    AsyncClient,
    AudioEncoding,
    ConversationConfig,
    Model,
    ServerMessageType,
    TranscriptionConfig,
    TranscriptResult,
)
from speechmatics.rt import AudioFormat as SpeechmaticsFormat
from tests.fakes.assemblyai import AssemblyAiStreaming
from tests.fakes.deepgram_stt import DeepgramListen
from tests.fakes.elevenlabs_stt import Scribe
from tests.fakes.speechmatics import SpeechmaticsRealtime
from tests.support.stt_talk import until

# Deepgram's package imports names that websockets has moved.
pytestmark = pytest.mark.filterwarnings("ignore:websockets:DeprecationWarning")

LOUD = b"\x10\x27" * 1600  # 100 ms
QUIET = bytes(3200)


def deepgram(fake: DeepgramListen) -> AsyncDeepgramClient:
    place = DeepgramClientEnvironment(
        base=fake.http_url, production=fake.ws_url, agent=fake.ws_url, agent_rest=fake.http_url
    )
    return AsyncDeepgramClient(api_key="key-1", environment=place)


async def test_deepgram_nova() -> None:
    async with DeepgramListen() as fake:
        options = {"model": "nova-3", "encoding": "linear16", "sample_rate": 16000}
        async with deepgram(fake).listen.v1.connect(
            **options, interim_results="true", keyterm=["olives"]
        ) as socket:
            for _ in range(6):
                await socket.send_media(LOUD)
            await socket.send_finalize()
            await socket.send_keep_alive()
            await socket.send_close_stream()
            found = [message async for message in socket]
    results = [message for message in found if isinstance(message, ListenV1Results)]
    assert [one.channel.alternatives[0].transcript for one in results] == [
        "I",
        "I would",
        "I would",
    ]
    assert results[-1].from_finalize
    assert results[-1].channel.alternatives[0].words[1].end == 0.6
    assert isinstance(found[-1], ListenV1Metadata)
    assert fake.last.headers["authorization"] == "Token key-1"
    assert ("keyterm", "olives") in fake.last.query


async def test_deepgram_flux() -> None:
    async with DeepgramListen() as fake:
        options = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": 16000}
        async with deepgram(fake).listen.v2.connect(**options, eager_eot_threshold=0.5) as socket:
            for pcm in [*[LOUD] * 6, *[QUIET] * 4, *[LOUD] * 3, *[QUIET] * 8, *[LOUD] * 3]:
                await socket.send_media(pcm)
            await socket.send_force_end_turn()
            await socket.send_close_stream()
            found = [message async for message in socket]
    assert isinstance(found[0], ListenV2Connected)
    turns = [message for message in found if isinstance(message, ListenV2TurnInfo)]
    assert len(turns) == len(found) - 1
    events = [turn.event for turn in turns if turn.event != "Update"]
    assert events == [
        "StartOfTurn", "EagerEndOfTurn", "TurnResumed", "EagerEndOfTurn", "EndOfTurn",
        "StartOfTurn", "EndOfTurn",
    ]  # fmt: skip
    ends = [turn for turn in turns if turn.event == "EndOfTurn"]
    assert [(turn.transcript, turn.trigger) for turn in ends] == [
        ("I would like", "model"),
        ("two", "manual"),
    ]


async def test_assemblyai() -> None:
    turns: list[TurnEvent] = []
    ended: list[TerminationEvent] = []

    async def on_turn(client: Any, event: TurnEvent) -> None:
        turns.append(event)

    async def on_end(client: Any, event: TerminationEvent) -> None:
        ended.append(event)

    async with AssemblyAiStreaming() as fake:
        options = RealTimeTranscriberOptions(api_host=fake.ws_url, api_key="key-1")
        client = AsyncRealTimeTranscriber(options)
        client.on(RealTimeEvents.Turn, on_turn)
        client.on(RealTimeEvents.Termination, on_end)
        await client.connect(
            RealTimeParameters(
                sample_rate=16000,
                speech_model=SpeechModel.universal_streaming_english,
                format_turns=True,
                keyterms_prompt=["olives"],
            )
        )
        for _ in range(6):
            await client.stream(LOUD)
        await client.force_endpoint()
        await client.keep_alive()
        await until(lambda: len(turns) == 4)
        await client.disconnect(terminate=True)
    assert [turn.transcript for turn in turns] == ["", "I", "I would", "I would."]
    assert [turn.end_of_turn for turn in turns] == [False, False, True, True]
    assert turns[2].words[1].end == 600
    assert len(ended) == 1
    assert fake.last.headers["authorization"] == "key-1"


async def test_elevenlabs_scribe() -> None:
    heard: list[dict[str, Any]] = []
    async with Scribe() as fake:
        connection = await ScribeRealtime("key-1", fake.ws_url).connect(
            {
                "model_id": "scribe_v2_realtime",
                "audio_format": AudioFormat.PCM_16000,
                "sample_rate": 16000,
                "commit_strategy": CommitStrategy.MANUAL,
                "include_timestamps": True,
            }
        )
        for event in RealtimeEvents:
            if event.value not in ("open", "close"):
                connection.on(event, heard.append)
        for _ in range(6):
            await connection.send({"audio_base_64": base64.b64encode(LOUD).decode()})
        await connection.commit()
        await until(lambda: len(heard) >= 5)
        await connection.commit()
        await until(lambda: any(one["message_type"] == "commit_throttled" for one in heard))
        await connection.close()
    committed = [one for one in heard if one["message_type"].endswith("with_timestamps")]
    assert [word["text"] for word in committed[0]["words"]] == ["I", " ", "would"]
    assert fake.last.headers["xi-api-key"] == "key-1"


async def test_speechmatics() -> None:
    finals: list[TranscriptResult] = []
    kinds: list[str] = []
    async with (
        SpeechmaticsRealtime() as fake,
        AsyncClient(api_key="key-1", url=f"{fake.ws_url}/v2") as client,
    ):

        def on_final(message: dict[str, Any]) -> None:
            finals.append(TranscriptResult.from_message(message))

        client.on(ServerMessageType.ADD_TRANSCRIPT, on_final)
        for kind in ServerMessageType:
            client.on(kind, lambda message: kinds.append(message["message"]))
        await client.start_session(
            transcription_config=TranscriptionConfig(
                language="en",
                model=Model.ENHANCED,
                enable_partials=True,
                conversation_config=ConversationConfig(end_of_utterance_silence_trigger=0.5),
            ),
            audio_format=SpeechmaticsFormat(encoding=AudioEncoding.PCM_S16LE, sample_rate=16000),
        )
        for pcm in [*[LOUD] * 6, *[QUIET] * 6, *[LOUD] * 3]:
            await client.send_audio(pcm)
        await client.force_end_of_utterance()
        async with asyncio.timeout(20):
            await client.stop_session()
    assert [final.metadata.transcript for final in finals] == ["I would ", "like "]
    assert finals[0].results[1].alternatives[0].content == "would"
    assert kinds.count("EndOfUtterance") == 2
    assert kinds.count("AudioAdded") == 15
    assert "Error" not in kinds
    assert fake.last.headers["authorization"] == "Bearer key-1"
