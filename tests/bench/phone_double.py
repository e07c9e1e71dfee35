"""A tiny Media Streams server with a script, for the simulator's own tests: it greets, answers what
was said, and clears when it is spoken over. Not ours in any other respect."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

TONE = base64.b64encode(bytes([0x90, 0x10] * 80)).decode()
"""20 ms of something loud."""
QUIET = base64.b64encode(b"\xff" * 160).decode()


@dataclass
class Double:
    """What the server does, and what it got."""

    greeting_frames: int = 20
    answer_frames: int = 20
    clears: bool = True
    hang_up_after_frames: int | None = None
    broken: tuple[str | bytes, ...] = ()
    got: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def names(self, event: str) -> list[str]:
        return [one["mark"]["name"] for one in self.got if one["event"] == event == "mark"]

    def count(self, event: str) -> int:
        return sum(one["event"] == event for one in self.got)

    async def handle(self, socket: ServerConnection) -> None:
        """One call. Sound is sent at once; the far end paces it."""
        sid, spoke, playing, frames, quiet = "", False, False, 0, 0
        async for message in socket:
            fields = json.loads(message)
            self.got.append(fields)
            match fields["event"]:
                case "start":
                    sid = fields["streamSid"]
                    for text in self.broken:
                        await socket.send(text)
                    playing = await self._say(socket, sid, self.greeting_frames, "greeting")
                case "mark":
                    playing = playing and fields["mark"]["name"] not in ("greeting", "answer")
                case "media":
                    frames += 1
                    if frames == self.hang_up_after_frames:
                        return
                    if fields["media"]["payload"] != QUIET:
                        spoke, quiet = True, 0
                        if playing and self.clears:
                            playing = False
                            await socket.send(json.dumps({"event": "clear", "streamSid": sid}))
                    elif spoke and (quiet := quiet + 1) == 5:
                        spoke = False
                        playing = await self._say(socket, sid, self.answer_frames, "answer")
                case "stop":
                    return

    async def _say(self, socket: ServerConnection, sid: str, frames: int, name: str) -> bool:
        for _ in range(frames):
            body = {"event": "media", "streamSid": sid, "media": {"payload": TONE}}
            await socket.send(json.dumps(body))
        if frames:
            body = {"event": "mark", "streamSid": sid, "mark": {"name": name}}
            await socket.send(json.dumps(body))
        return frames > 0


@asynccontextmanager
async def running(double: Double) -> AsyncIterator[Double]:
    async with serve(double.handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        double.url = f"ws://127.0.0.1:{port}/twilio/media"
        yield double
