"""A call of each company, over the real HTTP server: its webhook signed as it signs, our document
read, the stream connected as the document says, and sound, keys, marks and a flush on it."""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import httpx
import pytest
from tests.fakes.plivo import FakePlivo
from tests.fakes.telnyx import FakeTelnyx
from tests.fakes.vonage import FakeVonage, make_key
from tests.support.company_rig import (
    CALLED,
    CALLER,
    PASSWORD,
    PLIVO_CALL,
    PUBLIC,
    SIGNER,
    Far,
    Message,
    begun,
    event,
    json_far,
    plivo_asks,
    plivo_far,
    received,
    running,
    talk,
    telnyx_asks,
    telnyx_far,
    until,
    vonage_asks,
    vonage_far,
)
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from antiphon.channels.base import CallFacts, TransferTarget
from antiphon.channels.phone.vendor import DialOrder


async def test_telnyx() -> None:
    async with running() as rig:
        document = await telnyx_asks(rig, "/telnyx/voice", From=CALLER, To=CALLED)
        far, url = telnyx_far(document)
        async with rig.open(url) as socket:
            session = await begun(rig, socket, far)
            assert session.line.facts.caller == CALLER
            assert session.line.facts.called == CALLED
            await talk(socket, session, far)
        await until(session.closed.is_set)
        async with rig.open(url) as socket:
            await socket.send(far.start)
            with pytest.raises(ConnectionClosed) as caught:
                await received(socket, lambda message: None)
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1008, "a token is good for one stream"


async def test_forged_and_replayed() -> None:
    async with running() as rig:
        body = b"CallSid=v3%3A1"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        headers = {**form, **SIGNER.headers(body, int(time.time()))}
        for wanted in (200, 403):
            answer = await rig.ask("POST", "/telnyx/voice", body, **headers)
            assert answer.status_code == wanted
        for name in ("telnyx", "vonage", "plivo", "exotel", "asterisk"):
            for path in ("voice", "status", "transfer/call_1", "answered/call_1"):
                refused = await rig.ask("POST", f"/{name}/{path}", body, **form)
                assert refused.status_code == 403, (name, path)
        answer = await rig.ask("POST", "/asterisk/voice?secret=word", b"")
        assert answer.status_code == 400


async def test_vonage() -> None:
    async with running() as rig:
        far, url = vonage_far(
            await vonage_asks(rig, "/vonage/voice", **{"from": CALLER[1:], "to": CALLED[1:]})
        )
        wrong = {"Authorization": "Bearer e30.e30.e30"}
        with pytest.raises(InvalidStatus):
            await rig.open(url, additional_headers=wrong)
        async with rig.open(url) as socket:
            session = await begun(rig, socket, far)
            assert session.output_rate_hz == 16_000
            assert session.line.facts.caller == CALLER
            assert session.line.facts.line_call_id == "u-1"
            await talk(socket, session, far)
        await until(session.closed.is_set)


async def test_plivo() -> None:
    async with running() as rig:
        answer = await plivo_asks(rig, "/plivo/voice", PLIVO_CALL)
        far, url = plivo_far(answer)
        async with rig.open(url) as socket:
            session = await begun(rig, socket, far)
            assert session.line.facts.caller == CALLER
            await talk(socket, session, far)
        await until(session.closed.is_set)


async def test_exotel() -> None:
    async with running() as rig:
        query = urlencode({"CallSid": "CA1", "CallFrom": CALLER, "CallTo": CALLED})
        refused = await rig.ask("GET", f"/exotel/voice?secret=no&{query}")
        answer = await rig.ask("GET", f"/exotel/voice?secret=word&{query}")
        assert (refused.status_code, answer.status_code) == (403, 200)
        url = answer.json()["url"]
        parameters = urlsplit(url).query
        assert len(parameters) <= 256, "what Exotel hands over"
        start = {
            "stream_sid": "MZ1",
            "call_sid": "CA1",
            "from": CALLER,
            "to": CALLED,
            "custom_parameters": {"token": httpx.URL(url).params["token"]},
            "media_format": {"sample_rate": "8000"},
        }
        far = json_far(start, b"\x00\x01" * 800, {"stream_sid": "MZ1"})
        async with rig.open(url) as socket:
            session = await begun(rig, socket, far)
            assert session.line.facts.caller == CALLER
            await talk(socket, session, far)
        await until(session.closed.is_set)
        bare = json.loads(str(far.start))
        bare["start"]["custom_parameters"] = {}
        address = f"{PUBLIC}/exotel/media"
        async with rig.open(address, additional_headers={"Authorization": PASSWORD}) as socket:
            await socket.send(json.dumps(bare))
            await until(lambda: len(rig.host.sessions) == 2)
            assert rig.host.sessions[-1].line.facts.called == CALLED
        await until(rig.host.sessions[-1].closed.is_set)
        async with rig.open(address) as socket:
            await socket.send(json.dumps(bare))
            with pytest.raises(ConnectionClosed):
                await received(socket, lambda message: None)


async def test_asterisk() -> None:
    async with running() as rig:
        start = {
            "event": "MEDIA_START",
            "connection_id": "antiphon",
            "channel_id": "1.1",
            "format": "ulaw",
            "optimal_frame_size": 160,
            "channel_variables": {"ANTIPHON_CALLER": CALLER, "ANTIPHON_CALLED": CALLED},
        }

        def marked(message: Message) -> Message | None:
            value = event(message, "command", "MARK_MEDIA")
            name = value["correlation_id"] if value else None
            back = {"event": "MEDIA_MARK_PROCESSED", "correlation_id": name}
            return json.dumps(back) if name else None

        def sound(message: Message) -> bytes | None:
            if not isinstance(message, bytes):
                return None
            assert len(message) % 160 == 0, "Asterisk drops what does not fill a frame"
            return message

        far = Far(
            json.dumps(start),
            b"\xff" * 160,
            '{"event":"DTMF_END","channel_id":"1.1","digit":"5"}',
            *(sound, marked),
            lambda message: event(message, "command", "FLUSH_MEDIA"),
        )
        address = f"{PUBLIC}/asterisk/media"
        with pytest.raises(InvalidStatus):
            await rig.open(address)
        async with rig.open(
            address,
            additional_headers={"Authorization": PASSWORD},
            subprotocols=[Subprotocol("media")],
        ) as socket:
            session = await begun(rig, socket, far)
            assert socket.subprotocol == "media"
            assert (session.agent, session.line.facts.caller) == ("Clinic", CALLER)
            await talk(socket, session, far)
        await until(session.closed.is_set)


# ---- calls that are made --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vonage", "plivo"])
async def test_who_fetches_the_document_of_a_call(name: str) -> None:
    private, public = make_key()
    fake: FakeVonage | FakePlivo = FakeVonage(public) if name == "vonage" else FakePlivo()
    async with fake, running(fake.http_url, private) as rig:
        variables = {"name": "Anna", "why": "a reminder " * 60}
        facts = CallFacts("outbound", CALLED, CALLER, variables=variables)
        vendor, stream = rig.service.companies[name].vendor, rig.service.stream_for("", facts, name)
        uuid = await vendor.dial(DialOrder(CALLER, CALLED, stream, f"{PUBLIC}/{name}/status"))
        if isinstance(fake, FakeVonage):
            (url,) = fake.bodies[-1]["answer_url"]
            far, url = vonage_far(await vonage_asks(rig, url, uuid=uuid))
        else:
            url = fake.bodies[-1]["answer_url"]
            far, url = plivo_far(await plivo_asks(rig, url, {"CallUUID": uuid}), uuid)
        async with rig.open(url) as socket:
            session = await begun(rig, socket, far)
            assert session.line.facts.direction == "outbound"
            assert session.line.facts.variables == variables
            assert session.line.facts.line_call_id == uuid
            await until(lambda: rig.service.session_for(uuid) is session)
        await until(session.closed.is_set)


# ---- passing a caller on -------------------------------------------------------------------


@pytest.mark.parametrize("taken", [True, False])
async def test_plivo_passes_a_caller_on(taken: bool) -> None:
    async with FakePlivo() as fake, running(fake.http_url) as rig:
        fake.calls.add("c-1")
        far, url = plivo_far(await plivo_asks(rig, "/plivo/voice", PLIVO_CALL))
        socket = await rig.open(url)
        session = await begun(rig, socket, far)
        target = TransferTarget("desk", "+15550009", message="Anna calls about a tooth.")
        passing = asyncio.create_task(session.line.transfer(target))
        await until(lambda: fake.bodies)
        result_url = fake.bodies[-1]["aleg_url"]
        await socket.close()
        call = {"CallUUID": "c-1", "CallStatus": "in-progress"}
        dial = ElementTree.fromstring(await plivo_asks(rig, result_url, call))[0]
        assert dial.findtext("Number") == "15550009"
        said = await plivo_asks(rig, dial.attrib["confirmSound"], call)
        assert ElementTree.fromstring(said)[0].text == target.message
        told = dial.attrib["callbackUrl"]
        await plivo_asks(rig, told, {**call, "DialAction": "answer"})
        assert not passing.done(), "whoever answers has not confirmed yet"
        if taken:
            await plivo_asks(rig, told, {**call, "DialAction": "connected"})
            assert (await passing).outcome == "connected"
            await plivo_asks(rig, result_url, {**call, "DialStatus": "completed"})
            session.hang_up("the caller has the person")
        else:
            await plivo_asks(rig, told, {**call, "DialAction": "hangup"})
            document = await plivo_asks(rig, result_url, {**call, "DialStatus": "no-answer"})
            far, url = plivo_far(document)
            async with rig.open(url) as again:
                await again.send(far.start)
                assert (await passing).outcome == "no_answer"
                session.say(5)
                await received(again, far.sound)
        await until(session.closed.is_set)
        assert len(rig.host.sessions) == 1


@pytest.mark.parametrize("taken", [True, False])
async def test_telnyx_passes_a_caller_on(taken: bool) -> None:
    async with FakeTelnyx() as fake, running(fake.http_url) as rig:
        fake.calls["v3:1"] = {}
        document = await telnyx_asks(rig, "/telnyx/voice", From=CALLER, To=CALLED)
        far, url = telnyx_far(document)
        socket = await rig.open(url)
        session = await begun(rig, socket, far)
        target = TransferTarget("desk", "+15550009", message="Anna calls about a tooth.")
        passing = asyncio.create_task(session.line.transfer(target))
        await until(lambda: fake.bodies)
        dial = ElementTree.fromstring(fake.bodies[-1]["Texml"])[0]
        await socket.close()
        gather = ElementTree.fromstring(await telnyx_asks(rig, dial[0].attrib["url"]))[0]
        assert gather.findtext("Say") == target.message
        accept = gather.attrib["action"]
        if taken:
            assert "Hangup" not in await telnyx_asks(rig, accept, Digits="1")
            assert (await passing).outcome == "connected"
            session.hang_up("the caller has the person")
        else:
            assert "Hangup" in await telnyx_asks(rig, accept, Digits="")
            assert not passing.done()
            action = dial.attrib["action"]
            far, url = telnyx_far(await telnyx_asks(rig, action, DialCallStatus="no-answer"))
            async with rig.open(url) as again:
                await again.send(far.start)
                assert (await passing).outcome == "no_answer"
                session.say(5)
                await received(again, far.sound)
        await until(session.closed.is_set)


@pytest.mark.parametrize("taken", [True, False])
async def test_vonage_passes_a_caller_on(taken: bool) -> None:
    private, public = make_key()
    async with FakeVonage(public) as fake, running(fake.http_url, private) as rig:
        fake.calls.add("u-1")
        ncco = await vonage_asks(rig, "/vonage/voice", **{"from": "1", "to": "2"})
        far, url = vonage_far(ncco)
        socket = await rig.open(url)
        session = await begun(rig, socket, far)
        warm = await session.line.transfer(TransferTarget("desk", "+15550009", message="Hi."))
        assert warm.outcome == "failed"
        passing = asyncio.create_task(session.line.transfer(TransferTarget("desk", "+15550009")))
        await until(lambda: fake.bodies)
        (result_url,) = fake.bodies[-1]["destination"]["ncco"][0]["eventUrl"]
        await socket.close()
        assert await vonage_asks(rig, result_url, status="ringing") == ""
        assert not passing.done()
        if taken:
            assert await vonage_asks(rig, result_url, status="answered") == ""
            assert (await passing).outcome == "connected"
            assert json.loads(await vonage_asks(rig, result_url, status="completed")) == []
            session.hang_up("the caller has the person")
        else:
            far, url = vonage_far(await vonage_asks(rig, result_url, status="timeout"))
            async with rig.open(url) as again:
                await again.send(far.start)
                assert (await passing).outcome == "no_answer"
                session.say(5)
                await received(again, far.sound)
        await until(session.closed.is_set)
