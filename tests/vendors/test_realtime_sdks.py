"""The vendors' own libraries talk to the fakes of their speech-to-speech services."""

from __future__ import annotations

import asyncio
import base64
import json
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from deepgram import AsyncDeepgramClient
from deepgram.agent.v1.types import (
    AgentV1ConversationText,
    AgentV1FunctionCallRequest,
    AgentV1InjectAgentMessage,
    AgentV1SendFunctionCallResponse,
    AgentV1Settings,
)
from deepgram.environment import DeepgramClientEnvironment
from elevenlabs.client import ElevenLabs
from google import genai
from google.genai import types
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from tests.fakes.deepgram_agent import FakeDeepgramAgent
from tests.fakes.elevenlabs_agent import FakeElevenLabsAgent
from tests.fakes.gemini_live import FakeGeminiLive
from tests.fakes.openai_realtime import FakeOpenAiRealtime
from tests.fakes.talking import Reply, voiced
from tests.support.stage import speech

from antiphon.providers.base import AgentHints, LlmRequest
from antiphon.providers.realtime.deepgram import DeepgramAgent, DeepgramAgentOptions
from antiphon.types import Message, ToolSpec

with warnings.catch_warnings():
    # It uses names of websockets that are on their way out.
    warnings.simplefilter("ignore", DeprecationWarning)
    from elevenlabs.conversational_ai.conversation import (
        AsyncAudioInterface,
        AsyncConversation,
        ClientTools,
        ConversationInitiationData,
    )

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
SURE = "Sure, one coffee."
REPLIES = [Reply("", [("weather", {"city": "Oslo"})]), Reply(SURE)]


async def test_openai() -> None:
    """Every event is one of the library's, by its own types."""
    async with FakeOpenAiRealtime() as fake:
        fake.replies = list(REPLIES)
        client = AsyncOpenAI(api_key="key", base_url=fake.http_url + "/v1")
        sound, heard, said = b"", "", ""
        async with client.realtime.connect(model="gpt-realtime") as connection:
            created = await connection.recv()
            assert created.type == "session.created"
            await connection.session.update(
                session={"type": "realtime", "audio": {"input": {"turn_detection": None}}}
            )
            pcm = base64.b64encode(voiced("hello", 24_000)).decode()
            await connection.input_audio_buffer.append(audio=pcm)
            await connection.input_audio_buffer.commit()
            await connection.response.create()
            async for event in connection:
                if event.type == "conversation.item.input_audio_transcription.completed":
                    heard = event.transcript
                elif event.type == "response.output_item.done" and (
                    event.item.type == "function_call"
                ):
                    assert json.loads(event.item.arguments or "") == {"city": "Oslo"}
                    output = {"type": "function_call_output", "output": "{}"}
                    item: Any = {**output, "call_id": event.item.call_id}
                    await connection.conversation.item.create(item=item)
                elif event.type == "response.output_audio.delta":
                    sound += base64.b64decode(event.delta)
                elif event.type == "response.output_audio_transcript.done":
                    said = event.transcript
                elif event.type == "response.done":
                    assert event.response.usage is not None
                    if said:
                        break
                    await connection.response.create()
        await client.close()
        assert (heard, said) == ("hello there", SURE)
        assert sound == voiced(SURE, 24_000)
        adapter: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
        for sent in fake.last.sent:
            adapter.validate_python(sent)


async def test_gemini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeGeminiLive(tls=tmp_path) as fake:
        monkeypatch.setenv("SSL_CERT_FILE", str(fake.cert_path))
        fake.replies = list(REPLIES)
        options = types.HttpOptions(base_url=fake.http_url)
        client = genai.Client(api_key="key", http_options=options)
        function = types.FunctionDeclaration(name="weather", description="The weather.")
        config = types.LiveConnectConfig(
            response_modalities=[types.Modality.AUDIO],
            tools=[types.Tool(function_declarations=[function])],
            realtime_input_config=types.RealtimeInputConfig(
                automatic_activity_detection=types.AutomaticActivityDetection(disabled=True)
            ),
            input_audio_transcription=types.AudioTranscriptionConfig(),
            output_audio_transcription=types.AudioTranscriptionConfig(),
        )
        sound, heard, said = b"", "", ""
        async with client.aio.live.connect(model="gemini-live", config=config) as session:
            await session.send_realtime_input(activity_start=types.ActivityStart())
            blob = types.Blob(data=speech(400), mime_type="audio/pcm;rate=16000")
            await session.send_realtime_input(audio=blob)
            await session.send_realtime_input(activity_end=types.ActivityEnd())
            async for message in session.receive():
                if message.tool_call and message.tool_call.function_calls:
                    (call,) = message.tool_call.function_calls
                    assert call.args == {"city": "Oslo"}
                    result = types.FunctionResponse(id=call.id, name=call.name, response={"sky": 1})
                    await session.send_tool_response(function_responses=result)
                content = message.server_content
                if content and content.input_transcription:
                    heard += content.input_transcription.text or ""
                if content and content.output_transcription:
                    said += content.output_transcription.text or ""
                sound += message.data or b""
                if message.usage_metadata:
                    assert message.usage_metadata.response_token_count == 50
        assert (heard, said) == ("hello there", SURE)
        assert sound == voiced(SURE, 24_000)
        assert fake.session.setup["inputAudioTranscription"] == {}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_deepgram() -> None:
    async with FakeDeepgramAgent() as fake:
        fake.replies = list(REPLIES)
        place = DeepgramClientEnvironment(
            base=fake.http_url, production=fake.ws_url, agent=fake.ws_url, agent_rest=fake.http_url
        )
        client = AsyncDeepgramClient(api_key="key", environment=place)
        options = DeepgramAgentOptions(base_url=fake.http_url)
        request = LlmRequest(
            (Message("system", "Be nice."),), (ToolSpec("weather", "The weather.", WEATHER),)
        )
        ours = DeepgramAgent(options, AgentHints(vocabulary=("Zurich",)))._settings(
            request, (Message("user", "hi"), Message("assistant", "hello"))
        )
        # What we send is what the library would: its model takes it as it is.
        settings = AgentV1Settings.model_validate(ours)
        sound, told = b"", []
        async with client.agent.v1.connect() as agent:
            await agent.send_settings(settings)
            await agent.send_media(speech(400) + bytes(16_000))
            async for message in agent:
                if isinstance(message, bytes):
                    sound += message
                    continue
                if isinstance(message, AgentV1ConversationText):
                    told.append((message.role, message.content))
                elif isinstance(message, AgentV1FunctionCallRequest):
                    (call,) = message.functions
                    await agent.send_function_call_response(
                        AgentV1SendFunctionCallResponse(id=call.id, name=call.name, content="{}")
                    )
                elif message.type == "AgentAudioDone":
                    if len(told) == 3:
                        break
                    await agent.send_inject_agent_message(AgentV1InjectAgentMessage(message="Bye."))
        assert told == [("user", "hello there"), ("assistant", SURE), ("assistant", "Bye.")]
        assert sound == voiced(SURE, 24_000) + voiced("Bye.", 24_000)
        assert fake.session.story[:2] == [("user", "hi"), ("assistant", "hello")]


class Microphone(AsyncAudioInterface):  # type: ignore[misc,unused-ignore]
    """Says one sentence; keeps what it hears."""

    def __init__(self) -> None:
        self.sound = b""
        self.more = asyncio.Event()

    async def start(self, input_callback: Callable[[bytes], Awaitable[None]]) -> None:
        await input_callback(speech(400) + bytes(16_000))

    async def stop(self) -> None:
        """Nothing to release."""

    async def output(self, audio: bytes) -> None:
        self.sound += audio
        self.more.set()

    async def interrupt(self) -> None:
        """Nothing is kept."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_elevenlabs() -> None:
    async with FakeElevenLabsAgent() as fake:
        fake.replies = list(REPLIES)
        fake.formats = ("pcm_16000", "pcm_16000")
        http = httpx.Client()
        client = ElevenLabs(api_key="key", base_url=fake.http_url, httpx_client=http)
        microphone, tools, told = Microphone(), ClientTools(), []
        tools.register("weather", lambda given: f"blue over {given['city']}")

        async def note(text: str) -> None:
            told.append(text)

        conversation = AsyncConversation(
            client,
            "a1",
            requires_auth=True,
            audio_interface=microphone,
            config=ConversationInitiationData(),
            client_tools=tools,
            callback_agent_response=note,
            callback_user_transcript=note,
        )
        await conversation.start_session()
        whole = voiced(SURE, 16_000)
        async with asyncio.timeout(20):
            while len(microphone.sound) < len(whole):
                microphone.more.clear()
                await microphone.more.wait()
        await conversation.end_session()
        await conversation.wait_for_session_end()
        await asyncio.to_thread(http.close)
        assert told == ["hello there", SURE]
        assert microphone.sound == whole
        assert ("output", "blue over Oslo") in fake.session.story
        assert fake.session.pongs == [1]
