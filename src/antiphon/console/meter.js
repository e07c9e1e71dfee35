// What the browser knows of a connection: whether anything comes, and how long sound takes from
// the server to the ear.

export class Meter {
  heard = null;
  device = null;
  packets = -1;
  changedAt = performance.now();

  constructor(peer) {
    this.peer = peer;
  }

  /** `quietMs`: for how long nothing came. `playout`: the fields of `antiphon.playout`, those that
   * are known. */
  async measure() {
    const report = await this.peer.getStats();
    const playout = {};
    for (const one of report.values()) {
      if (one.type === "inbound-rtp" && one.kind === "audio") this.inbound(one, playout);
      else if (one.type === "media-playout") this.output(one, playout);
      else if (one.type === "transport") this.path(report.get(one.selectedCandidatePairId), playout);
      else if (one.type === "remote-inbound-rtp") playout.round_trip_ms ??= round(one.roundTripTime * 1000);
      else if (one.type === "candidate-pair" && one.nominated && one.state === "succeeded") this.path(one, playout);
    }
    return { quietMs: performance.now() - this.changedAt, playout };
  }

  inbound(one, playout) {
    if (one.packetsReceived !== this.packets) {
      this.packets = one.packetsReceived;
      this.changedAt = performance.now();
    }
    const before = this.heard ?? { jitterBufferDelay: 0, jitterBufferEmittedCount: 0 };
    this.heard = one;
    const ms = mean(one.jitterBufferDelay - before.jitterBufferDelay, one.jitterBufferEmittedCount - before.jitterBufferEmittedCount);
    if (ms !== null) playout.jitter_buffer_ms = ms;
  }

  /** Chromium measures the sound device per sample. */
  output(one, playout) {
    const before = this.device ?? { totalPlayoutDelay: 0, totalSamplesCount: 0 };
    this.device = one;
    const ms = mean(one.totalPlayoutDelay - before.totalPlayoutDelay, one.totalSamplesCount - before.totalSamplesCount);
    if (ms !== null) playout.output_ms = ms;
  }

  path(pair, playout) {
    if (pair?.currentRoundTripTime !== undefined) playout.round_trip_ms = round(pair.currentRoundTripTime * 1000);
  }
}

/** Seconds in all, of so many: milliseconds each. */
function mean(seconds, count) {
  const ms = (seconds / count) * 1000;
  return count > 0 && ms >= 0 && ms <= 10000 ? round(ms) : null;
}

function round(ms) {
  return Math.round(ms * 10) / 10;
}
