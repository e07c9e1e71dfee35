"""The requests of a page about its call: how to connect, offer, come back, leave, hang up."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from antiphon.channels.voice.calls import Ticket, VoiceCalls
from antiphon.channels.webrtc.channel import WebRtcChannel
from antiphon.channels.webrtc.config import RtcConfig
from antiphon.channels.webrtc.offer import MAX_CANDIDATE_CHARS, MAX_CANDIDATES, MAX_SDP_CHARS
from antiphon.channels.webrtc.trickle import Trickled
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


class CandidateBody(BaseModel):
    """A browser's `RTCIceCandidate.toJSON()`."""

    # Browsers may say more of a candidate some day, and send it unasked.
    model_config = ConfigDict(extra="ignore")

    candidate: str = Field(max_length=MAX_CANDIDATE_CHARS)
    sdpMid: str | None = Field(default=None, max_length=100)
    sdpMLineIndex: int | None = Field(default=None, ge=0, le=100)
    usernameFragment: str | None = Field(default=None, max_length=256)

    @property
    def trickled(self) -> Trickled:
        return Trickled(self.candidate, self.sdpMid, self.sdpMLineIndex, self.usernameFragment)


class Candidates(TicketBody):
    """Body of `PATCH /api/voice/offer`. None, like an empty candidate: there are no more."""

    candidates: list[CandidateBody | None] = Field(max_length=2 * MAX_CANDIDATES)


def add_rtc(app: FastAPI, calls: VoiceCalls, config: RtcConfig | None = None) -> None:
    """The routes of `/api/voice`."""
    channel = WebRtcChannel(calls, config)
    _add_connecting(app, channel)

    @app.post("/api/voice/offer")
    async def offer(request: Request) -> dict[str, Any]:
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
            **calls.patience.told(),
        }

    @app.patch("/api/voice/offer", status_code=204)
    async def candidates(request: Request) -> Response:
        body = Candidates.model_validate_json(await read_body(request))
        told = [one.trickled for one in body.candidates if one is not None]
        if not await channel.trickle(body.ticket, told):
            raise HTTPException(
                404, "The call has no WebRTC connection; send candidates after the offer's answer."
            )
        return Response(status_code=204)

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


def _add_connecting(app: FastAPI, channel: WebRtcChannel) -> None:
    @app.get("/api/voice/ice-servers")
    async def ice_servers(response: Response) -> dict[str, Any]:
        # What is told may be a password of this caller's alone.
        response.headers["Cache-Control"] = "no-store"
        return channel.ice_servers()
