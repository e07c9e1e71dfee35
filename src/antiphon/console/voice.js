// A voice call. It goes on while its ways (a WebRTC connection, or a WebSocket where that is
// blocked) are lost and replaced, and while the page is loaded again.

import { Line } from "./line.js";
import { ticket as kept, waitsMs } from "./memory.js";
import { Microphone } from "./microphone.js";
import { Network } from "./network.js";
import { lineLost, Problem } from "./problems.js";
import { RtcWay } from "./rtc.js";
import { tell } from "./server.js";
import { SocketWay } from "./socket.js";

const NERVOUS_MS = 3000;
const ALIVE_MS = 350;
const LOOK_MS = 500;
const LOOK_HARD_MS = 100;
const PLAYOUT_MS = 1000;
const RETRY_MS = [0, 500, 1000, 2000];
/** A request from before the network came back may never be answered; one on a slow network is. */
const ANSWER_MS = [3000, 3000, 3000, 3000, 8000];

/** More of `hooks`: `change()` when `state` or the way is another one, `remote(stream)` with what
 * is to be heard, `outputMs()` of the sound device, if known. */
export class VoiceLine extends Line {
  /** `connecting`, `up`, or `searching` for another way. */
  state = "connecting";
  muted = false;
  /** What works, or worked last. */
  way = null;
  /** What is being tried. */
  trial = null;
  ticket = null;
  socketOnly = !RtcWay.possible;
  nervousUntil = 0;
  toldPlayoutAt = 0;
  microphone = new Microphone();

  constructor(hooks, iceServers) {
    super(hooks);
    this.iceServers = iceServers;
  }

  /** Ask for the microphone and call. Throws a Problem. */
  async call(agent, headphones) {
    await this.openMicrophone(headphones);
    if (this.over) return;
    this.agent = agent;
    try {
      await this.join({ ...(agent && { agent }) });
    } catch (error) {
      this.fail(error);
    }
    this.watch();
  }

  /** Go on with the call of a ticket. Throws a Problem, whose `status` is the server's. */
  async goOn(ticket, headphones) {
    this.ticket = { ...ticket, leftAt: undefined };
    await this.openMicrophone(headphones);
    if (this.over) return;
    this.socketOnly ||= Boolean(ticket.slow);
    this.setMuted(Boolean(ticket.muted));
    try {
      await this.search((ticket.leftAt ?? Date.now()) + waitsMs(ticket));
    } catch (error) {
      this.fail(error);
    }
    this.watch();
  }

  async openMicrophone(headphones) {
    await this.microphone.open(headphones, (problem) => this.finish(problem));
    if (!this.over) this.network = new Network(() => this.onNetwork());
  }

  /** It did not come about: said by what is thrown, not by `hooks.end`. */
  fail(error) {
    if (this.over) return;
    if (error.final) this.forget();
    this.over = true;
    this.release();
    throw error instanceof Problem ? error : new Problem("The call could not be made.", String(error.message ?? error));
  }

  // ---- ways ----

  /** One try: throws a Problem. */
  async join(request) {
    if (!this.socketOnly) {
      try {
        return await this.take(new RtcWay(this.microphone.stream, this), request);
      } catch (problem) {
        if (!problem.noPath || this.over || this.state === "up") throw problem;
      }
    }
    const resumed = this.ticket ? { ...this.resuming(), within: request.within } : request;
    await this.take(new SocketWay(this.microphone.stream, this), resumed);
  }

  resuming() {
    return { resume: { session_id: this.ticket.session_id, token: this.ticket.token } };
  }

  async take(way, request) {
    this.trial = way;
    try {
      await way.open(request, this.iceServers);
    } catch (problem) {
      way.close();
      throw problem;
    } finally {
      if (this.trial === way) this.trial = null;
    }
    if (this.over || way.closed) return way.close();
    this.way?.close();
    this.way = way;
    this.socketOnly = way.name === "websocket";
    this.keep({ slow: this.socketOnly });
    this.hooks.remote(way.remote);
    this.turn("up");
    this.flush();
  }

  turn(state) {
    if (this.over || (this.state === state && state !== "up")) return;
    this.state = state;
    this.hooks.change();
  }

  /** Until there is a way, or none any more: then it throws a Problem. `until`: the server waits
   * no longer. */
  async search(until = Date.now() + waitsMs(this.ticket)) {
    this.searching = true;
    try {
      for (let round = 0; !this.over && this.state !== "up"; round++) {
        await this.pause(at(RETRY_MS, round));
        if (this.over || this.state === "up") return;
        try {
          await this.join({ ...this.resuming(), within: at(ANSWER_MS, round) });
        } catch (problem) {
          if (problem.final) throw problem;
        }
        if (this.state !== "up" && Date.now() > until) throw lineLost();
      }
    } finally {
      this.searching = false;
    }
  }

  pause(ms) {
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, ms);
    });
  }

  lost() {
    this.turn("searching");
    if (!this.searching) this.search().catch((problem) => this.finish(problem));
  }

  // ---- what a way tells ----

  message(way, raw) {
    if (way === this.way || way === this.trial) this.receive(raw);
  }

  async answered(way, { session_id, token, resume_s, leave_s }) {
    this.ticket ??= { session_id, token, agent: this.agent, startedAt: Date.now(), muted: this.muted };
    Object.assign(this.ticket, { resume_s, leave_s });
    // The request was too far gone to be taken back.
    if (this.over) return tell("/api/voice/hangup", this.ticket);
    kept.write(this.ticket);
    // What brought the answer may have brought the old way back to life.
    if (way === this.trial) await this.look();
  }

  opened(way) {
    if (way === this.way) this.flush();
  }

  /** Nothing comes by a way; if it is `dead`, nothing will; `ended`: the server says that the call
   * is over. */
  down(way, dead, ended = false) {
    if (way !== this.way || this.over) return;
    if (ended) this.forget();
    if (this.saidGoodbye || this.hangingUp || ended) return this.finish();
    if (dead) way.close();
    this.lost();
  }

  /** The old way works again; another one would only interrupt the call once more. */
  revived() {
    this.turn("up");
    this.trial?.close();
    this.wake?.();
    this.flush();
  }

  // ---- watching ----

  async watch() {
    while (!this.over) {
      await new Promise((done) => (this.looking = setTimeout(done, this.hurried ? LOOK_HARD_MS : LOOK_MS)));
      await this.look();
    }
  }

  async look() {
    const way = this.way;
    if (!way || way.closed || this.over) return;
    const { quietMs, playout } = await way.measure().catch(() => ({ quietMs: 0, playout: {} }));
    if (way !== this.way || way.closed || this.over) return;
    if (quietMs > (this.nervous ? way.nervousMs : way.deadMs)) this.down(way, false);
    else if (this.state === "searching" && quietMs < ALIVE_MS) this.revived();
    else if (this.state === "up") this.tellPlayout(playout);
  }

  get nervous() {
    return performance.now() < this.nervousUntil;
  }

  get hurried() {
    return this.nervous || this.state === "searching";
  }

  tellPlayout(playout) {
    const now = performance.now();
    if (now - this.toldPlayoutAt < PLAYOUT_MS - 50) return;
    this.toldPlayoutAt = now;
    const outputMs = playout.output_ms ?? this.hooks.outputMs?.();
    if (outputMs) playout.output_ms = outputMs;
    if (Object.keys(playout).length) this.deliver({ type: "antiphon.playout", ...playout });
  }

  onNetwork() {
    this.nervousUntil = performance.now() + NERVOUS_MS;
    this.socketOnly = !RtcWay.possible;
    if (this.state !== "searching") return;
    // What was asked by the old network may never be answered.
    if (this.trial && !this.trial.answered) this.trial.close();
    this.wake?.();
  }

  // ---- what the page asks ----

  deliver(event) {
    return this.state === "up" && Boolean(this.way?.send(event));
  }

  setMuted(muted) {
    this.muted = muted;
    this.microphone.setMuted(muted);
    this.keep({ muted });
  }

  /** Remember more about the call. */
  keep(more) {
    if (this.ticket && !this.over && !this.hangingUp) kept.write((this.ticket = { ...this.ticket, ...more }));
  }

  hangUp() {
    this.hangingUp = true;
    kept.write(null);
    super.hangUp();
  }

  /** The page goes away, and may come back to the call. */
  leave() {
    if (this.over) return;
    this.left = true;
    if (this.ticket) {
      tell("/api/voice/leave", this.ticket);
      kept.write({ ...this.ticket, leftAt: Date.now() });
    }
    this.finish();
  }

  /** The call goes on in another window. */
  standDown() {
    this.left = true;
    kept.write(null);
    this.finish();
  }

  finish(problem = null) {
    if (problem?.final) this.forget();
    super.finish(problem);
  }

  /** The server knows the call no more. */
  forget() {
    this.ticket = null;
    kept.write(null);
  }

  release() {
    if (this.ticket && !this.left) {
      kept.write(null);
      if (!this.saidGoodbye) tell("/api/voice/hangup", this.ticket);
    }
    clearTimeout(this.looking);
    this.network?.stop();
    this.microphone.close();
    this.trial?.close();
    this.way?.close();
    this.wake?.();
  }
}

/** The last one stands for all that follow. */
function at(list, index) {
  return list[Math.min(index, list.length - 1)];
}
