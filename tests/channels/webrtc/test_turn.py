from __future__ import annotations

import base64
import hashlib
import hmac

from antiphon.channels.webrtc.config import IceServer, RtcConfig, TurnConfig
from antiphon.channels.webrtc.turn import ice_servers, time_limited
from antiphon.providers.secret import Secret

NOW_S = 1_700_000_000.4


def test_a_name_and_a_password_that_end() -> None:
    made = time_limited(Secret("north"), "a1", 1_700_000_600)
    assert made.username == "1700000600:a1"
    digest = hmac.new(b"north", b"1700000600:a1", hashlib.sha1).digest()
    assert base64.b64decode(made.password) == digest


def test_nothing_is_told_where_nothing_is_set() -> None:
    told = ice_servers(RtcConfig(), "a1", NOW_S)
    assert told == {"iceServers": [], "iceTransportPolicy": "all", "ttl_s": 3600}


def test_servers_of_both_kinds() -> None:
    config = RtcConfig(
        ice_servers=(
            IceServer(urls=("stun:stun.example.com",)),
            IceServer(urls=("turn:a.example.com",), username="u", credential=Secret("p")),
        ),
        turn=TurnConfig(
            urls=("turn:b.example.com?transport=udp", "turns:b.example.com"),
            secret=Secret("north"),
            ttl_s=120,
        ),
        relay_only=True,
    )
    told = ice_servers(config, "a1", NOW_S)
    assert told["iceTransportPolicy"] == "relay"
    assert told["ttl_s"] == 120
    plain, fixed, ours = told["iceServers"]
    assert plain == {"urls": ["stun:stun.example.com"]}
    assert fixed == {"urls": ["turn:a.example.com"], "username": "u", "credential": "p"}
    assert ours["urls"] == ["turn:b.example.com?transport=udp", "turns:b.example.com"]
    assert ours["username"] == "1700000120:a1"
    assert ours["credential"] == time_limited(Secret("north"), "a1", 1_700_000_120).password
    assert "north" not in str(told)
