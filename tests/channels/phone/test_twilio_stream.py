"""Twilio's messages, as its documentation has them."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.channels.phone.twilio_stream import TwilioDialect
from antiphon.channels.phone.vendor import BadMessage, Key, Marked, Sound, Started, Stopped

# https://www.twilio.com/docs/voice/media-streams/websocket-messages
START = """{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ1",
"callSid":"CA1","tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,
"channels":1},"customParameters":{"token":"t","count":7}},"streamSid":"MZ1"}"""


def started() -> TwilioDialect:
    dialect = TwilioDialect()
    event = dialect.read(START)
    assert event == Started("MZ1", "CA1", {"token": "t", "count": "7"})
    return dialect


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ('{"event":"connected","protocol":"Call","version":"1.0.0"}', None),
        (
            '{"event":"media","sequenceNumber":"3","media":{"track":"inbound","chunk":"1",'
            '"timestamp":"5","payload":"//8A"},"streamSid":"MZ1"}',
            Sound(b"\xff\xff\x00"),
        ),
        ('{"event":"media","media":{"track":"outbound","payload":"//8A"}}', None),
        (
            '{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"5",'
            '"dtmf":{"track":"inbound_track","digit":"4"}}',
            Key("4"),
        ),
        ('{"event":"dtmf","dtmf":{"digit":7}}', Key("7")),
        ('{"event":"dtmf","dtmf":{"digit":"X"}}', None),
        (
            '{"event":"mark","sequenceNumber":"4","streamSid":"MZ1","mark":{"name":"a1"}}',
            Marked("a1"),
        ),
        ('{"event":"mark","mark":{"name":3}}', Marked("3")),
        ('{"event":"mark","mark":{}}', None),
        (
            '{"event":"stop","sequenceNumber":"5","streamSid":"MZ1",'
            '"stop":{"accountSid":"AC1","callSid":"CA1"}}',
            Stopped(),
        ),
        (b'{"event":"stop"}', Stopped()),
        ('{"event":"something new","more":[1]}', None),
    ],
)
def test_what_twilio_says(message: str | bytes, event: object) -> None:
    assert TwilioDialect().read(message) == event


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello",
        b"\xff\xfe",
        "[1]",
        "{}",
        '{"event":1}',
        '{"event":"media"}',
        '{"event":"media","media":{}}',
        '{"event":"media","media":{"payload":"a"}}',
        '{"event":"media","media":{"payload":"ä"}}',
        '{"event":"mark","mark":7}',
        '{"event":"start"}',
        '{"event":"start","start":{}}',
        "[" * 100_000,
    ],
)
def test_what_twilio_would_not_say(message: str | bytes) -> None:
    with pytest.raises(BadMessage):
        TwilioDialect().read(message)


def test_what_we_say() -> None:
    dialect = started()
    assert json.loads(dialect.sound(b"\x00\xff\x7f")) == {
        "event": "media",
        "streamSid": "MZ1",
        "media": {"payload": base64.b64encode(b"\x00\xff\x7f").decode()},
    }
    assert json.loads(dialect.mark('a"1')) == {
        "event": "mark",
        "streamSid": "MZ1",
        "mark": {"name": 'a"1'},
    }
    assert json.loads(dialect.clear()) == {"event": "clear", "streamSid": "MZ1"}


def test_parameters_that_are_none() -> None:
    start = '{"event":"start","streamSid":"MZ2","start":{"callSid":null,"customParameters":[]}}'
    assert TwilioDialect().read(start) == Started("MZ2", "", {})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["event", "media", "start", "mark", "dtmf", "payload", "name", "digit"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
events = st.sampled_from(["media", "start", "mark", "dtmf", "stop", "connected"])


@given(st.one_of(st.text(), st.binary(), json_values.map(json.dumps)))
def test_garbage_is_an_event_or_a_complaint(message: str | bytes) -> None:
    with contextlib.suppress(BadMessage):
        TwilioDialect().read(message)


@given(events, json_values)
def test_events_with_anything_in_them(event: str, inner: object) -> None:
    with contextlib.suppress(BadMessage):
        TwilioDialect().read(json.dumps({"event": event, event: inner}))
