// The two ways to the agent: a voice call (WebRTC) and a text call (WebSocket). Both carry the
// events of docs/events.md and look the same to the page.

import { lineLost, microphoneProblem, noConnection, noMicrophoneHere, Problem, refusal, unreachable } from "./problems.js";

const CONNECT_TIMEOUT_MS = 12000;

/** An echo canceller that expects the agent's voice and hears none takes it out of the caller's,
 * so that the first words said over the agent are lost: with headphones it is better off. */
function microphoneSettings(headphones) {
  return { echoCancellation: !headphones, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
}

/** Common to both: `onEvent(event)`, `onEnd(problem or null)`; onEnd comes once. */
class Line {
  constructor(onEvent, onEnd) {
    this.onEvent = onEvent;
    this.onEnd = onEnd;
    this.over = false;
    this.unsent = [];
    this.saidGoodbye = false;
  }

  sendText(text) {
    this.send({
      type: "conversation.item.create",
      item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
    });
  }

  receive(raw) {
    let event;
    try {
      event = JSON.parse(raw);
    } catch {
      return;
    }
    if (event.type === "antiphon.session.ended") this.saidGoodbye = true;
    this.onEvent(event);
  }

  finish(problem = null) {
    if (this.over) return;
    this.over = true;
    this.release();
    this.onEnd(this.saidGoodbye ? null : problem);
  }
}

export class VoiceLine extends Line {
  muted = false;

  /** Ask for the microphone and call. Throws a Problem. */
  async open(agent, voice, headphones) {
    if (!navigator.mediaDevices?.getUserMedia || !window.RTCPeerConnection) throw noMicrophoneHere();
    try {
      this.microphone = await navigator.mediaDevices.getUserMedia({ audio: microphoneSettings(headphones) });
    } catch (error) {
      throw microphoneProblem(error);
    }
    if (this.over) return this.release();
    try {
      await this.connect(agent, voice);
    } catch (error) {
      this.over = true;
      this.release();
      throw error instanceof Problem ? error : new Problem("The call could not be made.", String(error.message ?? error));
    }
  }

  async connect(agent, voice) {
    const started = performance.now();
    const peer = (this.peer = new RTCPeerConnection({ iceServers: [], bundlePolicy: "max-bundle" }));
    this.data = peer.createDataChannel("oai-events");
    this.data.onmessage = (message) => this.receive(message.data);
    this.data.onopen = () => this.flush();
    this.data.onclose = () => this.finish(lineLost());
    peer.ontrack = ({ streams, track }) => {
      this.remote = streams[0] ?? new MediaStream([track]);
      voice.srcObject = this.remote;
      // Refused only where no gesture came before, and this call began with one.
      voice.play().catch(() => {});
    };
    for (const track of this.microphone.getAudioTracks()) {
      peer.addTrack(track, this.microphone);
      track.onended = () => this.finish(new Problem("The microphone was unplugged.", "Plug it in again and press Talk. You can also type."));
    }
    // The offer goes without addresses: the server learns ours from the first packet, and neither
    // side waits for what the browser gathers or hides.
    await peer.setLocalDescription();
    const answer = await postOffer(peer.localDescription, agent);
    this.session = { session_id: answer.session_id, token: answer.token };
    if (this.over) return;
    await peer.setRemoteDescription({ type: answer.type, sdp: answer.sdp });
    await this.connected(peer);
    document.documentElement.dataset.connectMs = Math.round(performance.now() - started);
  }

  connected(peer) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(noConnection()), CONNECT_TIMEOUT_MS);
      peer.onconnectionstatechange = () => {
        if (peer.connectionState === "connected") {
          clearTimeout(timer);
          resolve();
        } else if (peer.connectionState === "failed" || peer.connectionState === "closed") {
          clearTimeout(timer);
          reject(noConnection());
          this.finish(lineLost());
        }
      };
    });
  }

  send(event) {
    if (this.data?.readyState === "open") this.data.send(JSON.stringify(event));
    else this.unsent.push(event);
  }

  flush() {
    for (const event of this.unsent.splice(0)) this.send(event);
  }

  setMuted(muted) {
    this.muted = muted;
    for (const track of this.microphone?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  /** Takes effect in mid-call where the browser can do that. */
  setHeadphones(headphones) {
    for (const track of this.microphone?.getAudioTracks() ?? []) {
      track.applyConstraints(microphoneSettings(headphones)).catch(() => {});
    }
  }

  hangUp() {
    if (this.data?.readyState === "open") {
      this.send({ type: "antiphon.hang_up" });
      // The server answers by ending the session; do not wait for it longer than this.
      setTimeout(() => this.finish(), 600);
    } else this.leave();
  }

  /** The page goes away: tell the server by a request that outlives it. */
  leave() {
    if (this.session && !this.over) {
      navigator.sendBeacon("/api/voice/hangup", new Blob([JSON.stringify(this.session)], { type: "application/json" }));
    }
    this.finish();
  }

  release() {
    for (const track of this.microphone?.getTracks() ?? []) {
      track.onended = null;
      track.stop();
    }
    if (this.data) this.data.onclose = null;
    if (this.peer) this.peer.onconnectionstatechange = null;
    this.peer?.close();
  }
}

async function postOffer(description, agent) {
  let response;
  try {
    response = await fetch("/api/voice/offer", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ sdp: description.sdp, type: description.type, ...(agent && { agent }) }),
      signal: AbortSignal.timeout?.(CONNECT_TIMEOUT_MS),
    });
  } catch {
    throw unreachable();
  }
  const body = await response.json().catch(() => null);
  if (!response.ok) throw refusal(response.status, body);
  return body;
}

export class TextLine extends Line {
  open(agent) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const query = agent ? `?agent=${encodeURIComponent(agent)}` : "";
    this.socket = new WebSocket(`${scheme}://${location.host}/api/text${query}`);
    let wasOpen = false;
    this.socket.onopen = () => {
      wasOpen = true;
      for (const event of this.unsent.splice(0)) this.send(event);
    };
    this.socket.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.type === "error" && event.error?.type === "capacity_error") {
        this.finish(refusal(503, event));
      } else this.receive(message.data);
    };
    this.socket.onclose = () => this.finish(wasOpen ? lineLost() : unreachable());
  }

  send(event) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
    else this.unsent.push(event);
  }

  hangUp() {
    this.send({ type: "antiphon.hang_up" });
    setTimeout(() => this.finish(), 600);
  }

  leave() {
    this.finish();
  }

  release() {
    if (!this.socket) return;
    this.socket.onclose = null;
    this.socket.close();
  }
}
