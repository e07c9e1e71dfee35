// What the microphone hears: frames of 20 ms, 16 kHz, 16 bits, to whoever listens at the port.

import { Resampler } from "./resample.js";

const RATE_HZ = 16000;
const FRAME = 320;

class Capture extends AudioWorkletProcessor {
  frame = new Int16Array(FRAME);
  filled = 0;
  // A browser that cannot run at this rate runs at the sound device's.
  resampler = sampleRate === RATE_HZ ? null : new Resampler(Math.round(sampleRate), RATE_HZ);

  process([[heard]]) {
    if (!heard) return true;
    for (const sample of this.resampler?.push(heard) ?? heard) {
      this.frame[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32767)));
      if (this.filled < FRAME) continue;
      this.port.postMessage(this.frame.buffer, [this.frame.buffer]);
      this.frame = new Int16Array(FRAME);
      this.filled = 0;
    }
    return true;
  }
}

registerProcessor("capture", Capture);
