"""The requests of a page about its call: offer, come back, leave, hang up."""

from __future__ import annotations

from typing import Literal

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from antiphon.channels.voice.calls import Ticket, VoiceCalls
from antiphon.channels.webrtc.channel import WebRtcChannel
from antiphon.channels.webrtc.offer import MAX_SDP_CHARS
from antiphon.server.body import read_body


class TicketBody(BaseModel):
    """The session's id and the token that came with it."""

    model_config = ConfigDict(extra="forbid")

    session_id: str = Field(max_length=100)
    token: str = Field(max_length=100)

    @property
    def ticket(self) -> Ticket:
        return Ticket(self.session_id, self.token)


class Offer(BaseModel):
    """Body of `POST /api/voice/offer`."""

    model_config = ConfigDict(extra="forbid")

    sdp: str = Field(max_length=MAX_SDP_CHARS)
    type: Literal["offer"]
    agent: str | None = Field(default=None, max_length=100)
    resume: TicketBody | None = None
    """The call that this connection is to carry on."""


def add_rtc(app: FastAPI, calls: VoiceCalls) -> None:
    """The routes of `/api/voice`."""
    channel = WebRtcChannel(calls)

    @app.post("/api/voice/offer")
    async def offer(request: Request) -> dict[str, str]:
        body = Offer.model_validate_json(await read_body(request))
        if body.resume is None:
            answer = await channel.answer(body.sdp, body.agent)
        else:
            answer = await channel.resume(body.sdp, body.resume.ticket)
        return {
            "sdp": answer.sdp,
            "type": "answer",
            "session_id": answer.session_id,
            "token": answer.token,
        }

    @app.post("/api/voice/hangup", status_code=204)
    async def hang_up(request: Request) -> Response:
        body = TicketBody.model_validate_json(await read_body(request))
        calls.hang_up(body.session_id, body.token)
        return Response(status_code=204)

    @app.post("/api/voice/leave", status_code=204)
    async def leave(request: Request) -> Response:
        body = TicketBody.model_validate_json(await read_body(request))
        calls.leave(body.session_id, body.token)
        return Response(status_code=204)
