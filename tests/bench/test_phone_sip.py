"""Simulated callers over SIP, to our own endpoint."""

from __future__ import annotations

from typing import cast

import pytest
from tests.support.fake_host import FakeHost

from antiphon.bench.phone_impair import Impairments
from antiphon.bench.phone_sip import SipAccess, make_sip_calls
from antiphon.bench.phone_speech import Plan, Turn
from antiphon.channels.sip.config import SipConfig
from antiphon.channels.sip.endpoint import CallHost, SipEndpoint

from .test_phone_caller import SPEECH


@pytest.mark.e2e
async def test_a_call_is_made_and_measured() -> None:
    config = SipConfig(host="127.0.0.1", port=0, tcp=False, peers=("127.0.0.1",))
    endpoint = SipEndpoint(cast("CallHost", FakeHost()), config)
    await endpoint.start()
    try:
        access = SipAccess(f"sip:agent@127.0.0.1:{endpoint.port}")
        plan = Plan([Turn(SPEECH)], patience_ms=1500, linger_ms=700, keys="1")
        made = await make_sip_calls(access, [plan], Impairments(), record=True)
    finally:
        await endpoint.aclose()
    assert not made.not_connected
    [call] = made.calls
    assert call.measured.ended == "the caller was done"
    assert len(call.measured.first_audio_ms) == 1
    assert call.playout.answers
    [line] = made.lines
    assert line["packets"] > 10
    assert line["lost"] == 0


async def test_nobody_there_is_told() -> None:
    config = SipConfig(host="127.0.0.1", port=0, tcp=False)
    endpoint = SipEndpoint(cast("CallHost", FakeHost()), config)
    await endpoint.start()
    try:
        access = SipAccess(f"sip:agent@127.0.0.1:{endpoint.port}")
        made = await make_sip_calls(access, [Plan(hang_up_after_ms=100)], Impairments())
    finally:
        await endpoint.aclose()
    assert not made.calls
    [reason] = made.not_connected
    assert "sip:agent@127.0.0.1" in reason
