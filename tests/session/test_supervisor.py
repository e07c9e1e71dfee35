"""Many calls in one process: admission, limits, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.stage import LevelVad, TestCall, agent, leftovers, settle

from antiphon.agent.load import LoadedAgent
from antiphon.errors import CapacityError, OverloadError, ProviderError, UserFacingError
from antiphon.observe.metrics import Metrics
from antiphon.providers import registry
from antiphon.providers.scripted import ScriptedLlm, ScriptedStt
from antiphon.session import supervisor as supervisor_module
from antiphon.session.admission import FEWEST, Admission
from antiphon.session.clock import StreamClock
from antiphon.session.session import Session
from antiphon.session.supervisor import Supervisor
from antiphon.session.trace import TraceFolder


@pytest.fixture(autouse=True)
def _level_vad(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model for voice activity: these calls are about who may call."""
    make: Callable[..., Any] = registry.make

    def with_level_vad(kind: Any, *rest: Any) -> Any:
        return LevelVad() if kind == "vad" else make(kind, *rest)

    monkeypatch.setattr(registry, "make", with_level_vad)


def loaded(name: str = "Cafe", **config: Any) -> LoadedAgent:
    scripted = {"vad": "scripted", "stt": "scripted", "llm": "scripted", "tts": "scripted"}
    return agent(**{"name": name, **scripted, **config})


@pytest.fixture
async def host() -> AsyncIterator[Supervisor]:
    host = Supervisor([loaded(), loaded("Clinic")], max_calls=3)
    await host.start()
    yield host
    await host.drain(0)
    await settle()
    assert leftovers() == set()


async def ring(host: Supervisor, name: str | None = None) -> tuple[Session, TestCall]:
    call = TestCall(has_audio=False)
    session = await host.start_call(call, name, StreamClock())
    await settle()
    return session, call


async def test_callers_get_the_agent_that_they_ask_for(host: Supervisor) -> None:
    for asked, got in ((None, "Cafe"), ("Clinic", "Clinic")):
        _, call = await ring(host, asked)
        assert call.of("session.created")[0]["session"]["agent"] == {"name": got}


async def test_an_unknown_agent_is_refused_with_those_there_are(host: Supervisor) -> None:
    with pytest.raises(UserFacingError, match=r"no agent called 'Bank' here, but Cafe, Clinic\."):
        await ring(host, "Bank")
    assert host.active_calls == 0


async def test_one_caller_too_many_is_refused_until_somebody_hangs_up(host: Supervisor) -> None:
    sessions = [(await ring(host))[0] for _ in range(3)]
    assert host.active_calls == 3
    with pytest.raises(CapacityError, match="All lines are in use"):
        await ring(host)
    sessions[0].hang_up("done")
    await sessions[0].wait_closed()
    await settle()
    assert host.active_calls == 2
    await ring(host)


async def test_calls_do_not_hear_each_other(host: Supervisor) -> None:
    (first, one), (_, other) = await ring(host), await ring(host)
    first.on_text("a coffee")
    await settle()
    assert one.of("response.done")
    assert not other.of("response.done")
    assert first.call_id.startswith("call_")


async def test_fifty_calls_at_once_all_get_an_answer() -> None:
    host = Supervisor([loaded()], max_calls=50)
    await host.start()
    lines = await asyncio.gather(*(ring(host) for _ in range(50)))
    for session, _ in lines:
        session.on_text("a coffee")
    await settle()
    assert all(call.of("response.done") for _, call in lines)
    await host.drain(0)
    assert all(call.closed == ["the server is stopping"] for _, call in lines)
    await settle()
    assert leftovers() == set()


async def test_a_call_that_breaks_is_forgotten(
    host: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(TestCall):
        def notify(self, event: dict[str, Any]) -> None:
            raise ConnectionResetError("gone")

    call = Broken(has_audio=False)
    session = await host.start_call(call, None, StreamClock())
    async with asyncio.timeout(20):
        await session.wait_closed()
    await settle()
    assert host.active_calls == 0
    assert call.closed
    assert "gone" in caplog.text


async def test_a_loop_that_is_late_takes_no_more_calls() -> None:
    metrics = Metrics()
    host = Supervisor([loaded()], metrics=metrics, admission=Admission(max_lag_ms=40))
    await host.start()
    for tick in range(FEWEST):
        metrics.loop_lagged(50.0, tick * 0.05)
    # Nobody is there who would suffer.
    assert host.has_room
    _, call = await ring(host)
    for tick in range(FEWEST):
        metrics.loop_lagged(50.0, tick * 0.05)
    assert not host.has_room
    with pytest.raises(OverloadError, match="busy with the calls") as refused:
        await ring(host)
    assert refused.value.reason == "lag"
    assert call.closed == []
    await host.drain(0)


async def test_a_loop_that_is_busy_takes_no_more_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    host = Supervisor([loaded()], metrics=metrics, admission=Admission(max_busy=0.9))
    await host.start()
    _, call = await ring(host)
    for tick in range(80):
        monkeypatch.setattr("time.thread_time", lambda used_s=tick * 0.05 * 0.88: used_s)
        metrics.loop_lagged(1.0, tick * 0.05)
    assert b"antiphon_loop_busy_ratio 0.8" in metrics.render()
    assert not host.has_room
    with pytest.raises(OverloadError, match="busy with the calls") as refused:
        await ring(host)
    assert refused.value.reason == "busy"
    assert call.closed == []
    await host.drain(0)


async def test_ids_may_say_whose_calls_they_are() -> None:
    host = Supervisor([loaded()], call_prefix="w3_")
    await host.start()
    session, _ = await ring(host)
    assert session.call_id.startswith("w3_call_")
    await host.drain(0)


# ---- start ---------------------------------------------------------------------------------


def test_without_an_agent_there_is_nothing_to_run() -> None:
    with pytest.raises(UserFacingError, match="no agent to run"):
        Supervisor([])


async def test_nobody_is_let_in_before_the_start() -> None:
    host = Supervisor([loaded()])
    assert not host.ready
    with pytest.raises(CapacityError, match="still starting"):
        host.check(None)


async def test_a_provider_that_cannot_start_stops_those_that_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped: list[str] = []

    async def fails(self: ScriptedLlm) -> None:
        raise UserFacingError("no key")

    async def stops(self: ScriptedStt) -> None:
        stopped.append("stt")

    monkeypatch.setattr(ScriptedLlm, "start", fails)
    monkeypatch.setattr(ScriptedStt, "aclose", stops)
    host = Supervisor([loaded()])
    with pytest.raises(UserFacingError, match="no key"):
        await host.start()
    assert stopped == ["stt"]
    assert not host.ready


async def test_a_provider_that_never_starts_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(self: ScriptedLlm) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(ScriptedLlm, "start", hangs)
    monkeypatch.setattr(supervisor_module, "START_DEADLINE_S", 0.01)
    with pytest.raises(UserFacingError, match="did not start within"):
        await Supervisor([loaded()]).start()


async def test_a_recogniser_that_does_not_open_refuses_the_call(
    host: Supervisor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def hangs(self: ScriptedStt) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(ScriptedStt, "open", hangs)
    monkeypatch.setattr(supervisor_module, "OPEN_DEADLINE_S", 0.01)
    host._traces = TraceFolder(tmp_path)
    with pytest.raises(CapacityError, match="too busy"):
        await host.start_call(TestCall(), None, StreamClock())
    assert host.active_calls == 0


async def test_a_bug_while_opening_is_not_hidden(
    host: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(self: ScriptedStt) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ScriptedStt, "open", breaks)
    with pytest.raises(ZeroDivisionError):
        await host.start_call(TestCall(), None, StreamClock())
    assert host.active_calls == 0


# ---- the record and the end ----------------------------------------------------------------


async def test_every_call_leaves_its_trace(tmp_path: Path) -> None:
    host = Supervisor([loaded(greeting="Welcome.")], traces=tmp_path)
    await host.start()
    session, _ = await ring(host)
    await host.drain(0)
    text = (tmp_path / f"{session.call_id}.jsonl").read_text()
    assert text.splitlines()[0].startswith('{"antiphon_trace":1')
    assert '"CallEnded"' in text


async def test_draining_lets_calls_end_and_takes_no_more() -> None:
    host = Supervisor([loaded()])
    await host.start()
    session, call = await ring(host)
    draining = asyncio.create_task(host.drain(5.0))
    await settle()
    with pytest.raises(CapacityError, match="restarted"):
        host.check(None)
    assert call.closed == []
    session.hang_up("said goodbye")
    await asyncio.wait_for(draining, 20)
    assert call.closed == ["said goodbye"]


async def test_draining_waits_for_a_call_that_is_being_opened(
    host: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, go_on = asyncio.Event(), asyncio.Event()
    open_: Callable[..., Any] = ScriptedStt.open

    async def slowly(self: ScriptedStt, *rest: Any, **named: Any) -> Any:
        opening.set()
        await go_on.wait()
        return await open_(self, *rest, **named)

    monkeypatch.setattr(ScriptedStt, "open", slowly)
    call = TestCall()
    begun = asyncio.create_task(host.start_call(call, None, StreamClock()))
    await opening.wait()
    draining = asyncio.create_task(host.drain(5.0))
    await settle()
    go_on.set()
    session = await begun
    await settle()
    assert call.closed == []
    session.hang_up("said goodbye")
    await asyncio.wait_for(draining, 20)
    assert call.closed == ["said goodbye"]


async def test_draining_hangs_up_those_who_stay_and_survives_a_stuck_provider(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(self: ScriptedLlm) -> None:
        raise ProviderError("stuck", provider="scripted", retryable=False)

    monkeypatch.setattr(ScriptedLlm, "aclose", fails)
    host = Supervisor([loaded()])
    await host.start()
    _, call = await ring(host)
    await host.drain(0.01)
    assert call.closed == ["the server is stopping"]
    assert "did not stop" in caplog.text


async def test_draining_does_not_wait_for_a_channel_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = asyncio.Event()

    class Stuck(TestCall):
        async def close(self, reason: str) -> None:
            await released.wait()

    monkeypatch.setattr(supervisor_module, "STOP_DEADLINE_S", 0.01)
    host = Supervisor([loaded()])
    await host.start()
    session = await host.start_call(Stuck(has_audio=False), None, StreamClock())
    await settle()
    await asyncio.wait_for(host.drain(0), 20)
    released.set()
    await asyncio.wait_for(session.wait_closed(), 20)
    await settle()
    assert leftovers() == set()


async def test_draining_an_empty_server_is_immediate(host: Supervisor) -> None:
    await host.drain(60.0)
    assert not host.ready
