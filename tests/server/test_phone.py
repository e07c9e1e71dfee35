"""Webhooks and media streams, over the real HTTP server."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import uvicorn
from tests.fakes.twilio import ACCOUNT, TOKEN, FakeTwilio, fake_twilio
from tests.support.fake_line import (
    CONNECTED,
    STOP,
    LineHost,
    LineSession,
    media_message,
    start_message,
)
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from antiphon.channels.base import CallFacts, TransferResult, TransferTarget
from antiphon.channels.phone import stream as stream_module
from antiphon.channels.phone.twilio import Twilio, TwilioOptions
from antiphon.channels.phone.vendor import Status
from antiphon.errors import UserFacingError
from antiphon.observe.metrics import Metrics
from antiphon.phone.config import PhoneConfig
from antiphon.phone.vendors import Company
from antiphon.providers.secret import Secret
from antiphon.server import phone_service as service_module
from antiphon.server.app import create_app
from antiphon.server.phone_service import PhoneService
from antiphon.server.run import http_config, listen
from antiphon.server.settings import ServerSettings

PUBLIC = "https://voice.example.com"
SILENCE = b"\xff" * 160


@dataclass
class Rig:
    """A server with Twilio, and what talks to it."""

    host: LineHost
    service: PhoneService
    metrics: Metrics
    client: httpx.AsyncClient
    port: int
    fake: FakeTwilio
    sockets: list[ClientConnection] = field(default_factory=list)
    calls: int = 0

    async def post(
        self, path: str, form: dict[str, str], *, signature: str | None = None
    ) -> httpx.Response:
        """As Twilio would: to the public address, signed."""
        signer = RequestValidator(TOKEN)
        headers = {"Host": "voice.example.com"}
        if signature is None:
            signature = signer.compute_signature(PUBLIC + path, form)
        if signature:
            headers["X-Twilio-Signature"] = signature
        return await self.client.post(path, data=form, headers=headers)

    async def token(self, sid: str = "", called: str = "+15550199") -> str:
        """The token of a new call."""
        self.calls += 1
        form = {"CallSid": sid or f"CA{self.calls}", "From": "+15550100", "To": called}
        answer = await self.post("/twilio/voice", form)
        assert answer.status_code == 200, answer.text
        return token_in(answer.text)

    async def open(self, **headers: str) -> ClientConnection:
        url = "ws://voice.example.com/twilio/media"
        socket = await connect(
            url, host="127.0.0.1", port=self.port, additional_headers=headers, proxy=None
        )
        self.sockets.append(socket)
        return socket

    async def begin(
        self, sid: str = "", called: str = "+15550199"
    ) -> tuple[ClientConnection, LineSession]:
        """A call, its stream begun."""
        token = await self.token(sid, called)
        count = len(self.host.sessions)
        socket = await self.open()
        await socket.send(CONNECTED)
        await socket.send(start_message(token, sid or f"CA{self.calls}"))
        await until(lambda: len(self.host.sessions) > count)
        session = self.host.sessions[-1]
        await until(lambda: self.service.call(session.call_id) is not None)
        return socket, session

    def refused(self, reason: str) -> float:
        labels = {"vendor": "twilio", "reason": reason}
        name = "antiphon_phone_requests_refused_total"
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def token_in(document: str) -> str:
    found = ET.fromstring(document).find("Connect/Stream/Parameter[@name='token']")
    assert found is not None, document
    return found.attrib["value"]


async def until(true: Any, timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def closed(socket: ClientConnection) -> int:
    """The code that the server closes with; what comes before is dropped."""
    async with asyncio.timeout(20):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as error:
            return error.rcvd.code if error.rcvd else 1006


async def events(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(20):
        return [json.loads(await socket.recv()) for _ in range(count)]


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeTwilio]:
    with fake_twilio() as one:
        yield one


@asynccontextmanager
async def running(fake: FakeTwilio, host: LineHost) -> AsyncIterator[Rig]:
    options = TwilioOptions(
        account_sid=ACCOUNT,
        auth_token=Secret(TOKEN),
        numbers={"+1 555 0188": "Clinic"},
        base_url=fake.url,
    )
    config = PhoneConfig(public_url=PUBLIC)
    metrics = Metrics()
    companies = {"twilio": Company(Twilio(options, PUBLIC), options)}
    service = PhoneService(host, config, metrics, companies)
    settings = ServerSettings(port=0, public_url=PUBLIC, public_paths=("/twilio/",))
    listener = listen(settings)
    server = uvicorn.Server(http_config(create_app(host, settings, metrics, service)))
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve([listener]))
    await until(lambda: server.started)
    port = listener.getsockname()[1]
    fake.asked.clear()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        rig = Rig(host, service, metrics, client, port, fake)
        try:
            yield rig
        finally:
            for socket in rig.sockets:
                await socket.close()
            server.should_exit = True
            async with asyncio.timeout(20):
                await task
            listener.close()
    assert all(session.closed.is_set() for session in host.sessions)


@pytest.fixture
async def rig(fake: FakeTwilio) -> AsyncIterator[Rig]:
    async with running(fake, LineHost()) as one:
        yield one


# ---- webhooks ----------------------------------------------------------------------------------


async def test_a_call_is_connected_to_our_stream(rig: Rig) -> None:
    form = {"CallSid": "CA1", "From": "+15550100", "To": "+15550199"}
    answer = await rig.post("/twilio/voice", form)
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    found = ET.fromstring(answer.text).find("Connect/Stream")
    assert found is not None
    assert found.attrib["url"] == "wss://voice.example.com/twilio/media"
    assert token_in(answer.text)


async def test_a_forged_request_gets_403_and_is_counted(rig: Rig) -> None:
    form = {"CallSid": "CA1"}
    for signature, reason in (("", "unsigned"), ("bm9uZQ==", "forged")):
        answer = await rig.post("/twilio/voice", form, signature=signature)
        assert (answer.status_code, rig.refused(reason)) == (403, 1)
    assert (await rig.post("/twilio/status", form, signature="x")).status_code == 403
    assert rig.refused("forged") == 2


async def test_a_replayed_and_a_stale_request(rig: Rig) -> None:
    form = {"CallSid": "CA1"}
    assert (await rig.post("/twilio/voice", form)).status_code == 200
    assert (await rig.post("/twilio/voice", form)).status_code == 403
    old = {"CallSid": "CA1", "Timestamp": "Mon, 16 Nov 2020 10:00:00 +0000"}
    assert (await rig.post("/twilio/status", old)).status_code == 403
    assert (rig.refused("replayed"), rig.refused("stale")) == (1, 1)


async def test_a_request_that_is_not_understood(rig: Rig) -> None:
    answer = await rig.post("/twilio/voice", {"From": "+15550100"})
    assert answer.status_code == 400
    assert "CallSid" in answer.json()["error"]["message"]
    assert (await rig.post("/twilio/status", {"What": "else"})).status_code == 204


async def test_too_large_and_too_many(rig: Rig) -> None:
    large = await rig.post("/twilio/voice", {"CallSid": "x" * 100_000})
    assert large.status_code == 413
    many = await rig.post("/twilio/voice", {f"a{n}": "" for n in range(600)})
    assert many.status_code == 400


async def test_a_full_server_says_so(fake: FakeTwilio) -> None:
    async with running(fake, LineHost(max_calls=0)) as rig:
        answer = await rig.post("/twilio/voice", {"CallSid": "CA1"})
        assert answer.status_code == 200
        said = ET.fromstring(answer.text)
        assert [one.tag for one in said] == ["Say", "Hangup"]
        assert "in use" in str(said[0].text)


async def test_only_the_telephones_paths_are_open_by_the_public_name(rig: Rig) -> None:
    headers = {"Host": "voice.example.com"}
    for path in ("/", "/api/agents", "/metrics", "/healthz"):
        assert (await rig.client.get(path, headers=headers)).status_code == 403
    assert (await rig.client.get("/healthz")).status_code == 200


async def test_numbers_belong_to_agents(rig: Rig) -> None:
    _, other = await rig.begin(called="+15550188")
    _, first = await rig.begin(called="+15550199")
    assert (other.agent, first.agent) == ("Clinic", "Cafe")


async def test_an_agent_who_is_not_here() -> None:
    options = TwilioOptions(account_sid="AC1", auth_token=Secret("x"), numbers={"+1": "Nobody"})
    companies = {"twilio": Company(Twilio(options, PUBLIC), options)}
    with pytest.raises(UserFacingError, match="Nobody"):
        PhoneService(LineHost(), PhoneConfig(), Metrics(), companies)


# ---- who may stream ----------------------------------------------------------------------------


async def test_a_stream_without_a_token_or_with_another(rig: Rig) -> None:
    for token, reason in (("", "unsigned"), ("x.y", "forged")):
        socket = await rig.open()
        await socket.send(start_message(token))
        assert await closed(socket) == 1008
        assert rig.refused(reason) == 1
    assert not rig.host.sessions


async def test_a_token_admits_once(rig: Rig) -> None:
    token = await rig.token()
    first, second = await rig.open(), await rig.open()
    await first.send(start_message(token))
    await until(lambda: rig.host.sessions)
    await second.send(start_message(token))
    assert await closed(second) == 1008
    assert (rig.refused("replayed"), len(rig.host.sessions)) == (1, 1)


async def test_a_token_of_long_ago(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = rig.service.stream_for("", CallFacts(), "twilio", ttl_s=-1.0)
    socket = await rig.open()
    await socket.send(start_message(stream.token))
    assert await closed(socket) == 1008
    assert rig.refused("stale") == 1


async def test_a_signed_handshake_is_verified(rig: Rig) -> None:
    signer = RequestValidator(TOKEN)
    good = signer.compute_signature("wss://voice.example.com/twilio/media", {})
    token = await rig.token()
    with pytest.raises(InvalidStatus) as caught:
        await rig.open(**{"X-Twilio-Signature": "bm9uZQ=="})
    assert caught.value.response.status_code == 403
    assert rig.refused("forged") == 1
    socket = await rig.open(**{"X-Twilio-Signature": good})
    await socket.send(start_message(token))
    await until(lambda: rig.host.sessions)


@pytest.mark.parametrize(
    "first", ["garbage", STOP, media_message(SILENCE), b"\xff\x00", '{"event":"start"}']
)
async def test_a_stream_that_begins_with_anything_else(rig: Rig, first: str | bytes) -> None:
    socket = await rig.open()
    await socket.send(first)
    assert await closed(socket) == 1008
    assert rig.refused("forged") == 1


async def test_a_stream_that_says_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "FIRST_WORD_S", 0.05)
    socket = await rig.open()
    await socket.send(CONNECTED)
    assert await closed(socket) == 1008


async def test_a_stream_that_closes_at_once(rig: Rig) -> None:
    socket = await rig.open()
    await socket.close()
    await until(lambda: rig.refused("forged") == 1)


async def test_strangers_are_few(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "MAX_STRANGERS", 1)
    token = await rig.token()
    await rig.open()
    with pytest.raises(InvalidStatus):
        await rig.open()
    await rig.sockets[0].close()
    await until(lambda: rig.service._strangers == 0)
    socket = await rig.open()
    await socket.send(start_message(token))
    await until(lambda: rig.host.sessions)


# ---- the call ----------------------------------------------------------------------------------


async def test_sound_and_keys_come_in(rig: Rig) -> None:
    socket, session = await rig.begin("CA77")
    assert session.line.facts == CallFacts("inbound", "+15550100", "+15550199", "CA77")
    assert (session.line.channel, session.line.output_rate_hz) == ("twilio", 8000)
    for number in range(10):
        await socket.send(media_message(SILENCE, number + 1))
    await socket.send('{"event":"dtmf","dtmf":{"track":"inbound_track","digit":"4"}}')
    await until(lambda: session.keys)
    assert session.keys == ["4"]
    assert len(session.audio) in (9, 10)
    assert rig.service.call_for("CA77") is session.line
    assert rig.service.session_for("CA77") is session


async def test_sound_goes_out_with_marks_that_tell_what_was_heard(rig: Rig) -> None:
    socket, session = await rig.begin()
    session.say(12)
    out = await events(socket, 5)
    assert [one["event"] for one in out[:2]] == ["media", "mark"]
    assert all(one["streamSid"] == "MZ1" for one in out)
    marks = [one["mark"]["name"] for one in out if one["event"] == "mark"]
    assert session.heard == [] or session.heard[-1] <= 5
    await socket.send(json.dumps({"event": "mark", "mark": {"name": marks[0]}}))
    await until(lambda: session.heard and session.heard[-1] >= 5)
    await until(lambda: session.heard[-1] == 12)
    sound = [one["media"]["payload"] for one in out if one["event"] == "media"]
    assert sum(len(base64.b64decode(one)) for one in sound) <= 12 * 160


async def test_an_interruption_clears_at_once(rig: Rig) -> None:
    socket, session = await rig.begin()
    session.say(100)
    await events(socket, 3)
    session.frames.clear()
    session.line.clear()
    async with asyncio.timeout(20):
        while json.loads(await socket.recv())["event"] != "clear":
            pass
    heard = session.heard[-1] if session.heard else 0
    await asyncio.sleep(0.1)
    assert (session.heard[-1] if session.heard else 0) - heard <= 1


async def test_keys_go_out_as_tones(rig: Rig) -> None:
    socket, session = await rig.begin()
    session.line.press("1w#")
    sound = b""
    async with asyncio.timeout(20):
        while len(sound) < 8000 * 0.82:
            message = json.loads(await socket.recv())
            if message["event"] == "media":
                sound += base64.b64decode(message["media"]["payload"])
    assert session.heard == []


async def test_the_caller_hangs_up(rig: Rig) -> None:
    socket, session = await rig.begin()
    await socket.send(STOP)
    await until(session.closed.is_set)
    assert session.hung_up[0] == "caller hung up"
    other, session = await rig.begin()
    await other.close()
    await until(session.closed.is_set)
    assert session.hung_up[0] == "caller hung up"
    await until(lambda: not rig.service._calls)
    assert not rig.service._by_line
    assert not rig.fake.asked


async def test_the_agent_hangs_up(rig: Rig) -> None:
    socket, session = await rig.begin()
    session.hang_up("the agent said goodbye")
    assert await closed(socket) == 1000
    await until(session.closed.is_set)
    # Closing the stream ends a call of Twilio's: nothing is to be asked for.
    assert not rig.fake.asked


async def test_the_company_says_that_the_call_is_over(rig: Rig) -> None:
    _, session = await rig.begin("CA9")
    form = {"CallSid": "CA9", "CallStatus": "completed", "CallDuration": "3"}
    assert (await rig.post("/twilio/status", form)).status_code == 204
    await until(session.closed.is_set)
    assert session.hung_up[0] == "caller hung up"


async def test_garbage_in_the_middle(rig: Rig) -> None:
    socket, session = await rig.begin()
    for message in ("garbage", "[]", b"\x00\xff", '{"event":"media","media":{"payload":"*"}}'):
        await socket.send(message)
    await socket.send(media_message(SILENCE * 20))
    await until(lambda: session.audio)
    assert not session.hung_up
    for _ in range(30):
        await socket.send("garbage")
    assert await closed(socket) == 1008
    await until(session.closed.is_set)


async def test_a_message_of_100_kb(rig: Rig) -> None:
    socket, session = await rig.begin()
    await socket.send("x" * 100_000)
    assert await closed(socket) == 1009
    await until(session.closed.is_set)


async def test_a_dead_line(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "DEAD_LINE_S", 0.05)
    _, session = await rig.begin()
    await until(session.closed.is_set)
    assert session.hung_up[0] == "the line is dead"


async def test_the_server_stops(rig: Rig) -> None:
    socket, session = await rig.begin()
    async with asyncio.timeout(20):
        await rig.service.aclose()
    assert session.closed.is_set()
    assert await closed(socket) == 1000


async def test_no_line_is_free_when_the_stream_comes(rig: Rig) -> None:
    token = await rig.token()
    rig.host.max_calls = 0
    socket = await rig.open()
    await socket.send(start_message(token))
    assert await closed(socket) == 1013


async def test_what_becomes_of_a_call_is_told_to_who_listens(rig: Rig) -> None:
    form = {"CallSid": "CA5", "CallStatus": "ringing"}
    await rig.post("/twilio/status", form)
    told: list[Status] = []
    stop = rig.service.subscribe("CA5", told.append)
    assert [one.status for one in told] == ["ringing"]
    await rig.post("/twilio/machine", {"CallSid": "CA5", "AnsweredBy": "machine_end_beep"})
    assert told[1].machine_is_listening
    stop()
    await rig.post("/twilio/status", {"CallSid": "CA5", "CallStatus": "completed"})
    assert len(told) == 2


# ---- passing on --------------------------------------------------------------------------------

DESK = TransferTarget("desk", "+15550177", ring_s=20)
WARM = TransferTarget("desk", "+15550177", ring_s=20, message="Somebody wants cake.")


async def passing_on(rig: Rig, target: TransferTarget) -> tuple[LineSession, Any]:
    """A call whose stream the company has closed, because it rings a person."""
    socket, session = await rig.begin()
    task = asyncio.create_task(session.line.transfer(target))
    await until(lambda: rig.fake.asked)
    await socket.send(STOP)
    await socket.close()
    await asyncio.sleep(0.02)
    assert not session.hung_up
    return session, task


def dialed(rig: Rig) -> ET.Element:
    found = ET.fromstring(rig.fake.asked[-1][1]["Twiml"][0]).find("Dial")
    assert found is not None
    return found


async def test_the_person_answers(rig: Rig) -> None:
    session, task = await passing_on(rig, DESK)
    number = dialed(rig)[0]
    assert (number.text, dialed(rig).attrib["callerId"]) == ("+15550177", "+15550199")
    path = number.attrib["statusCallback"].removeprefix(PUBLIC)
    form = {"CallSid": "CA100", "CallStatus": "in-progress"}
    assert (await rig.post(path, form)).status_code == 204
    assert await task == TransferResult("connected")
    session.hang_up("passed on")
    await until(session.closed.is_set)
    path = dialed(rig).attrib["action"].removeprefix(PUBLIC)
    answer = await rig.post(path, {"DialCallStatus": "completed"})
    assert "<Hangup/>" in answer.text
    assert len(rig.fake.asked) == 1


async def test_nobody_answers_and_the_agent_goes_on(rig: Rig) -> None:
    session, task = await passing_on(rig, DESK)
    path = dialed(rig).attrib["action"].removeprefix(PUBLIC)
    answer = await rig.post(path, {"DialCallStatus": "no-answer"})
    token = token_in(answer.text)
    await asyncio.sleep(0.02)
    assert not task.done()
    socket = await rig.open()
    await socket.send(start_message(token, f"CA{rig.calls}", "MZ2"))
    assert await task == TransferResult("no_answer", "no-answer")
    session.say(3)
    assert (await events(socket, 1))[0]["streamSid"] == "MZ2"
    await socket.send(media_message(SILENCE * 3))
    await until(lambda: session.audio)
    assert len(rig.host.sessions) == 1
    await socket.close()
    await until(session.closed.is_set)
    assert session.hung_up[0] == "caller hung up"


async def test_a_person_who_is_told_first_accepts(rig: Rig) -> None:
    session, task = await passing_on(rig, WARM)
    number = dialed(rig)[0]
    assert "statusCallback" not in number.attrib
    path = number.attrib["url"].removeprefix(PUBLIC)
    whisper = ET.fromstring((await rig.post(path, {"CallSid": "CA100"})).text)
    gather = whisper.find("Gather")
    assert gather is not None
    assert gather[0].text == "Somebody wants cake."
    assert not task.done()
    path = gather.attrib["action"].removeprefix(PUBLIC)
    answer = await rig.post(path, {"CallSid": "CA100", "Digits": "1"})
    assert "<Hangup/>" not in answer.text
    assert await task == TransferResult("connected")
    session.hang_up("passed on")


async def test_the_company_refuses_to_pass_on(rig: Rig) -> None:
    socket, session = await rig.begin()
    rig.fake.failures.append((400, {"code": 21220, "message": "Call is not in-progress."}))
    result = await session.line.transfer(DESK)
    assert result.outcome == "failed"
    assert "not in-progress" in result.detail
    session.say(1)
    assert (await events(socket, 1))[0]["event"] == "media"


async def test_the_caller_hangs_up_while_it_rings(rig: Rig) -> None:
    session, task = await passing_on(rig, DESK)
    await rig.post("/twilio/status", {"CallSid": f"CA{rig.calls}", "CallStatus": "completed"})
    await until(session.closed.is_set)
    assert (await task).outcome == "failed"


async def test_the_stream_does_not_come_back(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "RESUME_S", 0.05)
    session, task = await passing_on(rig, DESK)
    path = dialed(rig).attrib["action"].removeprefix(PUBLIC)
    await rig.post(path, {"DialCallStatus": "busy"})
    await until(session.closed.is_set)
    assert (await task).outcome == "failed"
    assert session.hung_up[0] == "the line did not come back"
    # The company may still hold the caller.
    assert rig.fake.asked[-1][1] == {"Status": ["completed"]}


async def test_the_company_never_tells(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "TRANSFER_MARGIN_S", 0.5)
    monkeypatch.setattr(stream_module, "RESUME_S", 0.05)
    session, task = await passing_on(rig, TransferTarget("desk", "+1", ring_s=0))
    assert (await task).outcome == "failed"
    await until(session.closed.is_set)


async def test_a_transfer_of_a_call_that_is_not_there(rig: Rig) -> None:
    answer = await rig.post("/twilio/transfer/call_99", {"DialCallStatus": "busy"})
    assert "<Hangup/>" in answer.text
    assert (await rig.post("/twilio/answered/call_99", {})).status_code == 204
    stream = rig.service.stream_for("", CallFacts(), "twilio", resume="call_99")
    socket = await rig.open()
    await socket.send(start_message(stream.token))
    assert await closed(socket) == 1000


async def test_no_private_words_in_logs(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    socket, session = await rig.begin()
    await socket.send('{"event":"dtmf","dtmf":{"digit":"7"}}')
    await until(lambda: session.keys)
    await socket.send(STOP)
    await until(session.closed.is_set)
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("antiphon")]
    assert not [one for one in ours if re.search(r"\+1555|digit", one)]
