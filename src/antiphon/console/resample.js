// Sound at another rate. Sums of a windowed sinc, so that nothing above half of the lower rate is
// folded into what remains.

const ZERO_CROSSINGS = 16;
/** Of half the lower rate: what is above is taken away. */
const PASSED = 0.92;

export class Resampler {
  /** Both in Hz, whole numbers. */
  constructor(fromHz, toHz) {
    const common = gcd(fromHz, toHz);
    this.phases = toHz / common;
    this.step = fromHz / common;
    const cutoff = (PASSED * Math.min(fromHz, toHz)) / fromHz;
    this.half = Math.ceil(ZERO_CROSSINGS / cutoff);
    this.taps = Array.from({ length: this.phases }, (_, phase) => taps(phase / this.phases, cutoff, this.half));
    this.samples = new Float32Array(this.half);
    this.phase = 0;
  }

  /** What is complete with more samples; lags behind by `half` samples. */
  push(more) {
    const { half, taps, phases } = this;
    const samples = new Float32Array(this.samples.length + more.length);
    samples.set(this.samples);
    samples.set(more, this.samples.length);
    const made = [];
    let at = half;
    while (at + half < samples.length) {
      const weights = taps[this.phase];
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * samples[at - half + i];
      made.push(sum);
      this.phase += this.step;
      at += Math.floor(this.phase / phases);
      this.phase %= phases;
    }
    this.samples = samples.slice(at - half);
    return made;
  }
}

/** For a point `offset` samples after the middle one. */
function taps(offset, cutoff, half) {
  const weights = new Float32Array(2 * half + 1);
  let sum = 0;
  for (let i = 0; i < weights.length; i++) {
    const x = i - half - offset;
    const window = 0.5 + 0.5 * Math.cos((Math.PI * x) / (half + 1));
    weights[i] = window * (x ? Math.sin(Math.PI * cutoff * x) / (Math.PI * x) : cutoff);
    sum += weights[i];
  }
  return weights.map((weight) => weight / sum);
}

function gcd(a, b) {
  return b ? gcd(b, a % b) : a;
}
