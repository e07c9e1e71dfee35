// Takes what is heard and said in a page, sample by sample, for tests/e2e/capture.py.

registerProcessor("tape", class extends AudioWorkletProcessor {
  taken = [];
  over = false;
  constructor() {
    super();
    this.port.onmessage = () => {
      this.send("rest");
      this.over = true;
    };
  }
  send(rest) {
    const whole = new Int16Array(this.taken.length * 256);
    this.taken.forEach(([caller, agent], at) => {
      for (let i = 0; i < 128; i++) {
        whole[at * 256 + 2 * i] = level(caller[i]);
        whole[at * 256 + 2 * i + 1] = level(agent[i]);
      }
    });
    this.taken = [];
    this.port.postMessage({ whole, rest: Boolean(rest) });
  }
  process([[caller, agent]]) {
    // Before anybody is connected there is no input, and time goes on.
    this.taken.push([caller?.slice() ?? NOTHING, agent?.slice() ?? NOTHING]);
    if (this.taken.length >= 64) this.send();
    return !this.over;
  }
});
const NOTHING = new Float32Array(128);
const level = (s) => Math.max(-32768, Math.min(32767, Math.round(s * 32767)));
