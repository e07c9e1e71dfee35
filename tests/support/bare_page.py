"""A page with nothing but a microphone and a connection, for servers that have no page."""

from __future__ import annotations

from playwright.async_api import Page

# The microphone as it is: what the browser would do to its sound is not what the network does.
CALL = """
async () => {
  const untouched = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  const audio = { ...untouched, channelCount: 1 };
  const microphone = await navigator.mediaDevices.getUserMedia({ audio });
  const peer = (window.peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" }));
  peer.createDataChannel("oai-events");
  for (const track of microphone.getAudioTracks()) peer.addTrack(track, microphone);
  const voice = (window.voice = new Audio());
  voice.autoplay = true;
  peer.ontrack = ({ streams }) => (voice.srcObject = streams[0]);
  await peer.setLocalDescription();
  const { sdp, type } = peer.localDescription;
  const response = await fetch("/api/voice/offer", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ sdp, type }),
  });
  const answer = await response.json();
  await peer.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  await new Promise((done, failed) => {
    const look = () => {
      if (peer.connectionState === "connected") done();
      if (peer.connectionState === "failed") failed(new Error("no connection"));
    };
    peer.onconnectionstatechange = look;
    look();
  });
}
"""


async def call(page: Page, url: str) -> None:
    """Until it is connected."""
    await page.goto(f"{url}/healthz")
    await page.evaluate(CALL)
