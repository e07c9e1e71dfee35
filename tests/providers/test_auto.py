"""`llm: auto`: a key, a local server, the flow, or a clear word that there is nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest
from tests.support.openai_server import Answer, openai_server

from antiphon.errors import UserFacingError
from antiphon.providers.base import AgentHints, FlowReply, LlmRequest, TextDelta
from antiphon.providers.llm import auto
from antiphon.providers.llm.auto import AutoLlm, AutoOptions, choose
from antiphon.types import Message


class Brain:
    def reply(self, messages: Sequence[Message]) -> FlowReply:
        return FlowReply("I am the flow.")


NOTHING, FLOW = AgentHints(), AgentHints(brain=Brain())
OPTIONS = AutoOptions(temperature=0.1)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTIPHON_LLM_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def closed_url() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}/v1"


@pytest.fixture
def silent_url() -> Iterator[str]:
    """Something that takes connections and never says anything."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield f"http://127.0.0.1:{one.getsockname()[1]}/v1"


@asynccontextmanager
async def answers_everything(reply: bytes) -> AsyncIterator[str]:
    """A server that is not an LLM's."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def http(body: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return (head + body).encode()


async def test_a_key_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    monkeypatch.setenv("ANTIPHON_LLM_MODEL", "big")
    choice = await choose(OPTIONS, FLOW)
    assert choice.options == {"temperature": 0.1, "model": "big"}
    assert choice.text == "big at https://api.openai.com/v1, by OPENAI_API_KEY"


async def test_a_local_server_is_found_among_dead_and_silent_ones(
    closed_url: str, silent_url: str
) -> None:
    async with openai_server(models=("bge-large", "qwen3", "llama")) as server:
        servers = [("A", closed_url), ("B", silent_url), ("C", server.base_url)]
        choice = await choose(OPTIONS, FLOW, servers)
    assert choice.provider == "openai"
    assert choice.options == {"temperature": 0.1, "base_url": server.base_url, "model": "qwen3"}
    assert choice.text == f"qwen3 by C at {server.base_url}"


async def test_the_model_of_the_environment_where_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTIPHON_LLM_MODEL", "llama")
    async with openai_server(models=("qwen3", "llama")) as server:
        choice = await choose(OPTIONS, NOTHING, [("C", server.base_url)])
    assert choice.options["model"] == "llama"


@pytest.mark.parametrize(
    "reply",
    [
        http("<html>hello</html>"),
        http('{"data": "x"}'),
        http('{"data": []}'),
        http("[]"),
        http('{"object": "list", "data": [{"id": "cafe", "owned_by": "antiphon"}]}'),
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
    ids=["page", "odd", "no models", "list", "ourselves", "404", "ssh", "nothing"],
)
async def test_other_servers_are_not_taken_for_one(reply: bytes) -> None:
    async with answers_everything(reply) as url:
        choice = await choose(OPTIONS, FLOW, [("X", url)])
    assert (choice.provider, choice.text) == ("flow", "the agent's flow")


async def test_nothing_at_all(closed_url: str) -> None:
    with pytest.raises(UserFacingError, match="Set OPENAI_API_KEY, or start a local server"):
        await choose(OPTIONS, NOTHING, [("A", closed_url)])


async def test_auto_answers_as_what_it_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    async with openai_server(Answer("Hi there")) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        llm = AutoLlm(OPTIONS, NOTHING)
        await llm.start()
        events = [event async for event in llm.stream(LlmRequest((Message("user", "a"),)))]
        await llm.aclose()
    assert TextDelta("there") in events
    assert llm.chosen == f"its first model at {server.base_url}, by OPENAI_API_KEY"
    assert server.requests[0]["temperature"] == 0.1


async def test_auto_is_not_used_before_its_start() -> None:
    llm = AutoLlm(OPTIONS, FLOW)
    await llm.aclose()
    with pytest.raises(RuntimeError, match="start"):
        llm.stream(LlmRequest(()))


def test_our_own_port_among_the_defaults_is_only_asked() -> None:
    assert [url.rpartition(":")[2] for _, url in auto.LOCAL_SERVERS] == [
        "11434/v1",
        "8080/v1",
        "1234/v1",
        "8000/v1",
    ]
