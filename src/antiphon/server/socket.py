"""The WebSocket of a call with a voice, for clients that cannot do WebRTC (docs/websocket.md)."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import FastAPI, WebSocket

from antiphon.channels.voice.calls import VoiceCalls
from antiphon.channels.webrtc.config import PLAIN
from antiphon.channels.websocket.channel import SocketChannel
from antiphon.errors import UserFacingError
from antiphon.server.direct import open_wire


def add_socket(
    app: FastAPI,
    calls: VoiceCalls,
    refused: Callable[[UserFacingError], None],
    bitrate: int = PLAIN.bitrate,
) -> None:
    """The route `/api/voice/socket`. `refused` is told of what was refused, and why; `bitrate` is
    that of Opus to clients."""
    channel = SocketChannel(calls, bitrate)

    @app.websocket("/api/voice/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            await channel.serve(open_wire(websocket), dict(websocket.query_params))
        except UserFacingError as error:
            refused(error)
