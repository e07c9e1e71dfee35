// What the page shows of a call, apart from its words. `phase` is one of idle, held (a call waits
// for its caller), connecting, call, text.

const IDS = ["agent", "agent-label", "agent-name", "state", "mute", "talk", "talk-label", "hold", "hold-key", "clock", "problem",
  "problem-title", "problem-text", "problem-type", "notice", "notice-text", "notice-act", "write", "message", "send", "voice", "headphones"];
export const ui = Object.fromEntries(IDS.map((id) => [id, document.getElementById(id)]));

const LABELS = { idle: "Talk", held: "Go on with the call", connecting: "Cancel", call: "Hang up", text: "End" };

export class View {
  phase = "idle";
  /** Whether the call was there before this page was. */
  goesOn = false;
  searching = false;
  slow = false;
  soundBlocked = false;
  pushToTalk = false;
  muted = false;
  /** The last `antiphon.state`. */
  state = null;
  startedAt = 0;
  clockTimer = 0;

  /** `agentName()` tells who is there, `act(what)` is called for what a notice offers. */
  constructor(agentName, act) {
    this.agentName = agentName;
    ui["notice-act"].addEventListener("click", () => act(this.offer));
  }

  /** `startedAt` of the call, in milliseconds since 1970. */
  setPhase(next, startedAt = Date.now()) {
    this.phase = next;
    document.body.dataset.phase = next;
    ui["talk-label"].textContent = next === "connecting" && this.goesOn ? "Hang up" : LABELS[next];
    ui.clock.hidden = next !== "call";
    ui.agent.disabled = next !== "idle";
    clearInterval(this.clockTimer);
    if (next === "call") {
      this.startedAt = startedAt;
      this.showClock();
      this.clockTimer = setInterval(() => this.showClock(), 1000);
    }
    if (next === "idle") {
      this.state = null;
      this.searching = this.slow = this.soundBlocked = this.goesOn = this.pushToTalk = false;
    }
    this.show();
  }

  /** An agent that waits for a key has a button to hold; muting would be one too many. */
  showButtons() {
    const manual = this.pushToTalk && this.phase === "call";
    ui.mute.hidden = this.phase !== "call" || manual;
    ui.hold.hidden = ui["hold-key"].hidden = !manual;
    ui.mute.setAttribute("aria-pressed", String(this.muted));
    ui.mute.textContent = this.muted ? "Muted" : "Mute";
  }

  showClock() {
    ui.clock.textContent = this.duration();
  }

  duration() {
    const seconds = Math.max(0, Math.round((Date.now() - this.startedAt) / 1000));
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  }

  /** After any of the above has changed. */
  show() {
    this.showButtons();
    document.body.dataset.line = this.searching ? "searching" : "up";
    const text = this.stateText(this.state ?? {});
    if (ui.state.textContent !== text) ui.state.textContent = text;
    this.showNotice();
  }

  stateText({ user, agent }) {
    const name = this.agentName();
    if (this.phase === "idle") return `${name} is here.`;
    if (this.phase === "held") return "Your call is waiting.";
    if (this.phase === "connecting") return this.goesOn ? "Your call goes on…" : "Connecting…";
    if (this.searching) return "Reconnecting…";
    if (agent === "thinking") return `${name} is thinking`;
    if (this.phase === "text") return `Writing to ${name}`;
    if (agent === "paused") return `${name} pauses for you`;
    if (user === "speaking") return agent === "speaking" ? "You both speak" : `${name} listens to you`;
    if (agent === "speaking") return `${name} is speaking`;
    if (user === "away") return "Are you still there?";
    if (this.pushToTalk) return "Hold the button while you speak";
    return this.muted ? "You are muted" : "Your turn";
  }

  /** One quiet sentence about the line, and what can be done. */
  showNotice() {
    const [text, offer = "", label = ""] = this.notice();
    if (ui["notice-text"].textContent !== text) ui["notice-text"].textContent = text;
    this.offer = offer;
    ui["notice-act"].textContent = label;
    ui["notice-act"].hidden = !offer;
    ui.notice.classList.toggle("blank", !text);
  }

  notice() {
    if (this.phase === "held") return [`${this.agentName()} keeps the line open.`, "end", "End it instead"];
    if (this.phase !== "call") return [""];
    if (this.searching) return ["The connection is gone for the moment. Your call waits for it; you can also hang up."];
    if (this.soundBlocked) return ["The browser keeps the sound off.", "sound", "Turn it on"];
    return [this.slow ? "Connected over a slower path." : ""];
  }

  showProblem(problem) {
    ui.problem.hidden = !problem;
    if (!problem) return;
    ui["problem-title"].textContent = problem.title;
    ui["problem-text"].textContent = problem.text;
    ui["problem-type"].hidden = this.phase !== "idle" && this.phase !== "held";
  }
}
