"""Reading `rtc.yaml`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from antiphon.agent.explain import AgentFileError
from antiphon.channels.voice.base import Patience
from antiphon.channels.webrtc.config import AudioConfig, IceServer, RtcConfig, TurnConfig
from antiphon.errors import ConfigError
from antiphon.server.rtc_config import load_rtc

DOCS = (Path(__file__).parents[2] / "docs" / "network.md").read_text(encoding="utf-8")
GOOD = """\
ice_servers:
  - urls: [stun:stun.example.com:3478]
  - urls: ["turn:[2001:db8::1]:3478?transport=tcp"]
    username: shop
    credential: ${TURN_PASSWORD}
turn:
  urls: [turn:turn.example.com:3478, turns:turn.example.com:5349]
  secret: ${TURN_SECRET}
  ttl_s: 900
relay_only: true
advertise: [203.0.113.7, "2001:DB8::7"]
addresses: [10.0.0.5, 192.168.0.0/16]
udp_ports: [40000, 40999]
resume_s: 30
leave_s: 15
audio: {bitrate: 32000, redundancy: always}
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURN_SECRET", "north")
    monkeypatch.setenv("TURN_PASSWORD", "p")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "rtc.yaml"
    path.write_text(text)
    return path


def wrong(tmp_path: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(AgentFileError) as caught:
        load_rtc(written(tmp_path, text))
    return [(one.line, one.key, one.message) for one in caught.value.errors]


def test_a_whole_file(tmp_path: Path) -> None:
    config = load_rtc(written(tmp_path, GOOD))
    assert config.turn is not None
    assert config.turn.secret.value == "north"
    assert config.turn.ttl_s == 900
    assert config.advertise == ("203.0.113.7", "2001:db8::7")
    assert [str(network) for network in config.networks] == ["10.0.0.5/32", "192.168.0.0/16"]
    assert config.udp_ports == (40000, 40999)
    assert config.patience == Patience(30, 15)
    assert (config.audio.bitrate, config.audio.redundancy) == (32_000, "always")
    assert "north" not in repr(config)


def test_it_is_the_same_after_a_way_through_json(tmp_path: Path) -> None:
    """Workers are told the settings so; secrets go by their names."""
    config = load_rtc(written(tmp_path, GOOD))
    text = config.model_dump_json()
    assert "north" not in text
    assert RtcConfig.model_validate_json(text) == config


def test_a_file_may_hold_one_thing(tmp_path: Path) -> None:
    config = load_rtc(written(tmp_path, "udp_ports: [40000, 40099]"))
    assert config.turn is None
    assert config.patience == Patience(60, 60)
    assert (config.audio.bitrate, config.audio.redundancy) == (64_000, "auto")


def test_a_page_that_goes_is_waited_for_as_long_as_a_lost_one_unless_it_is_said(
    tmp_path: Path,
) -> None:
    assert load_rtc(written(tmp_path, "resume_s: 20")).patience == Patience(20, 20)
    assert load_rtc(written(tmp_path, "leave_s: 0")).patience == Patience(60, 0)


@pytest.mark.parametrize(
    ("text", "line", "key", "said"),
    [
        ("ice_server: []", 1, "ice_server", "did you mean `ice_servers`"),
        ("turn:\n  urls: [http://x]\n  secret: ${TURN_SECRET}", 2, "turn.urls[0]", "TURN server"),
        ("turn:\n  urls: []\n  secret: ${TURN_SECRET}", 2, "turn.urls", "at least one"),
        ("turn:\n  urls: [turn:x]\n  secret: north", 3, "turn.secret", "write ${VARIABLE}"),
        ("turn:\n  urls: [turn:x]\n  secret: ${NO_SUCH}", 3, "turn.secret", "NO_SUCH is not set"),
        ("turn:\n  urls: [turn:x]", 1, "turn.secret", "this key is missing"),
        ("ice_servers:\n  - urls: [turn:x]", 2, "ice_servers[0]", "`username` and `credential`"),
        ("ice_servers:\n  - urls: [ftp:x]", 2, "ice_servers[0].urls[0]", "STUN or TURN"),
        ("advertise: [voice.example.com]", 1, "advertise[0]", "write it in numbers"),
        ("advertise: [0.0.0.0]", 1, "advertise[0]", "no address that a caller could reach"),
        ("addresses: [eth0]", 1, "addresses[0]", "neither an IP address nor a network"),
        ("\nudp_ports: [50000, 40000]", 2, "udp_ports", "the lower one first"),
        ("udp_ports: [80, 90]", 1, "udp_ports", "from 1024 to 65535"),
        ("udp_ports: [40000, 40003]", 1, "udp_ports", "10 ports are the least"),
        ("udp_ports: 40000", 1, "udp_ports", "should be a list"),
        ("resume_s: 1000", 1, "resume_s", "too large"),
        ("resume_s: 20\nleave_s: 30", 2, "leave_s", "at most `resume_s`, which is 20"),
        ("leave_s: 61", 1, "leave_s", "at most `resume_s`, which is 60"),
        ("audio:\n  bitrate: 5000", 2, "audio.bitrate", "too small"),
        ("audio:\n  bitrate: 128001", 2, "audio.bitrate", "too large"),
        ("audio:\n  bit_rate: 1", 2, "audio.bit_rate", "did you mean `bitrate`"),
        ("audio: {redundancy: often}", 1, "audio.redundancy", "'auto', 'always' or 'never'"),
        (
            "audio:\n  bitrate: 16000\n  redundancy: always",
            3,
            "audio.redundancy",
            "`always` needs a `bitrate` of 20000 or more",
        ),
        ("leave_s: -1", 1, "leave_s", "too small"),
        ("relay_only: true", 1, "", "needs a TURN server"),
        (
            "ice_servers:\n  - urls: [stun:x]\n    username: ${TURN_SECRET}",
            3,
            "ice_servers[0].username",
            "only secrets",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, text: str, line: int, key: str, said: str
) -> None:
    found = wrong(tmp_path, text)
    assert any(one[:2] == (line, key) and said in one[2] for one in found), found
    assert "north" not in str(found) or "secret: north" not in text


@pytest.mark.parametrize(("text", "said"), [("", "empty"), ("- 1", "mapping"), ("a: [", "line")])
def test_no_mapping_at_all(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"rtc\.yaml"):
        load_rtc(written(tmp_path, text))


@pytest.mark.parametrize(
    "model", [RtcConfig, TurnConfig, IceServer, AudioConfig], ids=lambda m: m.__name__
)
def test_every_key_is_documented(model: type[BaseModel]) -> None:
    assert not [name for name in model.model_fields if f"`{name}`" not in DOCS]


@pytest.mark.parametrize("code", re.findall(r"```yml\n(.*?)```", DOCS, re.DOTALL))
def test_files_in_the_docs_are_valid(code: str, tmp_path: Path) -> None:
    load_rtc(written(tmp_path, code))
