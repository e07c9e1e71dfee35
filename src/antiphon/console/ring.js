// Sound between a network that delivers it by fits and starts and a loudspeaker that takes it evenly.

/** So much is gathered before a piece begins; more for a network that was late. */
const START_MS = 50;
const MOST_START_MS = 140;
const MORE_MS = 30;
/** What comes so soon after the last was used up was late, and not another piece. */
const LATE_MS = 80;
/** Where so much more waits than at the beginning, pauses are shortened. */
const SLACK_MS = 30;
/** Of more the oldest is lost. */
const MOST_MS = 500;
const FADE_MS = 6;
const QUIET = 0.004;

export class Ring {
  pieces = [];
  fill = 0;
  playing = false;
  startMs = START_MS;
  waited = 0;
  idle = Infinity;
  fading = 0;
  last = 0;
  depth = { sum: 0, count: 0 };

  constructor(rateHz) {
    this.rateHz = rateHz;
  }

  samples(ms) {
    return Math.round((ms * this.rateHz) / 1000);
  }

  /** Float samples. */
  push(piece) {
    // What was taken back is silent in a moment; what comes now is not part of it.
    if (this.fading) this.drop();
    if (this.idle < this.samples(LATE_MS)) this.startMs = Math.min(MOST_START_MS, this.startMs + MORE_MS);
    this.idle = Infinity;
    this.pieces.push({ piece, at: 0 });
    this.fill += piece.length;
    while (this.fill > this.samples(MOST_MS)) this.fill -= this.left(this.pieces.shift());
    if (this.playing) {
      this.depth.sum += this.fill;
      this.depth.count += 1;
    }
  }

  /** Take back what has not been played. */
  clear() {
    if (this.playing) this.fading = this.samples(FADE_MS);
    else this.drop();
  }

  /** Fill a block. */
  pull(out) {
    if (!this.playing && !this.begins(out.length)) {
      this.idle += out.length;
      return this.rest(out, 0);
    }
    this.catchUp(out.length);
    const length = this.samples(FADE_MS);
    let made = 0;
    while (made < out.length && this.pieces.length) {
      const first = this.pieces[0];
      let sample = first.piece[first.at++];
      this.fill -= 1;
      if (first.at >= first.piece.length) this.pieces.shift();
      if (this.fading) {
        sample *= this.fading / length;
        if (!--this.fading) this.drop();
      }
      out[made++] = this.last = sample;
    }
    if (made < out.length && this.playing) {
      this.stop();
      this.idle = 0;
    }
    this.rest(out, made);
  }

  /** Whether there is enough to begin with, or no more comes. */
  begins(block) {
    if (!this.fill) return false;
    this.waited += block;
    const start = this.samples(this.startMs);
    if (this.fill < start && this.waited < start) return false;
    this.waited = 0;
    this.playing = true;
    return true;
  }

  /** Leave out a block in which nothing is said, where too much waits. */
  catchUp(block) {
    while (this.fill > this.samples(this.startMs + SLACK_MS) && this.quiet(block)) {
      for (let left = block; left > 0; ) {
        const first = this.pieces[0];
        const taken = Math.min(left, this.left(first));
        first.at += taken;
        left -= taken;
        this.fill -= taken;
        if (!this.left(first)) this.pieces.shift();
      }
    }
  }

  quiet(block) {
    let left = block;
    for (const { piece, at } of this.pieces) {
      for (let i = at; i < piece.length; i++) {
        if (Math.abs(piece[i]) > QUIET) return false;
        if (!--left) return true;
      }
    }
    return false;
  }

  left({ piece, at }) {
    return piece.length - at;
  }

  /** No click at the end of a piece. */
  rest(out, from) {
    for (let i = from; i < out.length; i++) out[i] = this.last *= 0.97;
    if (Math.abs(this.last) < 1e-5) this.last = 0;
  }

  drop() {
    this.pieces = [];
    this.fill = 0;
    this.stop();
  }

  stop() {
    this.playing = false;
    this.waited = 0;
    this.fading = 0;
  }

  /** How long a sample waited on average since this was asked last. */
  waitedMs() {
    const { sum, count } = this.depth;
    this.depth = { sum: 0, count: 0 };
    return Math.round(((count ? sum / count : this.samples(this.startMs)) / this.rateHz) * 1000);
  }
}
