"""User agents with a network between them that loses what it is told to, on a clock that tests
move."""

from __future__ import annotations

import random
from collections.abc import Callable

from antiphon.channels.sip.dialing import CallOrder, Dialing
from antiphon.channels.sip.digest import Credentials
from antiphon.channels.sip.leg import Leg
from antiphon.channels.sip.message import Request, Response, parse
from antiphon.channels.sip.sdp import Agreed
from antiphon.channels.sip.uri import Address, Uri
from antiphon.channels.sip.user_agent import Admission, Gate, Options, Refusal, UserAgent
from antiphon.channels.sip.wire import Flow, Timers, Transport


class Person:
    """Whose call it is; remembers what was told."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.leg: Leg | None = None
        self.agreed: Agreed | None = None

    def on_up(self, agreed: Agreed) -> None:
        self.agreed = agreed
        self.told.append("up")

    def on_changed(self, agreed: Agreed) -> None:
        self.agreed = agreed
        self.told.append("held" if agreed.held else "changed")

    def on_key(self, key: str) -> None:
        self.told.append(f"key {key}")

    def on_over(self, reason: str) -> None:
        self.told.append(f"over: {reason}")

    def on_progress(self, status: int) -> None:
        self.told.append(status)

    def on_answered(self, leg: Leg) -> None:
        self.leg = leg

    def on_failed(self, status: int) -> None:
        self.told.append(f"failed {status}")


class Porter:
    """Lets everybody in, and takes the calls."""

    def __init__(self) -> None:
        self.people: list[Person] = []
        self.answers = True
        self.rings = True
        self.port = 20_000

    def admit(self, request: Request, flow: Flow) -> Admission | Refusal:
        return Admission()

    def invited(self, leg: Leg, invite: Request, admission: Admission) -> None:
        person = Person()
        person.leg = leg
        leg.user = person
        self.people.append(person)
        if self.rings:
            leg.ring()
        if self.answers:
            leg.accept("192.0.2.2", self.port)

    def register(self, request: Request, flow: Flow) -> Refusal:
        return Refusal(200)


class Station:
    """One user agent at an address of the world."""

    def __init__(
        self, world: World, host: str, gate: Gate | None = None, options: Options | None = None
    ) -> None:
        self.world, self.host = world, host
        self.porter = Porter()
        self.agent = UserAgent(
            lambda data, flow: world.send(self, data, flow),
            world.timers,
            gate or self.porter,
            self,
            options or Options(),
        )

    def address(self, flow: Flow) -> tuple[str, int]:
        return self.host, 5060

    def dial(self, to: Station, credentials: Credentials | None = None) -> tuple[Person, Dialing]:
        """Call another one."""
        person = Person()
        order = CallOrder(
            Uri("sip", "agent", to.host),
            Flow(self.world.transport, to.host, 5060),
            Address(Uri("sip", "alice", self.host)),
            (self.host, 30_000),
            credentials,
        )
        return person, Dialing(self.agent, order, person)


class World:
    """The network and the clock."""

    def __init__(self, seed: int = 0, transport: Transport = "udp") -> None:
        self.now_s = 1000.0
        self.transport: Transport = transport
        self.timers = Timers(lambda: self.now_s)
        self.random = random.Random(seed)
        self.loss = 0.0
        self.stations: dict[str, Station] = {}
        self.log: list[str] = []
        self.sent: list[tuple[bytes, Flow]] = []
        self.drop: Callable[[bytes], bool] = lambda data: False
        self.a, self.b = self.add("192.0.2.1"), self.add("192.0.2.2")

    def add(self, host: str, gate: Gate | None = None, options: Options | None = None) -> Station:
        """A user agent more."""
        made = self.stations[host] = Station(self, host, gate, options)
        return made

    def send(self, sender: Station, data: bytes, flow: Flow) -> None:
        first, second, _ = data.split(b" ", 2)
        what = (second if first.startswith(b"SIP/") else first).decode()
        self.log.append(f"{sender.host[-1]}:{what}")
        self.sent.append((data, flow))
        there = self.stations.get(flow.host)
        if there is None or self.drop(data) or self.random.random() < self.loss:
            return
        came = Flow(flow.transport, sender.host, 5060)
        self.timers.after(0.01, lambda: there.agent.received(data, came))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until_s = self.now_s + seconds
        while (deadline := self.timers.deadline) is not None and deadline <= until_s:
            self.now_s = max(self.now_s, deadline)
            self.timers.run()
        self.now_s = until_s

    def responses(self) -> list[Response]:
        """All that were sent so far."""
        read = [parse(data) for data, _ in self.sent]
        return [one for one in read if isinstance(one, Response)]

    def is_clean(self) -> bool:
        """Whether nobody remembers anything."""
        agents = [one.agent for one in self.stations.values()]
        return not len(self.timers) and not any(len(a.legs) + len(a.transactions) for a in agents)
