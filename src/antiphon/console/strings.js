// Four strings, as in the notation of plainchant: the upper two sound with the agent's voice, the
// lower two with the caller's.

const STRINGS = [
  { voice: "agent", waves: 2, hertz: 1.9 },
  { voice: "agent", waves: 3, hertz: 2.6 },
  { voice: "user", waves: 3, hertz: 2.3 },
  { voice: "user", waves: 2, hertz: 1.6 },
];

export class Strings {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.meters = {};
    this.levels = { agent: 0, user: 0 };
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.frame = 0;
    new ResizeObserver(() => this.draw(performance.now())).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw(performance.now()));
  }

  /** Listen to a stream as one of the voices. */
  listen(voice, stream) {
    this.audio ??= new AudioContext();
    void this.audio.resume();
    const analyser = this.audio.createAnalyser();
    analyser.fftSize = 512;
    const source = this.audio.createMediaStreamSource(stream);
    source.connect(analyser);
    this.meters[voice]?.source.disconnect();
    this.meters[voice] = { source, analyser, samples: new Float32Array(analyser.fftSize) };
    if (!this.frame) this.run();
  }

  /** How long the sound device takes, in ms; undefined where the browser does not know. */
  get outputMs() {
    return Math.round((this.audio?.outputLatency ?? 0) * 1000) || undefined;
  }

  stop() {
    this.meters = {};
    void this.audio?.close();
    this.audio = undefined;
  }

  run() {
    this.frame = requestAnimationFrame((now) => {
      this.measure();
      this.draw(now);
      const sounding = this.levels.agent > 0.003 || this.levels.user > 0.003;
      this.frame = 0;
      if (sounding || Object.keys(this.meters).length) this.run();
    });
  }

  measure() {
    for (const voice of ["agent", "user"]) {
      const meter = this.meters[voice];
      let level = 0;
      if (meter) {
        meter.analyser.getFloatTimeDomainData(meter.samples);
        let sum = 0;
        for (const sample of meter.samples) sum += sample * sample;
        const decibels = 10 * Math.log10(sum / meter.samples.length + 1e-9);
        level = Math.min(1, Math.max(0, (decibels + 52) / 40));
      }
      const pull = level > this.levels[voice] ? 0.5 : 0.09;
      this.levels[voice] += (level - this.levels[voice]) * pull;
    }
  }

  draw(now) {
    const { canvas, context } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const colours = { agent: style.getPropertyValue("--red"), user: style.getPropertyValue("--ink"), rest: style.getPropertyValue("--soft") };
    const gap = height / 5;
    STRINGS.forEach((string, index) => this.string(string, gap * (index + 1), gap, width, now, colours));
  }

  string({ voice, waves, hertz }, y, gap, width, now, colours) {
    const { context } = this;
    const level = this.levels[voice];
    const swing = this.still.matches ? 0 : level * gap * 0.95;
    context.beginPath();
    for (let x = 0; x <= width; x += 3) {
      const place = x / width;
      const shape = Math.sin(Math.PI * place) * Math.sin(Math.PI * waves * place * 2 + (now / 1000) * hertz * 2 * Math.PI);
      context.lineTo(x, y + swing * shape);
    }
    context.lineWidth = 1 + level * (this.still.matches ? 5 : 1.2);
    context.globalAlpha = level > 0.02 ? 0.55 + 0.45 * level : 0.4;
    context.strokeStyle = level > 0.02 ? colours[voice] : colours.rest;
    context.stroke();
    context.globalAlpha = 1;
  }
}
