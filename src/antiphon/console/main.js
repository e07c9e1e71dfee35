// The page: what is pressed and what happens then.

import { IceServers } from "./ice.js";
import { listenToKeys } from "./keys.js";
import { remember, remembered, ticket as kept, waitsMs } from "./memory.js";
import { Problem, unreachable } from "./problems.js";
import { display, Score } from "./score.js";
import { tell } from "./server.js";
import { Strings } from "./strings.js";
import { TextLine } from "./text.js";
import { ui, View } from "./view.js";
import { VoiceLine } from "./voice.js";

const $ = (id) => document.getElementById(id);
const LAST_WORDS_MS = 300;

const score = new Score({ sheet: $("sheet"), lines: $("lines"), empty: $("empty"), spoken: $("spoken") });
const strings = new Strings($("strings"));
const iceServers = new IceServers();
const view = new View(() => display(ui.agent.value || score.agent), act);
/** Tells the windows of this browser which of them is in a call. */
const windows = "BroadcastChannel" in window ? new BroadcastChannel("antiphon.call") : null;

let line = null;
let endReason = "";
let held = null;

// ---- what the line tells ----

function onEvent(event) {
  score.handle(event);
  switch (event.type) {
    case "session.created":
    case "antiphon.session.resumed":
      document.body.dataset.session = event.session.id;
      view.pushToTalk = event.session.turn_mode === "manual";
      break;
    case "antiphon.state":
      document.body.dataset.user = event.user;
      document.body.dataset.agent = event.agent;
      view.state = event;
      break;
    case "antiphon.session.ended":
      endReason = event.reason ?? "";
      // The end of what the agent said is still in the jitter buffer.
      setTimeout((ended) => ended?.finish(), LAST_WORDS_MS, line);
      return;
    default:
      return;
  }
  view.show();
}

function onChange(mine) {
  if (line !== mine) return;
  view.searching = mine.state === "searching";
  view.slow = mine.way?.name === "websocket";
  if (mine.way) document.body.dataset.way = mine.way.name;
  view.show();
}

function onRemote(mine, stream) {
  if (line !== mine) return;
  windows?.postMessage(mine.ticket.session_id);
  ui.voice.srcObject = stream;
  strings.listen("agent", stream);
  void playSound();
}

/** Refused only where no gesture came before; a call begins with one, but not one that goes on. */
async function playSound() {
  try {
    line?.way?.unlock?.();
    await ui.voice.play();
    view.soundBlocked = false;
  } catch (error) {
    view.soundBlocked = error.name === "NotAllowedError";
  }
  view.show();
}

function onEnd(problem) {
  const spoke = view.phase === "call";
  line = null;
  clean();
  if (spoke || view.phase === "text") score.ended(spoke ? `The call ended after ${view.duration()}` : "The conversation ended");
  document.body.dataset.ended = problem ? problem.title : endReason;
  view.setPhase("idle");
  if (problem) view.showProblem(problem);
}

function clean() {
  strings.stop();
  ui.voice.srcObject = null;
  for (const name of ["user", "agent", "way"]) delete document.body.dataset[name];
}

// ---- calls ----

function begin(phase) {
  line?.leave();
  drop();
  view.showProblem(null);
  endReason = "";
  score.begin();
  view.setPhase(phase);
}

function voiceLine() {
  const mine = new VoiceLine(
    { event: onEvent, end: onEnd, change: () => onChange(mine), remote: (stream) => onRemote(mine, stream), outputMs: () => strings.outputMs },
    iceServers,
  );
  return (line = mine);
}

async function talk() {
  begin("connecting");
  const started = performance.now();
  const mine = voiceLine();
  try {
    await mine.call(ui.agent.value, ui.headphones.checked);
  } catch (error) {
    return failed(mine, error);
  }
  if (entered(mine)) document.documentElement.dataset.connectMs = Math.round(performance.now() - started);
}

/** Back to a call that was there before the page was. */
async function goOn() {
  const ticket = held;
  held = null;
  view.goesOn = true;
  view.showProblem(null);
  view.setPhase("connecting");
  const mine = voiceLine();
  try {
    await mine.goOn(ticket, ui.headphones.checked);
  } catch (error) {
    // Over, or somebody else's: nothing that the caller would want to hear of now.
    failed(mine, error.final ? null : error);
    // The microphone may yet be allowed.
    if (!line && !mine.over) hold(ticket);
    return;
  }
  entered(mine);
}

function entered(mine) {
  if (line !== mine || mine.over) return false;
  view.muted = mine.muted;
  view.setPhase("call", mine.ticket.startedAt);
  onChange(mine);
  strings.listen("user", mine.microphone.stream);
  return true;
}

function failed(mine, error) {
  if (line !== mine) return;
  line = null;
  clean();
  view.setPhase("idle");
  if (!error) score.clear();
  else view.showProblem(error instanceof Problem ? error : new Problem("The call could not be made.", String(error)));
}

/** A call that waits is not gone on with. */
function drop() {
  if (!held) return;
  tell("/api/voice/hangup", held);
  kept.write(null);
  held = null;
}

function setMuted(muted) {
  if (!(line instanceof VoiceLine)) return;
  line.setMuted(muted);
  view.muted = muted;
  view.show();
}

function holdToTalk(pressed) {
  if (view.phase !== "call" || !view.pushToTalk || ui.hold.ariaPressed === String(pressed)) return;
  ui.hold.ariaPressed = String(pressed);
  line.send({ type: "antiphon.talk_key", held: pressed });
}

function write(text) {
  view.showProblem(null);
  if (!line) {
    begin("text");
    line = new TextLine({ event: onEvent, end: onEnd });
    line.open(ui.agent.value);
  }
  line.sendText(text);
}

// ---- what is pressed ----

function pressTalk() {
  if (view.phase === "idle") void talk();
  else if (view.phase === "held") void goOn();
  else line?.hangUp();
}

function act(what) {
  if (what === "sound") void playSound();
  if (what !== "end") return;
  drop();
  view.setPhase("idle");
}

ui.talk.addEventListener("click", pressTalk);
ui.mute.addEventListener("click", () => setMuted(!view.muted));
ui.hold.addEventListener("pointerdown", (event) => {
  ui.hold.setPointerCapture(event.pointerId);
  holdToTalk(true);
});
for (const letGo of ["pointerup", "pointercancel", "lostpointercapture"]) {
  ui.hold.addEventListener(letGo, () => holdToTalk(false));
}
ui.headphones.addEventListener("change", () => {
  remember("headphones", ui.headphones.checked);
  if (line instanceof VoiceLine) line.microphone.setHeadphones(ui.headphones.checked);
});
ui["problem-type"].addEventListener("click", () => ui.message.focus());
ui.agent.addEventListener("change", () => view.show());
ui.write.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = ui.message.value.trim();
  if (!text) return;
  ui.message.value = "";
  write(text);
});
listenToKeys({
  holding: () => view.phase === "call" && view.pushToTalk,
  hold: holdToTalk,
  escape: () => view.phase !== "idle" && view.phase !== "held" && line?.hangUp(),
  t: () => (view.phase === "idle" || view.phase === "held") && !ui.talk.disabled && pressTalk(),
  m: () => view.phase === "call" && setMuted(!view.muted),
  "/": () => ui.message.focus(),
});
addEventListener("pagehide", () => line?.leave());
// A page that the browser had kept comes back as it was left: without its call.
addEventListener("pageshow", (event) => event.persisted && void comeBack());
windows?.addEventListener("message", ({ data }) => {
  if (line?.ticket?.session_id === data) line.standDown?.();
  if (held?.session_id === data) {
    held = null;
    kept.write(null);
    view.setPhase("idle");
  }
});

// ---- begin ----

async function mayListen() {
  try {
    return (await navigator.permissions.query({ name: "microphone" })).state === "granted";
  } catch {
    return false;
  }
}

/** To the call in which the page was when it was loaded again. A window that was not left in mid-call
 * but has its ticket is a copy of another window, or back from a crash: it asks first. */
async function comeBack() {
  held = kept.read();
  if (!held) return view.setPhase("idle");
  if (held.agent) ui.agent.value = held.agent;
  if (held.leftAt && (await mayListen())) return void goOn();
  hold(held);
}

/** Offer a call that waits, for as long as it does. */
function hold(ticket) {
  held = ticket;
  view.setPhase("held");
  setTimeout(() => {
    if (held !== ticket) return;
    held = null;
    kept.write(null);
    view.setPhase("idle");
  }, (ticket.leftAt ?? Date.now()) + waitsMs(ticket) - Date.now());
}

async function load() {
  ui.headphones.checked = remembered("headphones") === "true";
  void iceServers.get();
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
    view.showProblem(unreachable());
    return;
  }
  ui.talk.disabled = false;
  await comeBack();
}

void load();
