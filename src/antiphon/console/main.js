// The page: what is pressed, what is shown. `phase` is one of idle, connecting, call, text.

import { TextLine, VoiceLine } from "./line.js";
import { Problem, unreachable } from "./problems.js";
import { display, Score } from "./score.js";
import { Strings } from "./strings.js";

const $ = (id) => document.getElementById(id);
const ui = Object.fromEntries(
  ["agent", "agent-label", "agent-name", "state", "mute", "talk", "talk-label", "hold", "hold-key", "clock", "problem", "problem-title",
    "problem-text", "problem-type", "write", "message", "send", "voice", "headphones"].map((id) => [id, $(id)]),
);
const score = new Score({ sheet: $("sheet"), lines: $("lines"), empty: $("empty"), spoken: $("spoken") });
const strings = new Strings($("strings"));

const LAST_WORDS_MS = 300;

let phase = "idle";
let line = null;
let startedAt = 0;
let endReason = "";
let clockTimer = 0;
let state = null;
let pushToTalk = false;

// ---- what is shown ----

function agentName() {
  return display(ui.agent.value || score.agent);
}

function setPhase(next) {
  phase = next;
  document.body.dataset.phase = next;
  const inCall = next !== "idle";
  ui["talk-label"].textContent = { idle: "Talk", connecting: "Cancel", call: "Hang up", text: "End" }[next];
  showHold();
  ui.clock.hidden = next !== "call";
  ui.agent.disabled = inCall;
  clearInterval(clockTimer);
  if (next === "call") {
    startedAt = Date.now();
    showClock();
    clockTimer = setInterval(showClock, 1000);
  }
  if (next === "idle") state = null;
  showState();
}

/** An agent that waits for a key has a button to hold; muting would be one too many. */
function showHold() {
  const manual = pushToTalk && phase === "call";
  ui.mute.hidden = phase !== "call" || manual;
  ui.hold.hidden = ui["hold-key"].hidden = !manual;
}

function showClock() {
  ui.clock.textContent = duration();
}

function duration() {
  const seconds = Math.max(0, Math.round((Date.now() - startedAt) / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function showState() {
  const text = stateText(state ?? {});
  if (ui.state.textContent !== text) ui.state.textContent = text;
}

function stateText({ user, agent }) {
  const name = agentName();
  if (phase === "idle") return `${name} is here.`;
  if (phase === "connecting") return "Connecting…";
  if (agent === "thinking") return `${name} is thinking`;
  if (phase === "text") return `Writing to ${name}`;
  if (agent === "paused") return `${name} pauses for you`;
  if (user === "speaking") return agent === "speaking" ? "You both speak" : `${name} listens to you`;
  if (agent === "speaking") return `${name} is speaking`;
  if (user === "away") return "Are you still there?";
  if (pushToTalk) return "Hold the button while you speak";
  return line?.muted ? "You are muted" : "Your turn";
}

function showProblem(problem) {
  ui.problem.hidden = !problem;
  if (!problem) return;
  ui["problem-title"].textContent = problem.title;
  ui["problem-text"].textContent = problem.text;
  ui["problem-type"].hidden = phase !== "idle";
}

// ---- calls ----

function onEvent(event) {
  score.handle(event);
  switch (event.type) {
    case "session.created":
      document.body.dataset.session = event.session.id;
      pushToTalk = event.session.turn_mode === "manual";
      showHold();
      break;
    case "antiphon.state":
      document.body.dataset.user = event.user;
      document.body.dataset.agent = event.agent;
      state = event;
      showState();
      break;
    case "antiphon.session.ended":
      endReason = event.reason ?? "";
      // The end of what the agent said is still in the jitter buffer.
      setTimeout((ended) => ended?.finish(), LAST_WORDS_MS, line);
      break;
  }
}

function onEnd(problem) {
  const spoke = phase === "call";
  line = null;
  strings.stop();
  ui.voice.srcObject = null;
  if (spoke || phase === "text") score.ended(spoke ? `The call ended after ${duration()}` : "The conversation ended");
  document.body.dataset.ended = problem ? problem.title : endReason;
  delete document.body.dataset.user;
  delete document.body.dataset.agent;
  setPhase("idle");
  if (problem) showProblem(problem);
}

async function talk() {
  line?.leave();
  showProblem(null);
  endReason = "";
  score.begin();
  setPhase("connecting");
  const mine = (line = new VoiceLine(onEvent, onEnd));
  try {
    await mine.open(ui.agent.value, ui.voice, ui.headphones.checked);
  } catch (error) {
    if (line !== mine) return;
    line = null;
    setPhase("idle");
    showProblem(error instanceof Problem ? error : new Problem("The call could not be made.", String(error)));
    return;
  }
  if (line !== mine || mine.over) return;
  setMuted(false);
  setPhase("call");
  strings.listen("user", mine.microphone);
  if (mine.remote) strings.listen("agent", mine.remote);
}

function setMuted(muted) {
  if (!(line instanceof VoiceLine)) return;
  line.setMuted(muted);
  ui.mute.setAttribute("aria-pressed", String(muted));
  ui.mute.textContent = muted ? "Muted" : "Mute";
  showState();
}

function holdToTalk(held) {
  if (phase !== "call" || !pushToTalk || ui.hold.ariaPressed === String(held)) return;
  ui.hold.ariaPressed = String(held);
  line.send({ type: "antiphon.talk_key", held });
}

function write(text) {
  showProblem(null);
  if (!line) {
    endReason = "";
    score.begin();
    setPhase("text");
    line = new TextLine(onEvent, onEnd);
    line.open(ui.agent.value);
  }
  line.sendText(text);
}

// ---- what is pressed ----

function pressTalk() {
  if (phase === "idle") void talk();
  else line?.hangUp();
}

ui.talk.addEventListener("click", pressTalk);
ui.mute.addEventListener("click", () => setMuted(!line?.muted));
ui.hold.addEventListener("pointerdown", (event) => {
  ui.hold.setPointerCapture(event.pointerId);
  holdToTalk(true);
});
for (const letGo of ["pointerup", "pointercancel", "lostpointercapture"]) {
  ui.hold.addEventListener(letGo, () => holdToTalk(false));
}
ui.headphones.addEventListener("change", () => {
  remember("headphones", ui.headphones.checked);
  if (line instanceof VoiceLine) line.setHeadphones(ui.headphones.checked);
});
ui["problem-type"].addEventListener("click", () => ui.message.focus());
ui.agent.addEventListener("change", showState);
ui.write.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = ui.message.value.trim();
  if (!text) return;
  ui.message.value = "";
  write(text);
});

const typing = (event) => event.target.closest("input:not([type=checkbox]), select, textarea");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && phase === "call" && pushToTalk && !typing(event)) {
    event.preventDefault(); // also the repeated ones: the page must not scroll
    holdToTalk(true);
    return;
  }
  if (event.repeat) return;
  if (event.key === "Escape") {
    if (phase !== "idle") line?.hangUp();
    return;
  }
  if (typing(event)) return;
  const keys = {
    t: () => phase === "idle" && !ui.talk.disabled && pressTalk(),
    m: () => phase === "call" && setMuted(!line?.muted),
    "/": () => ui.message.focus(),
  };
  const action = keys[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
});

document.addEventListener("keyup", (event) => {
  if (event.key === " ") holdToTalk(false);
});
addEventListener("blur", () => holdToTalk(false));
addEventListener("pagehide", () => line?.leave());

// ---- begin ----

// Some browsers refuse storage to pages that were opened in private; nothing depends on it.
function remember(key, value) {
  try {
    localStorage.setItem(`antiphon.${key}`, value);
  } catch {
    /* not remembered */
  }
}

function remembered(key) {
  try {
    return localStorage.getItem(`antiphon.${key}`);
  } catch {
    return null;
  }
}

async function begin() {
  ui.headphones.checked = remembered("headphones") === "true";
  try {
    const response = await fetch("/api/agents");
    const { agents } = await response.json();
    for (const { name } of agents) ui.agent.append(new Option(display(name), name));
    const several = agents.length > 1;
    ui.agent.hidden = ui["agent-label"].hidden = !several;
    ui["agent-name"].textContent = several ? "" : display(agents[0].name);
    score.agent = display(agents[0].name);
  } catch {
    ui.state.textContent = "Nobody answers.";
    showProblem(unreachable());
    return;
  }
  ui.talk.disabled = false;
  setPhase("idle");
}

void begin();
