"""What a caller's line writes and reads, against Twilio's library and its published messages."""

from __future__ import annotations

import json

import pytest
from twilio.request_validator import RequestValidator
from twilio.twiml.voice_response import Connect, Say, VoiceResponse

from antiphon.bench.phone_wire import (
    Audio,
    ClearWanted,
    Line,
    MarkWanted,
    StreamPlace,
    Unreadable,
    moved_to,
    read_twiml,
    sign,
    sounds,
)
from antiphon.errors import UserFacingError


def test_messages_are_those_that_twilio_writes() -> None:
    line = Line("1", {"token": "t"})
    assert json.loads(line.connected()) == {
        "event": "connected", "protocol": "Call", "version": "1.0.0",
    }  # fmt: skip
    assert json.loads(line.start()) == {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": "MZ1",
        "start": {
            "accountSid": "AC" + "0" * 32,
            "streamSid": "MZ1",
            "callSid": "CA1",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": "t"},
        },
    }
    media = {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": "/w=="}
    wanted = {"event": "media", "sequenceNumber": "2", "streamSid": "MZ1", "media": media}
    assert json.loads(line.media("/w==", 20)) == wanted
    line.lost()
    assert json.loads(line.media("/w==", 60))["media"]["chunk"] == "3"
    assert json.loads(line.dtmf("#"))["dtmf"] == {"track": "inbound_track", "digit": "#"}
    assert json.loads(line.mark("u1"))["mark"] == {"name": "u1"}
    stop = json.loads(line.stop())
    assert stop["stop"]["callSid"] == "CA1"
    assert stop["sequenceNumber"] == "6"


def test_what_the_server_says_is_read() -> None:
    line = Line("1")
    media = '{"event":"media","streamSid":"MZ1","media":{"payload":"//8="}}'
    assert line.read(media) == Audio(b"\xff\xff")
    mark = '{"event":"mark","streamSid":"MZ1","mark":{"name":"a"}}'
    assert line.read(mark) == MarkWanted("a")
    assert line.read('{"event":"clear","streamSid":"MZ1"}') == ClearWanted()


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"\x00", "binary"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"event":"clear","streamSid":"MZ2"}', "streamSid"),
        ('{"event":"clear"}', "streamSid"),
        ('{"event":"media","streamSid":"MZ1"}', "no media.payload"),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"_"}}', "not base64"),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":""}}', "empty"),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"UklGRg=="}}', "WAV"),
        ('{"event":"mark","streamSid":"MZ1","mark":{}}', "mark.name"),
        ('{"event":"sing","streamSid":"MZ1"}', "no such event"),
    ],
)
def test_what_twilio_would_not_take_is_said(message: str | bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        Line("1").read(message)


def test_twilios_library_accepts_the_signatures() -> None:
    form = {"To": "+15550100199", "From": "+15550100100", "CallSid": "CA1"}
    url = "https://voice.example.com/twilio/voice"
    validator = RequestValidator("secret")
    assert validator.validate(url, form, sign("secret", url, form))
    stream = "wss://voice.example.com/twilio/media"
    assert validator.validate(stream, {}, sign("secret", stream))
    assert not validator.validate(url, form, sign("other", url, form))


def test_documents_of_twilios_library_are_read() -> None:
    response, connect = VoiceResponse(), Connect()
    stream = connect.stream(url="wss://voice.example.com/twilio/media")
    stream.parameter(name="token", value="a<b")
    response.append(connect)
    place = StreamPlace("wss://voice.example.com/twilio/media", {"token": "a<b"})
    assert read_twiml(str(response)) == place


def test_a_document_without_a_stream_is_told() -> None:
    response = VoiceResponse()
    response.append(Say("Nobody is here."))
    with pytest.raises(UserFacingError, match=r"Say and says: Nobody is here\."):
        read_twiml(str(response))
    with pytest.raises(UserFacingError, match="not TwiML"):
        read_twiml("{}")
    query = '<Response><Connect><Stream url="wss://a/b?token=1"/></Connect></Response>'
    with pytest.raises(UserFacingError, match="without a query"):
        read_twiml(query)


def test_a_public_name_is_replaced() -> None:
    assert moved_to("wss://voice.example.com/x", "http://127.0.0.1:80/y") == "ws://127.0.0.1:80/x"
    assert moved_to("wss://voice.example.com/x", "https://b/y") == "wss://b/x"


def test_loud_is_told_from_quiet() -> None:
    assert not sounds(b"\xff\x7f" * 80)
    assert not sounds(b"\xf0" * 160)
    assert sounds(b"\x90\x10" * 80)
    assert not sounds(b"\x90" + b"\xff" * 159)
