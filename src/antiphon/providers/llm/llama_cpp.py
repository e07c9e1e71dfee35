"""llama.cpp in this process, through llama-cpp-python 0.3: a GGUF file and no server.

https://llama-cpp-python.readthedocs.io/en/latest/api-reference/. A model has one thread and answers
one request after another; each begins where its prompt differs from the one before.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import secrets
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from antiphon.errors import ProviderError, UserFacingError
from antiphon.providers.base import (
    AgentHints,
    LlmEvent,
    LlmRequest,
    ProviderOptions,
    TextDelta,
    Traits,
    Usage,
)
from antiphon.providers.llm._tool_text import ToolText
from antiphon.providers.llm._turns import object_of
from antiphon.providers.llm.chat import ChunkAssembler, to_messages, to_tools

_PACKAGE = "llama_cpp"
_ADVICE = "run: pip install 'antiphon[llama]', which builds it (a C++ compiler and CMake)"
# The template of the file itself, which knows tools, and not what the library takes it for.
_OWN_TEMPLATE = "chat_template.default"


class LlamaCppOptions(ProviderOptions):
    """Options of `llm: llama-cpp`."""

    model_path: str = Field(description="The model's GGUF file.")
    n_ctx: int = Field(
        default=4096, ge=64, description="Longest conversation with its answer, in tokens."
    )
    n_threads: int | None = Field(
        default=None, ge=1, description="Threads of the computation; half the cores when absent."
    )
    n_gpu_layers: int = Field(
        default=0, ge=-1, description="Layers on the graphics card, where the package can; -1: all."
    )
    temperature: float = Field(default=0.6, ge=0, le=2, description="Randomness of the answers.")
    max_tokens: int = Field(
        default=512, ge=1, description="Longest answer in tokens, thoughts included."
    )
    waiting: int = Field(
        default=8, ge=0, description="Requests that may wait for the model; more are refused."
    )
    begins_thinking: bool = Field(
        default=False,
        description="The model's template opens `<think>` itself: nothing is said before "
        "`</think>`. Found out after the first answer otherwise.",
    )
    first_token_ms: int = Field(
        default=20_000, ge=10, le=600_000, description="Longest wait for the answer's beginning."
    )
    idle_ms: int = Field(
        default=5000, ge=10, le=600_000, description="Longest wait between two pieces of it."
    )


class _Job:
    """One request. The queue is bounded by the answer's longest length; None ends it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.chunks: asyncio.Queue[Any] = asyncio.Queue()
        self.cancelled = threading.Event()

    def post(self, chunk: Any) -> None:
        # The loop may be gone when a process ends in the middle of an answer.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.chunks.put_nowait, chunk)


class LlamaCppLlm:
    """A GGUF model by llama.cpp in this process; needs the extra `llama`."""

    Options: ClassVar[type[ProviderOptions]] = LlamaCppOptions
    traits = Traits("here", "", ("tools", "prompt caching", "thinking unspoken"))

    def __init__(self, options: LlamaCppOptions, hints: AgentHints) -> None:
        self._options = options
        self.model = Path(options.model_path).stem
        self._llama: Any = None
        self._thread: ThreadPoolExecutor | None = None
        self._jobs: set[_Job] = set()
        self._begins_inside = options.begins_thinking

    @staticmethod
    def missing() -> str | None:
        """What this machine lacks for it."""
        if importlib.util.find_spec(_PACKAGE) is None:
            return "the Python package llama-cpp-python is not installed; " + _ADVICE
        return None

    async def start(self) -> None:
        """Load the model, which takes seconds.

        Raises:
            UserFacingError: the package is missing, there is no such file, or it is no model.
        """
        await self.aclose()
        if missing := self.missing():
            raise UserFacingError(f"llm `llama-cpp` cannot run here: {missing}")
        self._thread = ThreadPoolExecutor(1, "llama-cpp")
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
        except (ValueError, RuntimeError, OSError) as error:
            await self.aclose()
            raise UserFacingError(f"llama-cpp: {self.model} cannot be loaded: {error}") from None

    async def aclose(self) -> None:
        """Stop what is being generated and free the model."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        for job in self._jobs:
            job.cancelled.set()
        await asyncio.get_running_loop().run_in_executor(thread, self._free)
        # The thread has nothing left to do.
        thread.shutdown()

    async def stream(self, request: LlmRequest) -> AsyncIterator[LlmEvent]:
        """Generate; see `Llm.stream`. Closing the iterator stops the model at its next token; while
        it still reads the prompt, when it has read it.

        Raises:
            ProviderError: too many wait (retryable), or the conversation does not fit.
        """
        if self._thread is None:
            raise RuntimeError("start() has not been called")
        if len(self._jobs) > self._options.waiting:
            raise self._error(f"{len(self._jobs)} requests are waiting for {self.model}", True)
        job = _Job()
        self._jobs.add(job)
        work = job.loop.run_in_executor(self._thread, self._generate, job, request)
        tools = ToolText([tool.name for tool in request.tools], secrets.token_hex(6))
        assembler = ChunkAssembler("", self._begins_inside)
        try:
            limit_ms = self._options.first_token_ms
            while (chunk := await self._next(job, limit_ms)) is not None:
                limit_ms = self._options.idle_ms
                for event in assembler.add(chunk):
                    text = tools.add(event.text) if isinstance(event, TextDelta) else ""
                    if text or not isinstance(event, TextDelta):
                        yield TextDelta(text) if text else event
            try:
                await work
            except Exception as error:
                # Templates, and whoever wrote them, raise what they like.
                raise self._error(f"{self.model}: {error}", False) from error
            if job.cancelled.is_set():
                raise self._error(f"{self.model} was closed", True)
            ends = assembler.finish()
            rest = "".join(one.text for one in ends if isinstance(one, TextDelta))
            said = tools.add(rest)
            held, calls = tools.finish()
            if said + held:
                yield TextDelta(said + held)
            for usage in (one for one in ends if isinstance(one, Usage)):
                yield usage
            for call in calls:
                yield call
            self._begins_inside = self._begins_inside or assembler.began_inside
        finally:
            job.cancelled.set()
            self._jobs.discard(job)
            work.cancel()

    async def _next(self, job: _Job, limit_ms: int) -> Any:
        try:
            async with asyncio.timeout(limit_ms / 1000):
                return await job.chunks.get()
        except TimeoutError:
            raise self._error(f"no answer within {limit_ms / 1000:g} s", True) from None

    def _load(self) -> None:
        options = self._options
        if not Path(options.model_path).is_file():
            raise FileNotFoundError(f"there is no file {options.model_path}")
        # In the model's thread, because it takes a while, too.
        self._llama = importlib.import_module(_PACKAGE).Llama(
            options.model_path,
            n_ctx=options.n_ctx,
            n_threads=options.n_threads,
            n_threads_batch=options.n_threads,
            n_gpu_layers=options.n_gpu_layers,
            verbose=False,
        )
        if "tokenizer.chat_template" in self._llama.metadata:
            self._llama.chat_format = _OWN_TEMPLATE

    def _free(self) -> None:
        llama, self._llama = self._llama, None
        if llama is not None:
            llama.close()

    def _generate(self, job: _Job, request: LlmRequest) -> None:
        """In the model's thread."""
        try:
            if job.cancelled.is_set() or self._llama is None:
                return
            chunks = self._llama.create_chat_completion(
                messages=[_for_template(one) for one in to_messages(request.messages)],
                tools=to_tools(request.tools) or None,
                temperature=self._options.temperature,
                max_tokens=self._options.max_tokens,
                stream=True,
            )
            read = written = 0
            for chunk in chunks:
                if job.cancelled.is_set():
                    chunks.close()
                    return
                if "content" in chunk["choices"][0]["delta"]:
                    read, written = read or self._llama.n_tokens, written + 1
                job.post(chunk)
            usage = {"prompt_tokens": read, "completion_tokens": written}
            job.post({"choices": [], "usage": usage})
        finally:
            job.post(None)

    def _error(self, message: str, retryable: bool) -> ProviderError:
        return ProviderError(message, provider="llama-cpp", retryable=retryable)


def _for_template(message: dict[str, Any]) -> dict[str, Any]:
    """Templates add to `content` and go through `arguments` as through an object."""
    calls = [
        {**call, "function": {**call["function"], "arguments": object_of(text, "arguments")}}
        for call in message.get("tool_calls", ())
        for text in [call["function"]["arguments"]]
    ]
    told = {**message, "content": message["content"] or ""}
    return {**told, "tool_calls": calls} if calls else told
