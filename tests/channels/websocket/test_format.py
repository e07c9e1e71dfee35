"""What an address asks for."""

from __future__ import annotations

import pytest

from antiphon.channels.websocket.format import AudioFormat, SocketFormats, read_formats
from antiphon.errors import UserFacingError

PCM, ULAW = AudioFormat("pcm16", 16_000), AudioFormat("ulaw", 8_000)


@pytest.mark.parametrize(
    ("asked", "up", "down"),
    [
        ({}, PCM, PCM),
        ({"agent": "cafe", "session": "call_1"}, PCM, PCM),
        ({"format": "ulaw"}, ULAW, ULAW),
        ({"rate": "48000"}, AudioFormat("pcm16", 48_000), AudioFormat("pcm16", 48_000)),
        ({"format": "opus", "rate": "48000"}, *[AudioFormat("opus", 48_000)] * 2),
        ({"up_format": "ulaw", "rate": "24000"}, ULAW, AudioFormat("pcm16", 24_000)),
        ({"format": "opus", "down_format": "pcm16"}, AudioFormat("opus", 48_000), PCM),
        ({"up_rate": "8000", "down_rate": "24000"},
         AudioFormat("pcm16", 8_000), AudioFormat("pcm16", 24_000)),
        ({"format": "alaw", "down_format": "pcm16", "down_rate": "8000"},
         AudioFormat("alaw", 8_000), AudioFormat("pcm16", 8_000)),
    ],
)  # fmt: skip
def test_what_is_asked_for(asked: dict[str, str], up: AudioFormat, down: AudioFormat) -> None:
    assert read_formats(asked) == SocketFormats(up, down)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"format": "PCM16"}, "Unknown format 'PCM16'; there are pcm16, ulaw, alaw, opus."),
        ({"format": ""}, "Unknown format ''"),
        ({"down_format": "wav"}, "Unknown format 'wav'"),
        ({"rate": "16000.0"}, "The rate of pcm16 is 8000, 16000, 24000, 48000, not '16000.0'."),
        ({"format": "opus", "rate": "24000"}, "The rate of opus is 48000, not '24000'."),
        ({"up_rate": "٨٠٠٠"}, "The rate of pcm16"),
        ({"format": "x" * 1000}, "Unknown format '" + "x" * 40 + "';"),
        ({"Rate": "8000"}, "Unknown parameter 'Rate'; there are agent, "),
        ({"token": "secret", "session": "call_1"}, "does not belong into an address"),
    ],
)
def test_what_is_refused(asked: dict[str, str], said: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        read_formats(asked)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)
