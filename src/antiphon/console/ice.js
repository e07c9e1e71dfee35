// How a connection may be found: the servers that help with it, and the addresses that the page
// tells while it finds them.

import { ask } from "./server.js";

/** A call does not wait longer than this for servers that it may not even need. */
const PATIENCE_MS = 800;
const DEFAULT_TTL_S = 3600;
const BATCH_MS = 50;

/** Asked for before they are needed, and again before their credentials run out. */
export class IceServers {
  known = {};
  freshUntil = 0;

  /** What RTCPeerConnection wants; never throws. */
  async get() {
    if (Date.now() >= this.freshUntil) {
      await Promise.race([this.fetch(), new Promise((done) => setTimeout(done, PATIENCE_MS))]);
    }
    return this.known;
  }

  fetch() {
    this.asking ??= this.ask().finally(() => (this.asking = undefined));
    return this.asking;
  }

  async ask() {
    try {
      const response = await fetch("/api/voice/ice-servers");
      if (!response.ok) throw new Error(response.statusText);
      const { iceServers = [], iceTransportPolicy = "all", ttl_s: ttl = DEFAULT_TTL_S } = await response.json();
      this.known = { iceServers, iceTransportPolicy };
      this.keep(ttl);
    } catch {
      // A server without any: its own address is enough.
      this.keep(DEFAULT_TTL_S);
    }
  }

  keep(ttlS) {
    const ms = Math.max(30, ttlS * 0.8) * 1000;
    this.freshUntil = Date.now() + ms;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(), ms);
  }
}

/** Tells the server the addresses of a connection as they are found. The server learns a direct one
 * from the first packet that comes from there, and a browser hides it anyway; so only those that
 * were found with the help of others are told. */
export class Trickle {
  found = [];

  constructor(peer) {
    peer.onicecandidate = ({ candidate }) => {
      if (!candidate?.candidate || candidate.type === "host") return;
      const { candidate: text, sdpMid, sdpMLineIndex, usernameFragment } = candidate;
      this.found.push({ candidate: text, sdpMid, sdpMLineIndex, usernameFragment });
      this.soon();
    };
  }

  /** From now on the server knows whose they are. */
  begin(ticket) {
    this.ticket = ticket;
    this.soon();
  }

  soon() {
    if (!this.ticket || !this.found.length) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      const { session_id, token } = this.ticket;
      const body = { session_id, token, candidates: this.found.splice(0) };
      // Without them the connection may still come about.
      ask("PATCH", "/api/voice/offer", body).catch(() => {});
    }, BATCH_MS);
  }

  stop() {
    clearTimeout(this.timer);
    this.ticket = undefined;
  }
}
