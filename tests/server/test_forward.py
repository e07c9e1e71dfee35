"""Workers that answer for each other: calls, telephones, counters."""

from __future__ import annotations

import asyncio
import json
import logging
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message, Receive, Scope, Send
from tests.fakes.twilio import ACCOUNT, TOKEN
from tests.support.fake_line import CONNECTED, start_message
from tests.support.rtc_client import RtcCaller
from tests.support.two_workers import Front, NamedHost, running
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect

from antiphon.channels.phone.twilio import Twilio, TwilioOptions
from antiphon.observe.metrics import Metrics
from antiphon.phone.config import PhoneConfig
from antiphon.phone.vendors import Company
from antiphon.providers.secret import Secret
from antiphon.server import forward as forward_module
from antiphon.server.board import Report
from antiphon.server.forward import OVER, Rooted, Taken
from antiphon.server.phone_service import PhoneService
from antiphon.server.route import path_prefix
from antiphon.server.settings import ServerSettings

PUBLIC = "https://voice.example.com"
IDLE, FULL = Report(0, room=True, ready=True), Report(9, room=False, ready=True)


@pytest.fixture
async def front(tmp_path: Path) -> AsyncIterator[Front]:
    async with running(tmp_path) as front:
        yield front


def host(front: Front, number: int) -> NamedHost:
    found = front.workers[number].host
    assert isinstance(found, NamedHost)
    return found


async def offer(client: httpx.AsyncClient, **more: object) -> httpx.Response:
    caller = RtcCaller()
    try:
        body = {"sdp": await caller.offer(), "type": "offer", **more}
        return await client.post("/api/voice/offer", json=body)
    finally:
        await caller.close()


# ---- calls -------------------------------------------------------------------------------------


async def test_a_call_is_hung_up_by_whichever_connection_asks(front: Front) -> None:
    async with front.client(1) as client:
        answer = (await offer(client)).json()
    assert answer["session_id"] == "w1_call_0001"
    ticket = {"session_id": answer["session_id"], "token": answer["token"]}
    async with front.client(0) as client:
        wrong = await client.post("/api/voice/hangup", json={**ticket, "token": "x"})
        assert (wrong.status_code, wrong.json()["error"]["type"]) == (403, "session_error")
        right = await client.post("/api/voice/hangup", json=ticket)
        assert (right.status_code, right.content) == (204, b"")
    assert host(front, 1).sessions[0].hung_up
    assert host(front, 0).sessions == []


async def test_a_call_goes_on_by_whichever_connection_asks(front: Front) -> None:
    async with front.client(1) as client:
        answer = (await offer(client)).json()
    ticket = {"session_id": answer["session_id"], "token": answer["token"]}
    async with front.client(0) as client:
        again = await offer(client, resume=ticket)
        assert again.status_code == 200, again.text
        assert again.json()["session_id"] == answer["session_id"]
        assert again.headers["x-content-type-options"] == "nosniff"
        assert again.headers.get_list("content-security-policy")[1:] == []
    assert len(host(front, 1).sessions) == 1


async def test_an_address_that_names_a_call_is_passed_on_as_it_is(front: Front) -> None:
    async with front.client(0) as client:
        here = await client.get("/api/voice/sessions/w0_call_00/%7Ex?a=%2F'|&session=w1_call_00")
        there = await client.get("/api/voice/sessions/w1_call_00/%7Ex?a=%2F'|")
    assert (here.status_code, there.status_code) == (404, 404)


async def test_a_call_of_a_worker_that_has_died_is_over(front: Front) -> None:
    front.workers[1].close()
    await asyncio.wait_for(front.workers[1].task, 20)
    async with front.client(0) as client:
        body = {"session_id": "w1_call_0001", "token": "x"}
        answer = await client.post("/api/voice/hangup", json=body)
        assert (answer.status_code, answer.json()["error"]["message"]) == (410, OVER)
        assert answer.json()["error"]["type"] == "session_error"
        answer = await client.get("/w1/twilio/status")
        assert answer.status_code == 503
        # There never was such a worker: it is this one's to say so.
        body["session_id"] = "w7_call_0001"
        assert (await client.post("/api/voice/hangup", json=body)).status_code == 403


async def test_another_sites_page_is_refused_by_the_worker_that_answers(front: Front) -> None:
    body = {"session_id": "w1_call_0001", "token": "x"}
    async with front.client(0) as client:
        strange = {"Origin": "https://evil.example"}
        answer = await client.post("/api/voice/hangup", json=body, headers=strange)
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "origin_error")
        for path in ("/metrics", "/readyz"):
            answer = await client.get(path, headers={"Host": "evil.example"})
            assert answer.status_code == 403
            assert "worker" not in answer.text


async def test_a_body_that_is_too_long_or_no_json(front: Front) -> None:
    async with front.client(0) as client:
        answer = await client.post("/api/voice/hangup", content=b"x" * 100_000)
        assert answer.status_code == 413
        answer = await client.post("/api/voice/sessions/w1_call_0f", content=b"x" * 100_000)
        assert answer.status_code == 413
        for body in (b"", b"{", b"[[", b"\xff"):
            assert (await client.post("/api/voice/hangup", content=body)).status_code == 400


async def test_a_new_call_goes_where_there_is_room(front: Front) -> None:
    host(front, 0).max_calls = 0
    async with front.client(0) as client:
        # Nothing is known of the other one yet.
        assert (await offer(client)).status_code == 503
        await front.board(FULL, IDLE)
        assert (await offer(client)).json()["session_id"].startswith("w1_")
        await front.board(FULL, FULL)
        assert (await offer(client)).json()["error"]["type"] == "capacity_error"
        # It was said to be there, and is not: then this one answers.
        await front.board(FULL, IDLE)
        front.workers[1].close()
        await asyncio.wait_for(front.workers[1].task, 20)
        assert (await offer(client)).json()["error"]["type"] == "capacity_error"


async def test_calls_over_one_connection_spread(front: Front) -> None:
    await front.board(IDLE, IDLE)
    async with front.client(0) as client:
        for _ in range(6):
            assert (await offer(client)).status_code == 200
    assert len(host(front, 0).sessions) in (3, 4)
    assert len(host(front, 1).sessions) in (2, 3)


async def test_what_the_front_has_just_chosen_stays(front: Front) -> None:
    """A worker's board is older than the front's: others may have calls that are not on it."""
    await front.board(IDLE, IDLE)
    for _ in range(4):
        async with front.client(0) as client:
            assert (await offer(client)).json()["session_id"].startswith("w0_")
            # The front has not chosen for what follows over the connection.
            assert (await client.get("/healthz")).status_code == 200
    url = f"ws://127.0.0.1:{front.port}/api/text"
    for number in (5, 6):
        async with connect(url, proxy=None) as socket:
            assert json.loads(await socket.recv())["type"] == "session.created"
            assert len(host(front, 0).sessions) == number
    assert host(front, 1).sessions == []


# ---- counters ----------------------------------------------------------------------------------


async def test_any_worker_tells_what_all_have_counted(front: Front) -> None:
    async with connect(f"ws://127.0.0.1:{front.port}/api/text", proxy=None):
        await front.board(IDLE, IDLE)
        async with front.client(1) as client:
            answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {one.name: one for one in text_string_to_metric_families(answer.text)}
    active = families["antiphon_calls_active"].samples
    assert {one.labels["worker"]: one.value for one in active} == {"0": 1.0, "1": 0.0}
    starts = families["antiphon_worker_starts"].samples
    assert {one.labels["worker"]: one.value for one in starts} == {"0": 1.0, "1": 1.0}


async def test_a_worker_that_does_not_answer_is_left_out(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward_module, "METRICS_S", 0.0)
    async with front.client(1) as client:
        text = (await client.get("/metrics")).text
    assert 'antiphon_calls_active{worker="1"}' in text
    assert 'antiphon_calls_active{worker="0"}' not in text


async def test_ready_says_how_many_are(front: Front) -> None:
    async with front.client(0) as client:
        answer = await client.get("/readyz")
        assert answer.text == "ready\n"
        for reports, status, text in (
            ((IDLE, None), 200, "ready: 1 of 2 workers\n"),
            ((IDLE, FULL), 200, "ready\n"),
        ):
            await front.board(*reports)
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.text) == (status, text)
        for worker in (0, 1):
            host(front, worker).ready = False
        await front.board(None, Report())
        assert (await client.get("/readyz")).status_code == 503


# ---- telephones --------------------------------------------------------------------------------


def telephone(number: int, host: NamedHost) -> PhoneService:
    options = TwilioOptions(account_sid=ACCOUNT, auth_token=Secret(TOKEN))
    base = PUBLIC + path_prefix(number)
    companies = {"twilio": Company(Twilio(options, base), options)}
    config = PhoneConfig(public_url=PUBLIC)
    return PhoneService(host, config, Metrics(), companies, path_prefix(number))


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Front]:
    settings = ServerSettings(drain_s=2, public_url=PUBLIC, public_paths=("/twilio/",))
    async with running(tmp_path, 2, telephone, settings) as front:
        yield front


async def post(
    client: httpx.AsyncClient, path: str, form: dict[str, str], *, key: str = TOKEN
) -> httpx.Response:
    """As Twilio would: to the public address, signed by its own library."""
    signature = RequestValidator(key).compute_signature(PUBLIC + path, form)
    headers = {"Host": "voice.example.com", "X-Twilio-Signature": signature}
    return await client.post(path, data=form, headers=headers)


async def test_what_is_said_of_a_telephone_call_reaches_the_worker_that_has_it(line: Front) -> None:
    form = {"CallSid": "CA1", "From": "+15550100", "To": "+15550199"}
    async with line.client(1) as client:
        answer = await post(client, "/twilio/voice", form)
    stream = ET.fromstring(answer.text).find("Connect/Stream")
    assert stream is not None
    assert stream.attrib["url"] == "wss://voice.example.com/w1/twilio/media"
    token = stream.find("Parameter[@name='token']")
    assert token is not None
    # The front brings it to the worker that is named; its handshake is signed as well.
    signature = RequestValidator(TOKEN).compute_signature(stream.attrib["url"], {})
    line.to = 1
    async with connect(
        "ws://voice.example.com/w1/twilio/media",
        host="127.0.0.1",
        port=line.port,
        additional_headers={"X-Twilio-Signature": signature},
        proxy=None,
    ) as media:
        await media.send(CONNECTED)
        await media.send(start_message(token.attrib["value"], "CA1"))
        async with asyncio.timeout(20):
            while not host(line, 1).sessions:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.005)
        session = host(line, 1).sessions[0]
        async with line.client(0) as client:
            path = f"/w1/twilio/whisper/{session.call_id}?x=a%20b"
            assert (await post(client, path, form)).status_code == 200
            assert (await post(client, path, form, key="another")).status_code == 403
            # The company's own address for news names nobody: all are told.
            done = {"CallSid": "CA1", "CallStatus": "completed"}
            assert (await post(client, "/twilio/status", done)).status_code == 204
        async with asyncio.timeout(20):
            await session.closed.wait()
    assert host(line, 0).sessions == []


async def test_a_new_telephone_call_goes_where_there_is_room(line: Front) -> None:
    host(line, 0).max_calls = 0
    await line.board(FULL, IDLE)
    async with line.client(0) as client:
        form = {"CallSid": "CA1", "From": "+15550100", "To": "+15550199"}
        answer = await post(client, "/twilio/voice", form)
    assert "/w1/twilio/media" in answer.text


async def test_by_the_public_name_only_public_paths_are_open(line: Front) -> None:
    async with line.client(0) as client:
        for path in ("/w1/metrics", "/w0/metrics", "/w1/api/agents", "/w1/w1/twilio/status"):
            answer = await client.get(path, headers={"Host": "voice.example.com"})
            assert answer.status_code in (403, 404), path
        assert (await client.get("/w1/healthz")).text == "ok\n"


async def test_a_worker_that_is_not_told_is_only_noted(
    line: Front, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    line.workers[1].close()
    await asyncio.wait_for(line.workers[1].task, 20)
    async with line.client(0) as client:
        done = {"CallSid": "CA1", "CallStatus": "completed"}
        assert (await post(client, "/twilio/status", done)).status_code == 204
        async with asyncio.timeout(20):
            while "worker 1 was not told" not in caplog.text:  # noqa: ASYNC110 - after the answer
                await asyncio.sleep(0.005)


# ---- parts -------------------------------------------------------------------------------------


async def test_a_body_is_read_once_and_given_again() -> None:
    sent: list[Message] = [
        {"type": "http.request", "body": b"ab", "more_body": True},
        {"type": "http.request", "body": b"cd"},
        {"type": "http.disconnect"},
    ]
    whole = list(sent)

    async def receive() -> Message:
        return sent.pop(0)

    taken = Taken(receive)
    assert await taken.whole(4) == b"abcd"
    assert await taken.whole(4) == b"abcd"
    assert [await taken.again() for _ in range(3)] == whole


async def test_a_body_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward_module, "BODY_S", 0.01)

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    assert await Taken(never).whole(4) is None

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    taken = Taken(gone)
    assert await taken.whole(4) is None
    assert (await taken.again())["type"] == "http.disconnect"


@pytest.mark.parametrize(
    ("path", "root"), [("/w1/twilio/media", "/w1"), ("/twilio/media", ""), ("/w1", "")]
)
async def test_a_prefix_is_where_the_application_is_mounted(path: str, root: str) -> None:
    found: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope)

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        pass

    await Rooted(app)({"type": "http", "path": path, "raw_path": path.encode()}, receive, send)
    assert (found[0].get("root_path", ""), found[0]["path"]) == (root, path)
