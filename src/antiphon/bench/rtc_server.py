"""A server in another process, as `antiphon serve` runs it, for loads of calls over WebRTC."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from antiphon.bench.served import ANTIPHON, ServerProcess

SENTENCE = (
    "Certainly, I can do that for you right away. There are eleven of them left in the store, "
    "and the next delivery comes on Thursday in the morning."
)
MS_PER_WORD = 250


def agent_file(vad: str = "silero", *, quiet: bool = False) -> dict[str, Any]:
    """An agent whose speech services are scripted and whose detector is a real one.

    It talks all the time, whatever the caller says meanwhile, and answers that afterwards; with
    `quiet` it only listens: for the key that ends a turn, which no caller here presses.
    """
    return {
        "name": "Load",
        "greeting": "" if quiet else " ".join([SENTENCE] * 3),
        "vad": vad,
        "turn_detector": None,
        "stt": {
            "provider": "scripted",
            "partial_every_ms": 100,
            "transcripts": [{"text": "I would like to know more about that", "complete": 0.9}],
        },
        "llm": {
            "provider": "scripted",
            "replies": [" ".join([SENTENCE] * 4)],
            "first_delay_ms": 100,
        },
        "tts": {
            "provider": "scripted",
            "sample_rate_hz": 24_000,
            "sound": "noise",
            "ms_per_word": MS_PER_WORD,
            "first_delay_ms": 80,
        },
        "turn": {
            "interruption": {"speech": "interruptible" if quiet else "protected"},
            "endpointing": {"mode": "manual" if quiet else "automatic"},
            "silence": {"check_in_ms": 600_000},
        },
    }


class RtcServer(ServerProcess):
    """One server process.

    Args:
        folder: for its files.
        agent: what its agent's file says.
        max_calls: calls that it takes at once.
    """

    def __init__(self, folder: Path, agent: dict[str, Any], max_calls: int, *options: str) -> None:
        self._agent = agent
        command = (
            *(*ANTIPHON, "serve", "--port", "{port}"),
            *("--agent", str(folder / "agent.yaml")),
            *("--max-calls", str(max_calls), "--drain-s", "1"),
            *options,
        )
        super().__init__(folder, command, {"ANTIPHON_DATA": str(folder)})

    def prepare(self) -> None:
        # JSON is YAML, too.
        (self.folder / "agent.yaml").write_text(json.dumps(self._agent), encoding="utf-8")
