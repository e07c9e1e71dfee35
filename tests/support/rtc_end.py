"""One end of a WebRTC connection whose packets of sound a test sees, and makes."""

from __future__ import annotations

import asyncio
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.rtcconfiguration import RTCBundlePolicy

from antiphon.channels.webrtc.port import MediaPort


class End:
    """A peer connection whose sound goes by a port. It sends what it is told to, or nothing."""

    def __init__(self, *, data_first: bool = False) -> None:
        self.pc = RTCPeerConnection(
            RTCConfiguration(
                iceServers=[],
                bundlePolicy=RTCBundlePolicy.MAX_BUNDLE,
                alwaysNegotiateDataChannels=data_first,
            )
        )
        line = self.pc.addTransceiver("audio", "sendrecv")
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        line.setCodecPreferences([one for one in codecs if one.mimeType == "audio/opus"])
        self.rtp: list[bytes] = []
        self.rtcp: list[bytes] = []
        self.port = MediaPort(line, self.rtp.append, self.rtcp.append)
        self.port.bundled()

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        self.port.open_taps()
        sdp: str = self.pc.localDescription.sdp
        return sdp

    async def answer(self, offer: str) -> str:
        await self.pc.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        self.port.plain()
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        self.port.open_taps()
        sdp: str = self.pc.localDescription.sdp
        return sdp

    async def take(self, answer: str) -> None:
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def ready(self) -> None:
        await until(lambda: self.port.ready)

    async def aclose(self) -> None:
        self.port.close()
        await self.pc.close()

    @property
    def sockets(self) -> list[Any]:
        return list(self.port._ice._protocols)


async def until(done: Any, timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not done():  # noqa: ASYNC110 - aiortc has no event for it
            await asyncio.sleep(0.002)
