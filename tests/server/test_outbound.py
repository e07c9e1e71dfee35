"""Outbound calls as an API: over ASGI with a scripted line, once with Twilio's REST and stream."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from tests.fakes.twilio import ACCOUNT, TOKEN, FakeTwilio, fake_twilio
from tests.support.fake_host import FakeHost
from tests.support.fake_line import CONNECTED, LineHost, start_message
from tests.support.scripted_line import ScriptedLine
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect

from antiphon.channels.phone.twilio import Twilio, TwilioOptions
from antiphon.errors import ConfigError, ProviderError, UserFacingError
from antiphon.observe.metrics import Metrics
from antiphon.phone.config import OutboundConfig, PhoneConfig
from antiphon.phone.vendors import Company
from antiphon.providers.secret import Secret
from antiphon.server.app import create_app
from antiphon.server.outbound import Outbound
from antiphon.server.outbound_setup import outbound_for
from antiphon.server.phone_service import PhoneService
from antiphon.server.run import http_config, listen
from antiphon.server.settings import ServerSettings

NOON_S = datetime(2026, 3, 2, 10, 0, tzinfo=UTC).timestamp()
KEY = "a-key-of-the-test"
AUTH = {"Authorization": f"Bearer {KEY}"}
ANNA = "+4930111111"
PUBLIC = "https://voice.example.com"
SETTINGS: dict[str, Any] = {
    "vendor": "scripted",
    "sender": "+4930999999",
    "countries": ("DE",),
    "per_number_per_day": 2,
    "at_once": 50,
}


@dataclass
class Rig:
    outbound: Outbound
    line: ScriptedLine
    client: httpx.AsyncClient
    clock: list[float] = field(default_factory=lambda: [NOON_S])

    async def call(self, to: str = ANNA, **more: Any) -> httpx.Response:
        headers = more.pop("headers", {})
        return await self.client.post("/v1/calls", json={"to": to, **more}, headers=headers)

    async def campaign(self, data: str, **query: Any) -> httpx.Response:
        headers = {"Content-Type": "text/csv"}
        return await self.client.post("/v1/campaigns", content=data, params=query, headers=headers)


@asynccontextmanager
async def opened(folder: Path, **settings: Any) -> AsyncIterator[Rig]:
    line, clock, host = ScriptedLine(), [NOON_S], FakeHost()
    config = OutboundConfig.model_validate(SETTINGS | settings)
    outbound = Outbound(config, line, host.check, folder, lambda: clock[0])
    app = create_app(host, ServerSettings(), Metrics(), outbound=outbound)
    await outbound.campaigns.start()
    transport = httpx.ASGITransport(app)
    base = "http://localhost:8080"
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=AUTH) as client:
        yield Rig(outbound, line, client, clock)
    await outbound.aclose()
    await app.state.voice.aclose()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_API_KEY", KEY)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with opened(tmp_path) as made:
        yield made


# ---- who may ask -------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {KEY}", "Bearer \xfc"])
async def test_without_the_key_nothing_is_answered(rig: Rig, given: str) -> None:
    for method, path in (
        ("POST", "/v1/calls"),
        ("GET", "/v1/calls"),
        ("GET", "/v1/calls/x"),
        ("POST", "/v1/calls/x/hangup"),
        ("POST", "/v1/campaigns"),
        ("GET", "/v1/campaigns"),
        ("GET", "/v1/campaigns/x"),
        ("GET", "/v1/campaigns/x/results.csv"),
        ("POST", "/v1/campaigns/x/cancel"),
    ):
        headers = [(b"Authorization", given.encode("latin-1"))]
        answer = await rig.client.request(method, path, headers=headers)
        assert answer.status_code == 401, path
        assert answer.json()["error"]["type"] == "authentication_error"


async def test_without_a_key_on_the_server_nobody_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_API_KEY", "")
    async with opened(tmp_path) as rig:
        answer = await rig.call()
        assert answer.status_code == 403
        assert "Set ANTIPHON_API_KEY" in answer.json()["error"]["message"]
        assert not rig.line.calls


async def test_a_server_that_makes_no_calls_says_what_to_do() -> None:
    app = create_app(FakeHost(), ServerSettings(), Metrics())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.post("/v1/calls", json={"to": ANNA}, headers=AUTH)
    assert answer.status_code == 404
    assert "phone.yaml" in answer.json()["error"]["message"]
    await app.state.voice.aclose()


# ---- calls -------------------------------------------------------------------------------------


async def test_a_call(rig: Rig) -> None:
    answer = await rig.call("+49 30 111111", agent="Clinic", variables={"name": "Anna"})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["to"], made["agent"], made["state"]) == (ANNA, "Clinic", "queued")
    assert answer.headers["location"] == f"/v1/calls/{made['id']}"
    assert rig.line.calls[0].variables == {"name": "Anna"}
    rig.line.say(0, "ringing", "answered")
    rig.clock[0] += 30
    rig.line.say(0, "completed")
    seen = (await rig.client.get(answer.headers["location"])).json()
    assert (seen["state"], seen["duration_s"]) == ("completed", 30)
    listed = (await rig.client.get("/v1/calls?limit=5")).json()["calls"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert (await rig.client.get("/v1/calls/none")).status_code == 404


async def test_hanging_up(rig: Rig) -> None:
    made = (await rig.call()).json()
    answer = await rig.client.post(f"/v1/calls/{made['id']}/hangup")
    assert answer.status_code == 200
    assert rig.line.hung_up == ["c0"]
    assert (await rig.client.post("/v1/calls/none/hangup")).status_code == 404


@pytest.mark.parametrize(
    ("to", "status", "rule"),
    [
        ("030 1234", 400, "bad_number"),
        ("+12125550123", 403, "country"),
        ("112", 403, "emergency"),
        ("+499001123456", 403, "premium"),
    ],
)
async def test_a_refused_call_names_the_rule(rig: Rig, to: str, status: int, rule: str) -> None:
    answer = await rig.call(to)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["rule"]) == (status, "refused", rule)
    assert error["message"].startswith(f"{rule}: ")
    seen = (await rig.client.get(f"/v1/calls/{error['call_id']}")).json()
    assert (seen["state"], seen["rule"]) == ("refused", rule)


async def test_quiet_hours_and_limits(rig: Rig) -> None:
    for _ in range(2):
        assert (await rig.call()).status_code == 201
    answer = await rig.call()
    assert (answer.status_code, answer.json()["error"]["rule"]) == (429, "per_number")
    rig.clock[0] += 12 * 3600
    answer = await rig.call("+4930222222")
    assert answer.status_code == 403
    message = answer.json()["error"]["message"]
    assert message == "quiet_hours: it is 23:00 in Berlin; from Tue 09:00 on."


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"to": 5}',
        b'{"to": "+4930111111", "from": "+1"}',
        b'{"to": "+4930111111", "variables": {"a b": "c"}}',
        b'{"to": "+4930111111", "agent": "Nobody"}',
        b'{"to": "+4930111111", "variables": {"a": "' + b"x" * 1001 + b'"}}',
    ],
)
async def test_bodies_that_are_no_order(rig: Rig, body: bytes) -> None:
    answer = await rig.client.post("/v1/calls", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
    assert not rig.line.calls


async def test_a_line_that_does_not_take_it(rig: Rig) -> None:
    rig.line.fails = [ProviderError("no credit", provider="x", retryable=False, status=402)]
    answer = await rig.call()
    assert answer.status_code == 502
    assert "no credit" in answer.json()["error"]["message"]


async def test_an_order_with_a_key_is_safe_to_repeat(rig: Rig, tmp_path: Path) -> None:
    headers = {"Idempotency-Key": "order-17"}
    answers = await asyncio.gather(*(rig.call(headers=headers) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(rig.line.calls) == 1
    other = await rig.call("+4930222222", headers=headers)
    assert other.status_code == 422
    # After a restart the order is still known.
    async with opened(tmp_path) as later:
        answer = await later.call(headers=headers)
        assert answer.status_code == 409
        assert answer.json()["error"]["call_id"] == answers[0].json()["id"]
        assert not later.line.calls


async def test_a_refused_order_may_be_made_again_with_its_key(rig: Rig) -> None:
    headers = {"Idempotency-Key": "order-18"}
    rig.clock[0] += 12 * 3600
    assert (await rig.call(headers=headers)).status_code == 403
    rig.clock[0] += 12 * 3600
    assert (await rig.call(headers=headers)).status_code == 201


# ---- campaigns ---------------------------------------------------------------------------------


async def settled(rig: Rig) -> None:
    while tasks := set(rig.outbound.campaigns._tasks):
        await asyncio.wait(tasks)


async def test_a_campaign(rig: Rig) -> None:
    data = "to,name\n+49 30 111111,Anna\n+4930222222,Bert\n+4930111111,Again\n"
    query = {"name": "Spring", "pace_per_minute": 600, "at_once": 2, "retries": 1}
    answer = await rig.campaign(data, **query)
    assert answer.status_code == 201
    made = answer.json()
    assert (made["name"], made["state"], made["rows"]) == ("Spring", "running", 2)
    assert made["duplicate_lines"] == [4]
    path = answer.headers["location"]
    for _ in range(2):
        rig.clock[0] += 1
        await rig.outbound.campaigns.step()
        await settled(rig)
    assert rig.line.calls[0].variables == {"name": "Anna"}
    rig.line.say(0, "answered", "completed")
    await settled(rig)
    seen = (await rig.client.get(path)).json()
    assert (seen["calling"], seen["outcomes"]) == (1, {"completed": 1})
    for verb, state in (("pause", "paused"), ("resume", "running"), ("cancel", "canceled")):
        assert (await rig.client.post(f"{path}/{verb}")).json()["state"] == state
    assert (await rig.client.post(f"{path}/resume")).status_code == 409
    results = await rig.client.get(f"{path}/results.csv")
    assert results.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(results.text)))
    assert [row["outcome"] for row in rows] == ["completed", "calling"]
    assert [row["line"] for row in rows] == ["2", "3"]
    listed = (await rig.client.get("/v1/campaigns")).json()["campaigns"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert (await rig.client.get("/v1/campaigns/none/results.csv")).status_code == 404
    assert (await rig.client.post("/v1/campaigns/none/pause")).status_code == 404


async def test_a_list_with_mistakes_calls_nobody(rig: Rig) -> None:
    answer = await rig.campaign("to\n+4930111111\n12345\n")
    assert answer.status_code == 400
    assert "line 3: " in answer.json()["error"]["message"]
    assert (await rig.client.get("/v1/campaigns")).json()["campaigns"] == []


@pytest.mark.parametrize(
    "query", [{"pace": "5"}, {"at_once": "0"}, {"retries": "x"}, {"agent": "Nobody"}]
)
async def test_wrong_settings_of_a_campaign(rig: Rig, query: dict[str, str]) -> None:
    answer = await rig.campaign("to\n+4930111111\n", **query)
    assert answer.status_code == 400


async def test_a_campaign_with_a_key_is_made_once(rig: Rig) -> None:
    headers = {"Content-Type": "text/csv", "Idempotency-Key": "c"}
    made = [
        await rig.client.post("/v1/campaigns", content="to\n+4930111111\n", headers=headers)
        for _ in range(2)
    ]
    assert made[0].json()["id"] == made[1].json()["id"]
    assert len((await rig.client.get("/v1/campaigns")).json()["campaigns"]) == 1


async def test_long_lists_and_longer_ones(rig: Rig) -> None:
    data = "to,name\n" + "".join(f"+4930{1_000_000 + n},Somebody\n" for n in range(60_000))
    assert len(data) > 1_000_000
    answer = await rig.campaign(data)
    assert (answer.status_code, answer.json()["rows"]) == (201, 60_000)
    results = await rig.client.get(f"{answer.headers['location']}/results.csv")
    assert len(results.text.splitlines()) == 60_001
    answer = await rig.campaign("x" * (5 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    answer = await rig.client.post("/v1/calls", content=b"x" * 70_000)
    assert answer.status_code == 413


async def test_a_form_is_not_a_list(rig: Rig) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await rig.client.post("/v1/campaigns", content=b"--x", headers=headers)
    assert answer.status_code == 415


async def test_a_second_process_does_not_run_campaigns(rig: Rig, tmp_path: Path) -> None:
    async with opened(tmp_path) as second:
        answer = await second.campaign("to\n+4930111111\n")
        assert answer.status_code == 503
        assert (await second.client.get("/v1/campaigns")).status_code == 200


async def test_it_starts_and_ends_by_itself(tmp_path: Path) -> None:
    config = OutboundConfig.model_validate(SETTINGS | {"hours": "always"})
    line = ScriptedLine()
    line.at_once = ("answered", "completed")
    outbound = Outbound(config, line, lambda name: name or "Cafe", tmp_path)
    await outbound.start()
    app = create_app(FakeHost(), ServerSettings(), Metrics(), outbound=outbound)
    transport, base = httpx.ASGITransport(app), "http://localhost"
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=AUTH) as client:
        headers = {"Content-Type": "text/csv"}
        made = await client.post("/v1/campaigns", content=f"to\n{ANNA}\n", headers=headers)
        async with asyncio.timeout(20):
            state = ""
            while state != "done":
                await asyncio.sleep(0.05)
                state = (await client.get(made.headers["location"])).json()["state"]
    await outbound.aclose()
    await app.state.voice.aclose()
    assert line.numbers == [ANNA]


async def test_a_store_that_cannot_be_opened_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    config = OutboundConfig.model_validate(SETTINGS)
    outbound = Outbound(config, ScriptedLine(), str, tmp_path / "var")
    with pytest.raises(UserFacingError, match="cannot be used"):
        await outbound.start()
    await outbound.aclose()


async def test_an_order_that_does_not_fit_the_agent_is_refused(rig: Rig) -> None:
    rig.outbound.problem_of = lambda order: "" if "due" in order.variables else "needs `due`"
    response = await rig.call(variables={"name": "Anna"})
    assert (response.status_code, response.json()["error"]["message"]) == (400, "needs `due`")
    assert (await rig.call(variables={"due": "today"})).status_code == 201


# ---- through Twilio ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeTwilio]:
    with fake_twilio() as one:
        yield one


def service(host: LineHost, fake_url: str, **outbound: Any) -> PhoneService:
    options = TwilioOptions(account_sid=ACCOUNT, auth_token=Secret(TOKEN), base_url=fake_url)
    given = SETTINGS | {"vendor": "twilio", "hours": "always"} | outbound
    config = PhoneConfig(public_url=PUBLIC, outbound=OutboundConfig.model_validate(given))
    companies = {"twilio": Company(Twilio(options, PUBLIC), options)}
    return PhoneService(host, config, Metrics(), companies)


def test_companies_that_cannot_make_the_calls() -> None:
    with pytest.raises(ConfigError, match=r"outbound\.vendor: `telnyx` is not one of `vendors`"):
        outbound_for(service(LineHost(), "", vendor="telnyx"))
    with pytest.raises(ConfigError, match="need the section `sip`"):
        outbound_for(service(LineHost(), "", vendor="sip"))
    by_sip = service(LineHost(), "", vendor="sip", machine="message", message="Hello.")
    with pytest.raises(ConfigError, match="not detected"):
        outbound_for(by_sip, ScriptedLine())
    without = PhoneService(LineHost(), PhoneConfig(), Metrics(), {})
    assert outbound_for(without) is None


async def test_from_the_order_to_the_conversation_and_its_end(
    fake: FakeTwilio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twilio is asked for a call whose document has a stream with a token; that token admits the
    stream, the session has the order's facts, and webhooks tell what became of the call."""
    monkeypatch.setenv("ANTIPHON_DATA", str(tmp_path))
    host = LineHost()
    phone = service(host, fake.url, machine="message", message="Call us back.")
    outbound = outbound_for(phone)
    assert outbound is not None
    await outbound.start()
    settings = ServerSettings(port=0, public_url=PUBLIC, public_paths=("/twilio/",))
    listener = listen(settings)
    app = create_app(host, settings, Metrics(), phone, outbound)
    server = uvicorn.Server(http_config(app))
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    serving = asyncio.create_task(server.serve([listener]))
    fake.asked.clear()
    port = listener.getsockname()[1]

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

        async def tell(path: str, form: dict[str, str]) -> None:
            signature = RequestValidator(TOKEN).compute_signature(PUBLIC + path, form)
            headers = {"Host": "voice.example.com", "X-Twilio-Signature": signature}
            answer = await client.post(path, data=form, headers=headers)
            assert answer.status_code == 204

        order = {"to": ANNA, "agent": "Clinic", "variables": {"name": "Anna"}}
        made = await client.post("/v1/calls", json=order, headers=AUTH)
        assert made.status_code == 201, made.text
        ((path, form, _),) = fake.asked
        assert path.endswith("/Calls.json")
        assert (form["To"], form["From"]) == ([ANNA], ["+4930999999"])
        assert form["TimeLimit"] == ["1800"]
        assert form["AsyncAmdStatusCallback"] == [f"{PUBLIC}/twilio/machine"]
        sid = f"CA{len(fake.asked):032d}"
        await tell("/twilio/status", {"CallSid": sid, "CallStatus": "ringing"})
        await tell("/twilio/status", {"CallSid": sid, "CallStatus": "in-progress"})
        token = form["Twiml"][0].partition('name="token" value="')[2].partition('"')[0]
        url = "ws://voice.example.com/twilio/media"
        async with connect(url, host="127.0.0.1", port=port, proxy=None) as socket:
            await socket.send(CONNECTED)
            await socket.send(start_message(token, sid))
            async with asyncio.timeout(20):
                while not phone.session_for(sid):  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.005)
            (session,) = host.sessions
            facts = session.line.facts
            assert (facts.direction, facts.called, facts.line_call_id) == ("outbound", ANNA, sid)
            assert dict(facts.variables) == {"name": "Anna"}
            seen = (await client.get(made.headers["location"], headers=AUTH)).json()
            assert seen["state"] == "answered"
            machine = {"CallSid": sid, "AnsweredBy": "machine_end_beep"}
            await tell("/twilio/machine", machine)
            done = {"CallSid": sid, "CallStatus": "completed", "CallDuration": "7"}
            await tell("/twilio/status", done)
        seen = (await client.get(made.headers["location"], headers=AUTH)).json()
        assert (seen["state"], seen["duration_s"]) == ("completed", 7)
        assert (seen["answered_by"], seen["message_left"]) == ("machine", True)
        assert session.machine == ["Call us back."]
    server.should_exit = True
    async with asyncio.timeout(20):
        await serving
    listener.close()
