// The other way of a voice call, where WebRTC is blocked: sound and events over a WebSocket
// (docs/websocket.md).

import { noConnection, refusal } from "./problems.js";

const CONNECT_MS = 6000;
const UP_HZ = 16000;
const DOWN_HZ = 24000;
/** Where more waits than this the network is not fit for a call: 3 s of sound. */
const MOST_UNSENT_BYTES = UP_HZ * 2 * 3;
/** The server's close code. */
const OVER = 1000;
const STATUS = { capacity_error: 503, invalid_request_error: 400, session_error: 410 };

/** As RtcWay, see there. */
export class SocketWay {
  name = "websocket";
  /** The server sends a sign of life where there was nothing else for a second. */
  deadMs = 2200;
  nervousMs = 1400;
  closed = false;
  answered = false;
  remote = null;
  bufferMs = 0;

  constructor(microphone, hooks) {
    this.microphone = microphone;
    this.hooks = hooks;
    this.heardAt = performance.now();
  }

  async open({ agent, resume, within = CONNECT_MS }) {
    const query = new URLSearchParams({ up_rate: UP_HZ, down_rate: DOWN_HZ });
    if (resume) query.set("session", resume.session_id);
    else if (agent) query.set("agent", agent);
    await this.openSound();
    if (this.closed) return;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = (this.socket = new WebSocket(`${scheme}://${location.host}/api/voice/socket?${query}`));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => resume && socket.send(JSON.stringify({ type: "antiphon.socket.resume", token: resume.token }));
    await this.opened(socket, within);
    this.capture.port.onmessage = ({ data }) => this.sendSound(data);
  }

  opened(socket, within) {
    return new Promise((resolve, reject) => {
      let refused = null;
      const timer = setTimeout(() => reject(noConnection()), within);
      this.giveUp = () => {
        clearTimeout(timer);
        reject(noConnection());
      };
      socket.onmessage = ({ data }) => {
        this.heardAt = performance.now();
        if (typeof data !== "string") return this.player.port.postMessage(data, [data]);
        const event = parse(data);
        if (event?.type === "antiphon.socket.opened") {
          clearTimeout(timer);
          this.answered = true;
          this.hooks.answered(this, event);
          resolve();
        } else if (event?.type === "antiphon.socket.alive") return;
        else if (event?.type === "antiphon.playout.clear") this.player.port.postMessage("clear");
        else if (!this.answered && event?.type === "error") {
          refused = refusal(STATUS[event.error?.type] ?? 400, event);
        } else this.hooks.message(this, data);
      };
      socket.onclose = ({ code }) => {
        clearTimeout(timer);
        reject(refused ?? noConnection());
        this.hooks.down(this, true, code === OVER);
      };
    });
  }

  /** What the microphone hears in frames of 20 ms, and a loudspeaker for what comes. */
  async openSound() {
    [this.ears, this.mouth] = await Promise.all([context(UP_HZ, "capture"), context(DOWN_HZ, "playback")]);
    if (this.closed) return this.close();
    this.capture = new AudioWorkletNode(this.ears, "capture", { channelCount: 1, channelCountMode: "explicit" });
    this.ears.createMediaStreamSource(this.microphone).connect(this.capture);
    // A node that leads nowhere may not be run at all; this one says nothing.
    this.capture.connect(this.ears.destination);
    this.player = new AudioWorkletNode(this.mouth, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.player.port.onmessage = ({ data }) => (this.bufferMs = data);
    const out = this.mouth.createMediaStreamDestination();
    this.player.connect(out);
    this.remote = out.stream;
  }

  sendSound(frame) {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    if (this.socket.bufferedAmount > MOST_UNSENT_BYTES) this.hooks.down(this, false);
    else this.socket.send(frame);
  }

  send(event) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(event));
    return true;
  }

  async measure() {
    const quietMs = performance.now() - this.heardAt;
    const output = (this.mouth.outputLatency || this.mouth.baseLatency) * 1000;
    const playout = { jitter_buffer_ms: this.bufferMs, ...(output && { output_ms: Math.round(output) }) };
    return { quietMs, playout };
  }

  /** After the browser has let sound in and out. */
  unlock() {
    void this.ears?.resume();
    void this.mouth?.resume();
  }

  close() {
    this.closed = true;
    this.giveUp?.();
    if (this.socket) {
      this.socket.onclose = this.socket.onmessage = this.socket.onopen = null;
      // Without a code: the call may go on by another way.
      this.socket.close();
    }
    for (const one of [this.ears, this.mouth]) if (one && one.state !== "closed") void one.close();
  }
}

async function context(rateHz, worklet) {
  let made;
  try {
    made = new AudioContext({ sampleRate: rateHz, latencyHint: "interactive" });
  } catch {
    made = new AudioContext({ latencyHint: "interactive" });
  }
  void made.resume();
  await made.audioWorklet.addModule(`/console/${worklet}.worklet.js`);
  return made;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
