"""Our endpoint on loopback sockets, with callers and other endpoints of ours at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from antiphon.channels.base import Call, TransferTarget
from antiphon.channels.sip.call import SipCall
from antiphon.channels.sip.caller import Caller, CallerOptions, PlacedCall, place_call
from antiphon.channels.sip.config import AccountConfig, SipConfig, TrunkConfig
from antiphon.channels.sip.digest import Credentials
from antiphon.channels.sip.endpoint import SipEndpoint
from antiphon.channels.sip.outbound import DialFailed, DialStatus
from antiphon.channels.sip.wire import Flow
from antiphon.errors import CapacityError, UserFacingError
from antiphon.providers.secret import Secret

SOUND = bytes(range(1, 101)) * 10
BOB = Credentials("bob", "secret")
ACCOUNT = AccountConfig(user="bob", password=Secret("secret"), agent="for bob")


class Talk:
    """A session, or whoever else is at an end of a line: says something all the time."""

    call_id = "call_1"

    def __init__(self, call: Call | None = None) -> None:
        self.call = call
        self.output_rate_hz = 8000 if call is None else call.output_rate_hz
        self.heard = 0
        self.loud = 0
        self.keys = ""
        self.told: list[str] = []
        self.closed = asyncio.Event()

    def on_audio(self, pcm: bytes) -> None:
        self.heard += 1
        self.loud += any(pcm)

    def read_frame(self) -> bytes | None:
        return (SOUND * 2)[: self.output_rate_hz // 25]

    def on_text(self, text: str) -> None: ...

    def on_key(self, key: str) -> None:
        self.keys += key

    def on_talk_key(self, held: bool) -> None: ...

    def on_heard(self, frames: int) -> None: ...
    def on_return(self) -> None: ...

    def on_hold(self, held: bool) -> None:
        self.told.append("held" if held else "resumed")

    def on_machine(self, message: str) -> None: ...

    def hang_up(self, reason: str) -> None:
        if not self.closed.is_set():
            self.told.append(reason)
        self.closed.set()

    async def wait_closed(self) -> None:
        await self.closed.wait()


class Host:
    """As much of a supervisor as an endpoint needs."""

    def __init__(self) -> None:
        self.talks: list[Talk] = []
        self.agents: list[str | None] = []
        self.full = False

    def check(self, agent: str | None) -> str:
        self.agents.append(agent)
        if agent == "nobody":
            raise UserFacingError("There is no agent called 'nobody'.")
        if self.full:
            raise CapacityError("All lines are in use.")
        return agent or "first"

    async def start_call(self, call: Call, agent: str | None) -> Talk:
        self.talks.append(Talk(call))
        return self.talks[-1]


class Phone(SipEndpoint):
    """An endpoint with its host in reach."""

    def __init__(self, host: Host, config: SipConfig) -> None:
        super().__init__(host, config, self.spoken)
        self.host = host
        self.said: list[str] = []

    async def spoken(self, text: str) -> tuple[bytes, int]:
        self.said.append(text)
        return SOUND * 4, 8000

    @property
    def uri(self) -> str:
        return f"sip:agent@127.0.0.1:{self.port}"


@asynccontextmanager
async def endpoint(**settings: object) -> AsyncIterator[Phone]:
    given: dict[str, object] = {"host": "127.0.0.1", "port": 0, "rtp_ports": (40_000, 49_999)}
    if "accounts" not in settings:
        given["peers"] = ("127.0.0.1",)
    made = Phone(Host(), SipConfig.model_validate({**given, **settings}))
    await made.start()
    try:
        yield made
    finally:
        await made.aclose()
        assert made.calls == 0
        agent = made._station.agent
        assert not agent.legs
        assert not len(agent.transactions)


async def until(what: Callable[[], object], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not what():  # noqa: ASYNC110  (what is waited for has no event)
            await asyncio.sleep(0.01)


# ---- calls that come in --------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["PCMU", "PCMA", "opus"])
async def test_a_call_is_talked_keyed_held_and_ended(codec: str) -> None:
    async with endpoint() as phone:
        placed = await place_call(phone.uri, CallerOptions(user="+4930123", codecs=(codec,)))
        ear = Talk()
        placed.attend(ear)
        talk = phone.host.talks[0]
        assert isinstance(talk.call, SipCall)
        assert (talk.call.facts.caller, talk.call.facts.called) == ("+4930123", "agent")
        assert talk.output_rate_hz == (16_000 if codec == "opus" else 8000)
        await until(lambda: talk.loud > 5 and ear.loud > 5)
        placed.press("1")
        await until(lambda: talk.keys == "1")
        placed.hold(True)
        await until(lambda: talk.told == ["held"])
        placed.hold(False)
        await until(lambda: talk.told == ["held", "resumed"])
        await placed.hang_up()
        await until(lambda: talk.told[-1] == "caller hung up")


async def test_the_session_ends_the_call() -> None:
    async with endpoint() as phone:
        placed = await place_call(phone.uri)
        placed.attend(Talk())
        talk = phone.host.talks[0]
        assert talk.call is not None
        await talk.call.close("done")
        async with asyncio.timeout(20):
            await placed.wait_over()
        talk.hang_up("")


async def test_closing_the_endpoint_ends_its_calls() -> None:
    async with endpoint() as phone:
        placed = await place_call(phone.uri)
        await phone.aclose()
        assert phone.host.talks[0].told == ["server stopped"]
        async with asyncio.timeout(20):
            await placed.wait_over()


async def test_who_is_no_peer_may_not_call() -> None:
    async with endpoint(peers=["192.0.2.0/24"]) as phone:
        with pytest.raises(DialFailed) as failed:
            await place_call(phone.uri)
        assert failed.value.code == 403
        assert not phone.host.talks


@pytest.mark.parametrize("digests", [["MD5"], ["SHA-256", "MD5"]])
async def test_a_password_lets_in_and_chooses_the_agent(digests: list[str]) -> None:
    async with endpoint(accounts=[ACCOUNT], digests=digests) as phone:
        with pytest.raises(DialFailed) as failed:
            await place_call(phone.uri, CallerOptions(credentials=Credentials("bob", "wrong")))
        assert failed.value.code == 401
        placed = await place_call(phone.uri, CallerOptions(credentials=BOB))
        assert phone.host.agents == ["for bob"]
        await placed.hang_up()


async def test_the_number_chooses_the_agent() -> None:
    async with endpoint(numbers={"agent": "sales", "+491": "nobody"}) as phone:
        await (await place_call(phone.uri)).hang_up()
        assert phone.host.agents == ["sales"]
        with pytest.raises(DialFailed) as failed:
            await place_call(f"sip:491@127.0.0.1:{phone.port}")
        assert failed.value.code == 404


async def test_a_full_server_says_so() -> None:
    async with endpoint() as phone:
        phone.host.full = True
        with pytest.raises(DialFailed) as failed:
            await place_call(phone.uri)
        assert failed.value.code == 503


async def test_too_many_calls_in_a_second_are_sent_away() -> None:
    async with endpoint(calls_per_second=2) as phone, Caller() as caller:
        placed: list[PlacedCall] = []
        failed: list[int] = []
        for _ in range(4):
            try:
                placed.append(await caller.call(phone.uri))
            except DialFailed as error:
                failed.append(error.code)
        assert 2 <= len(placed) <= 3
        assert failed == [503] * (4 - len(placed))
        for one in placed:
            await one.hang_up()


async def test_without_a_free_port_there_is_no_call() -> None:
    async with endpoint(rtp_ports=(40_001, 40_001)) as phone:
        with pytest.raises(DialFailed) as failed:
            await place_call(phone.uri)
        assert failed.value.code == 503


async def test_a_stream_of_rubbish_is_closed_and_others_go_on() -> None:
    async with endpoint() as phone:
        reader, writer = await asyncio.open_connection("127.0.0.1", phone.port)
        writer.write(b"x" * 100_000)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", phone.port)
        writer.write(b"\r\n\r\n")
        async with asyncio.timeout(20):
            assert await reader.readexactly(2) == b"\r\n"
        writer.close()
        await (await place_call(phone.uri)).hang_up()


# ---- trunks and calls of ours --------------------------------------------------------------


def trunk(server: Phone, **settings: object) -> dict[str, TrunkConfig]:
    given = {"server": f"127.0.0.1:{server.port}", "user": "bob", "password": Secret("secret")}
    return {"main": TrunkConfig.model_validate({**given, **settings})}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_we_sign_in_and_are_called_back(transport: str) -> None:
    async with endpoint(accounts=[ACCOUNT]) as pbx:
        trunks = trunk(pbx, transport=transport, agent="desk")
        async with endpoint(trunks=trunks, peers=[]) as ours:
            await until(lambda: ours.registrations["main"] == "registered")
            assert pbx.phones == 1
            told: list[DialStatus] = []
            call = await pbx.dial("bob", on_status=told.append)
            assert told == ["ringing", "answered"]
            await pbx.run_call(call, "caller")
            there, here = pbx.host.talks[0], ours.host.talks[0]
            assert ours.host.agents == ["desk"]
            await until(lambda: there.loud > 3 and here.loud > 3)
            await call.close("done")
            await until(lambda: here.told == ["caller hung up"])
        await until(lambda: pbx.phones == 0)


async def test_a_number_is_called_by_the_trunk() -> None:
    async with (
        endpoint(accounts=[ACCOUNT]) as pbx,
        endpoint(trunks=trunk(pbx, register_s=0)) as ours,
    ):
        call = await ours.dial("+49 30 123", sender="+1555", variables={"name": "Ada"})
        assert call.facts.variables == {"name": "Ada"}
        there = pbx.host.talks[0].call
        assert isinstance(there, SipCall)
        assert (there.facts.caller, there.facts.called) == ("+1555", "+4930123")
        await call.release()


async def test_the_number_is_found_where_a_trunk_calls_our_contact() -> None:
    async with endpoint(accounts=[ACCOUNT]) as pbx:
        numbers = {"+4930123": "sales"}
        async with endpoint(trunks=trunk(pbx), peers=["127.0.0.1"], numbers=numbers) as ours:
            invite = (
                "INVITE sip:antiphon@127.0.0.1 SIP/2.0\r\n"
                "Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKnumber\r\n"
                "From: <sip:a@b>;tag=1\r\nTo: <sip:4930123@trunk.example>\r\n"
                "Contact: <sip:a@127.0.0.1:9>\r\n"
                "Call-ID: number\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
            )
            ours._station.agent.received(invite.encode(), Flow("udp", "127.0.0.1", 9))
            await until(lambda: ours.host.talks)
            assert ours.host.agents == ["sales"]
            call = ours.host.talks[0].call
            assert isinstance(call, SipCall)
            assert call.facts.called == "4930123"
            cancel = invite.replace("INVITE", "CANCEL").encode()
            ours._station.agent.received(cancel, Flow("udp", "127.0.0.1", 9))
            await call.release()
            # Nobody acknowledges the 200.
            ours._station.agent.transactions.close()
            ours._station.agent.legs.clear()


async def test_a_wrong_password_at_a_trunk_is_told() -> None:
    async with endpoint(accounts=[ACCOUNT]) as pbx:
        wrong = trunk(pbx, password=Secret("wrong"))
        async with endpoint(trunks=wrong) as ours:
            await until(lambda: ours.registrations["main"].startswith("refused: 401"))
            with pytest.raises(DialFailed):
                await ours.dial("+4930123")


async def test_nobody_answers_in_time() -> None:
    async with endpoint() as slow, endpoint() as ours:
        waiting = asyncio.Event()

        async def start_call(call: Call, agent: str | None) -> Talk:
            await waiting.wait()
            return Talk(call)

        slow.host.start_call = start_call  # type: ignore[method-assign]
        told: list[DialStatus] = []
        with pytest.raises(DialFailed) as failed:
            await ours.dial(slow.uri, ring_s=0.3, on_status=told.append)
        assert failed.value.status == "no_answer"
        assert told == ["ringing", "no_answer"]
        waiting.set()
        await until(lambda: slow.calls == 0)


@pytest.mark.parametrize("to", ["not a number", "sip:", "sip:x@no-such-host.invalid", "+4930"])
async def test_what_cannot_be_called(to: str) -> None:
    async with endpoint() as ours:
        with pytest.raises(UserFacingError):
            await ours.dial(to)


# ---- passing callers on --------------------------------------------------------------------


async def answered(phone: Phone) -> tuple[PlacedCall, Talk, SipCall]:
    placed = await place_call(phone.uri)
    ear = Talk()
    placed.attend(ear)
    call = phone.host.talks[0].call
    assert isinstance(call, SipCall)
    await until(lambda: ear.loud > 3)
    return placed, ear, call


async def test_a_caller_is_joined_to_a_person_where_refer_is_refused() -> None:
    async with endpoint() as phone, endpoint() as office:
        placed, ear, call = await answered(phone)
        result = await call.transfer(TransferTarget("office", office.uri))
        assert (result.outcome, result.detail) == ("connected", "joined here")
        phone.host.talks[0].hang_up("transferred")
        await call.close("transferred")
        person = office.host.talks[0]
        ear.loud = person.loud = 0
        await until(lambda: ear.loud > 5 and person.loud > 5)
        await placed.hang_up()
        await until(lambda: person.told[-1:] == ["caller hung up"])


@pytest.mark.parametrize(("key", "outcome"), [("1", "connected"), ("2", "refused")])
async def test_a_person_is_told_first_and_accepts_by_key(key: str, outcome: str) -> None:
    async with endpoint() as phone, endpoint() as office:
        placed, ear, call = await answered(phone)
        target = TransferTarget("office", office.uri, message="Ada is on the line.")
        passing = asyncio.create_task(call.transfer(target))
        await until(lambda: office.host.talks and office.host.talks[0].heard > 3)
        assert phone.said == ["Ada is on the line."]
        person = office.host.talks[0].call
        assert isinstance(person, SipCall)
        person.press(key)
        result = await passing
        assert result.outcome == outcome
        if outcome == "connected":
            await until(lambda: office.host.talks[0].loud > 5)
        else:
            await until(lambda: office.host.talks[0].told[-1:] == ["caller hung up"])
            ear.loud = 0
            await until(lambda: ear.loud > 3)
        await placed.hang_up()


async def test_a_person_who_is_not_there_does_not_end_the_call() -> None:
    async with endpoint() as phone, endpoint() as office:
        office.host.full = True
        placed, ear, call = await answered(phone)
        result = await call.transfer(TransferTarget("office", office.uri))
        assert result.outcome == "failed"
        ear.loud = 0
        await until(lambda: ear.loud > 3)
        await placed.hang_up()


async def test_a_flood_of_strangers_leaves_nothing_behind() -> None:
    async with endpoint(accounts=[ACCOUNT]) as phone:
        source = Flow("udp", "127.0.0.1", 9)
        for number in range(2_000):
            data = (
                "INVITE sip:agent@127.0.0.1 SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK{number}\r\n"
                f"From: <sip:a@b>;tag={number}\r\nTo: <sip:agent@127.0.0.1>\r\n"
                f"Call-ID: {number}\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
            )
            phone._station.agent.received(data.encode(), source)
        assert phone._station.agent.counts.refused == 2_000
        assert not len(phone._station.agent.transactions)
        assert phone.calls == 0
