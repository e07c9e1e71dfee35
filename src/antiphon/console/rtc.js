// One way of a voice call: a WebRTC connection. It lives until it is closed or dead; the call
// (voice.js) goes on by another.

import { Trickle } from "./ice.js";
import { noConnection, Problem } from "./problems.js";
import { Meter } from "./meter.js";
import { ask } from "./server.js";

const CONNECT_MS = 6000;
const DISCONNECTED_MS = 1000;

/** `hooks`: `message(way, raw)`; `answered(way, ticket)`; `opened(way)`: events can be sent;
 * `down(way, dead)`: nothing comes, and if `dead`, nothing will. */
export class RtcWay {
  name = "webrtc";
  /** Nothing came for so long: it is dead. The server plays silence where there is nothing to say,
   * fifty packets a second. */
  deadMs = 1500;
  /** The same after the browser has told of another network. */
  nervousMs = 400;
  closed = false;
  remote = null;
  answered = false;
  abort = new AbortController();

  constructor(microphone, hooks) {
    this.microphone = microphone;
    this.hooks = hooks;
  }

  static get possible() {
    return Boolean(window.RTCPeerConnection);
  }

  /** Until it works. Throws a Problem, `noPath` where the server answered and no packet gets
   * through. */
  async open({ within, ...request }, iceServers) {
    const peer = (this.peer = new RTCPeerConnection({ ...(await iceServers.get()), bundlePolicy: "max-bundle" }));
    if (this.closed) return this.close();
    this.meter = new Meter(peer);
    this.trickle = new Trickle(peer);
    this.data = peer.createDataChannel("oai-events");
    this.data.onmessage = (message) => this.hooks.message(this, message.data);
    this.data.onopen = () => this.hooks.opened(this);
    this.data.onclose = () => this.hooks.down(this, true);
    peer.ontrack = ({ streams, track }) => (this.remote = streams[0] ?? new MediaStream([track]));
    for (const track of this.microphone.getAudioTracks()) peer.addTrack(track, this.microphone);
    // The offer goes without addresses: the server learns ours from the first packet, and neither
    // side waits for what the browser gathers or hides.
    await peer.setLocalDescription();
    const { sdp, type } = peer.localDescription;
    const answer = await ask("POST", "/api/voice/offer", { sdp, type, ...request }, this.abort.signal, within);
    this.answered = true;
    await this.hooks.answered(this, answer);
    if (this.closed) return;
    this.trickle.begin(answer);
    await peer.setRemoteDescription({ type: answer.type, sdp: answer.sdp });
    await this.connected(peer);
  }

  connected(peer) {
    return new Promise((resolve, reject) => {
      const fail = () => reject(Object.assign(noConnection(), { noPath: true }));
      const timer = setTimeout(fail, CONNECT_MS);
      this.giveUp = () => {
        clearTimeout(timer);
        reject(new Problem("", ""));
      };
      peer.onconnectionstatechange = () => {
        clearTimeout(this.patience);
        switch (peer.connectionState) {
          case "connected":
            clearTimeout(timer);
            resolve();
            break;
          case "disconnected":
            this.patience = setTimeout(() => this.hooks.down(this, false), DISCONNECTED_MS);
            break;
          case "failed":
          case "closed":
            clearTimeout(timer);
            fail();
            this.hooks.down(this, true);
        }
      };
    });
  }

  /** Whether it could be sent. */
  send(event) {
    if (this.data?.readyState !== "open") return false;
    this.data.send(JSON.stringify(event));
    return true;
  }

  /** For how long nothing came, in ms, and what is known of the way to the ear. */
  measure() {
    return this.meter.measure();
  }

  close() {
    this.closed = true;
    this.abort.abort();
    this.giveUp?.();
    this.trickle?.stop();
    clearTimeout(this.patience);
    if (this.data) this.data.onclose = this.data.onmessage = this.data.onopen = null;
    if (this.peer) this.peer.onconnectionstatechange = this.peer.onicecandidate = null;
    this.peer?.close();
  }
}
