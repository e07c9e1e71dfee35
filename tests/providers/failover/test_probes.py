from __future__ import annotations

import asyncio
from typing import Any

import pytest

from antiphon.errors import ProviderError
from antiphon.providers import registry
from antiphon.providers.failover.probes import probe_llm, probe_stt, probe_tts

PROBES: dict[str, Any] = {"llm": probe_llm, "tts": probe_tts, "stt": probe_stt}


@pytest.mark.parametrize("kind", PROBES)
async def test_who_works_answers_and_who_does_not_is_found_out(kind: Any) -> None:
    await PROBES[kind](registry.make(kind, "scripted", {}))
    with pytest.raises(ProviderError, match="as scripted"):
        await PROBES[kind](registry.make(kind, "scripted", {"fail_chance": 1}))
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_built_in_ones_can_be_probed() -> None:
    tts = registry.make("tts", "flite", {})
    await tts.start()
    await probe_tts(tts)
    await tts.aclose()
