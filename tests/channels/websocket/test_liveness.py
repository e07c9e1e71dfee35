"""Is the client there, and does it pause or is the network away?"""

from __future__ import annotations

from antiphon.channels.websocket.liveness import Liveness


class Client:
    """Time goes by in steps of 10 ms; what the client does and what the network does are set."""

    def __init__(self, *, pings: bool = True, trip_s: float = 0.04) -> None:
        self.now_s = 100.0
        self.liveness = Liveness(self.now_s, pings=pings)
        self.trip_s = trip_s
        self.speaks = self.answers = True
        self.asked: list[float] = []
        self._due: list[tuple[float, bytes]] = []
        self._spoke_s = self.now_s

    def run(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s - 1e-6:
            self.now_s += 0.01
            if self.speaks and self.now_s - self._spoke_s >= 0.0199:
                self._spoke_s = self.now_s
                self.liveness.sound(self.now_s, 20)
            if self.answers:
                for due_s, payload in list(self._due):
                    if due_s <= self.now_s:
                        self._due.remove((due_s, payload))
                        self.liveness.pong(payload, self.now_s)
            payload = self.liveness.ping(self.now_s) or b""
            if payload:
                self.asked.append(self.now_s)
                self._due.append((self.now_s + self.trip_s, payload))

    @property
    def quiet_s(self) -> float:
        return self.now_s - self.liveness.alive_s(self.now_s)


def test_a_stream_is_recognised_and_asked_twice_a_second() -> None:
    client = Client()
    client.run(0.9)
    assert not client.liveness.streaming
    client.run(2.1)
    assert client.liveness.streaming
    assert not client.liveness.silent(client.now_s)
    assert 5 <= len(client.asked) <= 7
    assert client.quiet_s < 0.03
    assert client.liveness.round_trip_s is not None
    assert abs(client.liveness.round_trip_s - 0.04) < 0.011


def test_a_stream_that_stops_is_asked_at_once_and_is_a_pause_when_it_answers() -> None:
    client = Client()
    client.run(3.0)
    client.speaks = False
    client.run(0.2)
    assert client.liveness.silent(client.now_s)
    assert client.quiet_s == 0.0
    client.run(5.0)
    assert client.quiet_s == 0.0
    assert not client.liveness.stuck(client.now_s)


def test_a_stream_that_stops_and_does_not_answer_is_the_network() -> None:
    client = Client()
    client.run(3.0)
    client.speaks = client.answers = False
    client.run(1.3)
    assert not client.liveness.silent(client.now_s)
    assert 1.25 < client.quiet_s < 1.35
    client.speaks = client.answers = True
    client.run(0.1)
    assert client.quiet_s < 0.03
    assert client.liveness.streaming


def test_who_need_not_send_is_there_until_the_second_ping_is_late() -> None:
    client = Client()
    client.speaks = False
    client.run(3.0)
    assert client.quiet_s == 0.0
    assert client.liveness.silent(client.now_s)
    client.answers = False
    client.run(0.2)
    assert client.quiet_s == 0.0
    client.run(1.1)
    assert client.quiet_s > 1.2
    assert not client.liveness.silent(client.now_s)
    client.answers = True
    client.run(0.1)
    assert client.quiet_s == 0.0


def test_who_sends_but_takes_nothing_is_away() -> None:
    client = Client()
    client.run(3.0)
    client.answers = False
    client.run(1.0)
    assert not client.liveness.stuck(client.now_s)
    client.run(0.8)
    assert client.liveness.stuck(client.now_s)
    assert client.quiet_s > 1.2
    client.answers = True
    client.run(0.05)
    assert not client.liveness.stuck(client.now_s)


def test_a_satellite_is_no_dead_network() -> None:
    client = Client(trip_s=1.3)
    for _ in range(90):
        client.run(0.1)
        assert client.quiet_s < 0.03
        assert not client.liveness.stuck(client.now_s)


def test_who_cannot_be_asked_is_there_while_the_connection_is_open() -> None:
    client = Client(pings=False)
    client.run(3.0)
    assert not client.asked
    client.speaks = False
    client.run(3.0)
    assert client.quiet_s == 0.0


def test_strange_pongs_mean_nothing() -> None:
    client = Client()
    client.speaks = client.answers = False
    client.run(2.0)
    before_s = client.quiet_s
    for payload in (b"", b"\0", b"\0\0\0\0", b"\xff" * 4, b"\0" * 125, (2**31).to_bytes(4, "big")):
        client.liveness.pong(payload, client.now_s)
    assert client.quiet_s == before_s > 1.2
