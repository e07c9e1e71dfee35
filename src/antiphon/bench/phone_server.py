"""A server of our own in another process, as `antiphon serve --phone` runs it, for loads of calls:
its files, and its start and end."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from antiphon.bench.served import ANTIPHON, ServerProcess

TOKEN_VARIABLE = "ANTIPHON_BENCH_AUTH_TOKEN"
MS_PER_WORD = 250
GREETING = "Hello, this is the line that is being measured. What can I do for you?"
ANSWER = (
    "Certainly, I can do that for you right away. There are eleven of them left in the store, "
    "and the next delivery comes on Thursday in the morning. Would you like me to keep one "
    "for you until the end of the week, or shall I send it to your address?"
)


def agent_file(vad: str = "silero", answer: str = ANSWER) -> dict[str, Any]:
    """An agent whose speech services are scripted and whose detector is a real one."""
    stt = {"transcripts": [{"text": "I would like to know more about that", "complete": 0.9}]}
    return {
        "name": "Load",
        "greeting": GREETING,
        "vad": vad,
        "turn_detector": None,
        "stt": {"provider": "scripted", "partial_every_ms": 100, **stt},
        "llm": {"provider": "scripted", "replies": [answer], "first_delay_ms": 100},
        "tts": {"provider": "scripted", "ms_per_word": MS_PER_WORD, "first_delay_ms": 80},
    }


class Server(ServerProcess):
    """One server process.

    Args:
        folder: for its files and the traces of its calls.
        agent: what its agent's file says.
        max_calls: calls that it takes at once.
    """

    def __init__(self, folder: Path, agent: dict[str, Any], max_calls: int) -> None:
        self._agent = agent
        self.auth_token = secrets.token_hex(16)
        command = (
            *(*ANTIPHON, "serve", "--port", "{port}"),
            *("--agent", str(folder / "agent.yaml")),
            *("--phone", str(folder / "phone.yaml")),
            *(
                "--max-calls",
                str(max_calls),
                "--max-lag-ms",
                "0",
                "--max-busy",
                "0",
                "--drain-s",
                "1",
            ),
        )
        own = {"ANTIPHON_DATA": str(folder), TOKEN_VARIABLE: self.auth_token}
        super().__init__(folder, command, own)

    @property
    def traces(self) -> list[Path]:
        """Records of its calls, whole when it has ended."""
        return sorted((self.folder / "calls").glob("*.jsonl"))

    def prepare(self) -> None:
        phone = {
            "public_url": self.url,
            "vendors": {
                "twilio": {
                    "account_sid": "AC" + "0" * 32,
                    "auth_token": "${" + TOKEN_VARIABLE + "}",
                    "base_url": "http://127.0.0.1:9",
                }
            },
        }
        # JSON is YAML, too.
        (self.folder / "agent.yaml").write_text(json.dumps(self._agent), encoding="utf-8")
        (self.folder / "phone.yaml").write_text(json.dumps(phone), encoding="utf-8")
