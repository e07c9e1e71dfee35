"""A call by Chromium without the page: the steps that a page takes, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Page

# Candidates go after the offer (RFC 8838). `wanted` lets a test leave out what a page would do.
CALL_JS = """
async (wanted) => {
  const asked = wanted.iceServers ? {} : await (await fetch("/api/voice/ice-servers")).json();
  const config = {
    iceServers: wanted.iceServers ?? asked.iceServers,
    iceTransportPolicy: wanted.policy ?? asked.iceTransportPolicy,
  };
  const media = await navigator.mediaDevices.getUserMedia({ audio: true });
  const pc = new RTCPeerConnection(config);
  window.calls = window.calls ?? [];
  window.calls.push(pc);
  const data = pc.createDataChannel("oai-events");
  for (const track of media.getTracks()) pc.addTrack(track, media);
  pc.ontrack = (e) => {
    const player = new Audio();
    player.srcObject = e.streams[0] ?? new MediaStream([e.track]);
    player.play();
    window.calls.push(player);
  };
  const errors = [];
  const refused = new Promise((resolve) => {
    pc.onicecandidateerror = (e) => {
      errors.push(e.errorCode);
      if (e.errorCode === wanted.error) resolve();
    };
  });
  const waiting = [];
  let ticket = null;
  const patches = [];
  const flush = async () => {
    if (!ticket || !waiting.length || wanted.trickle === false) return;
    const candidates = waiting.splice(0);
    const response = await fetch("/api/voice/offer", {
      method: "PATCH",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...ticket, candidates }),
    });
    patches.push(response.status);
  };
  pc.onicecandidate = (e) => { waiting.push(e.candidate && e.candidate.toJSON()); flush(); };
  const over = new Promise((resolve) => {
    pc.onconnectionstatechange = () => {
      if (["connected", "failed"].includes(pc.connectionState)) resolve();
    };
    setTimeout(resolve, wanted.timeout_ms ?? 30000);
  });
  const began = performance.now();
  await pc.setLocalDescription(await pc.createOffer());
  const response = await fetch("/api/voice/offer", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ sdp: pc.localDescription.sdp, type: "offer" }),
  });
  const answer = await response.json();
  if (!response.ok) return { state: "refused", status: response.status };
  const answered = performance.now();
  ticket = { session_id: answer.session_id, token: answer.token };
  await pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  flush();
  // An error that is waited for decides: nothing connects after it.
  await (wanted.error ? Promise.race([refused, over]) : over);
  const connected = performance.now();
  const told = {
    state: pc.connectionState, ice: pc.iceConnectionState, errors, patches,
    answered_ms: answered - began, connected_ms: connected - began, answer: answer.sdp,
  };
  if (pc.connectionState === "connected") {
    const stats = await pc.getStats();
    let transport = null;
    stats.forEach((one) => { if (one.type === "transport") transport = one; });
    const pair = stats.get(transport.selectedCandidatePairId);
    told.local = stats.get(pair.localCandidateId).candidateType;
    told.remote = stats.get(pair.remoteCandidateId).candidateType;
    told.remote_address = stats.get(pair.remoteCandidateId).address;
    told.remote_port = stats.get(pair.remoteCandidateId).port;
    told.dtls = transport.dtlsRole;
  }
  // Both ways, until so much has come, or much longer than it takes.
  const until = performance.now() + 20000;
  while (wanted.packets && performance.now() < until) {
    (await pc.getStats()).forEach((one) => {
      if (one.type === "inbound-rtp") {
        told.packets = one.packetsReceived;
        told.energy = one.totalAudioEnergy;
      }
      if (one.type === "outbound-rtp") told.sent = one.packetsSent;
    });
    if (Math.min(told.packets ?? 0, told.sent ?? 0) >= wanted.packets) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  if (wanted.hang_up !== false) {
    await fetch("/api/voice/hangup", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(ticket),
    });
    pc.close();
  }
  for (const track of media.getTracks()) track.stop();
  return told;
}
"""


@dataclass(frozen=True, slots=True)
class BrowserCall:
    """What became of a call."""

    state: str
    """`connected`, `failed`, `connecting` where time ran out, `refused`."""
    answered_ms: float = 0.0
    connected_ms: float = 0.0
    local: str = ""
    """Type of the candidate that the browser uses: `host`, `srflx`, `prflx`, `relay`."""
    remote: str = ""
    remote_address: str = ""
    remote_port: int = 0
    dtls: str = ""
    packets: int = 0
    sent: int = 0
    energy: float = 0.0
    answer: str = ""
    ice: str = ""
    status: int = 200
    errors: list[int] = field(default_factory=list)
    """Of STUN and TURN servers, such as 401."""
    patches: list[int] = field(default_factory=list)


async def call(page: Page, **wanted: Any) -> BrowserCall:
    """A call from a page of the server's."""
    return BrowserCall(**await page.evaluate(CALL_JS, wanted))
