// What the agent says: takes 24 kHz, 16 bits, in pieces as they come, and plays them evenly.
// "clear" takes back what has not been played.

import { Resampler } from "./resample.js";
import { Ring } from "./ring.js";

const RATE_HZ = 24000;
const TELL_EVERY_S = 0.5;

class Playback extends AudioWorkletProcessor {
  ring = new Ring(sampleRate);
  resampler = sampleRate === RATE_HZ ? null : new Resampler(RATE_HZ, Math.round(sampleRate));
  toldAt = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data === "clear") return this.ring.clear();
      const samples = Float32Array.from(new Int16Array(data), (sample) => sample / 32768);
      this.ring.push(this.resampler?.push(samples) ?? samples);
    };
  }

  process(_, [[out]]) {
    this.ring.pull(out);
    if (currentTime - this.toldAt >= TELL_EVERY_S) {
      this.toldAt = currentTime;
      this.port.postMessage(this.ring.waitedMs());
    }
    return true;
  }
}

registerProcessor("playback", Playback);
