// The conversation as it is written down: one line per turn, in the order in which things began.

const NOT_ANSWERED = { noise: "no words", backchannel: "", unclear: "not understood" };

const BUDGET = {
  warn: "Much of the budget is spent.",
  cheaper: "Most of the budget is spent: a cheaper model answers from now on.",
  end: "The budget is spent: the call is about to end.",
};

export class Score {
  constructor({ sheet, lines, empty, spoken }) {
    Object.assign(this, { sheet, lines, empty, spoken });
    this.agent = "Agent";
    this.call = 0;
    this.items = new Map();
    this.tools = new Map();
    this.latencies = new Map();
    this.costs = null;
  }

  /** A new call: its ids have nothing to do with those of the last. */
  begin() {
    this.call += 1;
    this.items.clear();
    this.tools.clear();
    this.latencies.clear();
    this.costs = null;
  }

  /** One line that stays the last one; nothing where nothing costs anything. */
  cost({ total, unknown, final }) {
    if (total === "0" && !unknown.length) return;
    this.costs?.remove();
    const more = unknown.length ? `, and what has no known price: ${unknown.join(", ")}` : "";
    const text = `Cost${final ? "" : " so far"}: ${Number(total).toFixed(4)} dollars${more}`;
    this.costs = this.element("li", "line");
    this.costs.append(Object.assign(this.element("div", "aside"), { textContent: text }));
    this.lines.append(this.costs);
    this.follow();
  }

  /** Nothing was said. */
  clear() {
    this.begin();
    this.lines.replaceChildren();
    this.empty.hidden = false;
  }

  handle(event) {
    switch (event.type) {
      case "session.created":
        this.agent = display(event.session.agent.name);
        break;
      case "antiphon.session.resumed":
        this.resume(event);
        break;
      case "antiphon.transcript.partial":
        if (event.transcript) this.user(event.item_id, event.transcript, true);
        break;
      case "conversation.item.input_audio_transcription.completed":
        this.finalUser(event);
        break;
      case "conversation.item.deleted":
        this.remove(event.item_id);
        break;
      case "response.output_audio_transcript.delta":
        this.heard(event.response_id, event.delta);
        break;
      case "response.output_audio_transcript.done":
        this.wholeAnswer(event.response_id, event.transcript);
        break;
      case "response.done":
        this.answered(event.response);
        break;
      case "response.function_call_arguments.done":
        this.toolCalled(event);
        break;
      case "antiphon.tool.completed":
        this.toolDone(event);
        break;
      case "antiphon.latency":
        this.latency(event);
        break;
      case "antiphon.cost":
        this.cost(event);
        break;
      case "antiphon.budget":
        this.aside(BUDGET[event.level] ?? `Budget: ${event.level}`);
        break;
      case "error":
        this.aside(event.error?.message ?? "Something went wrong.");
        break;
    }
  }

  /** What was said so far, as the server knows it: what is missing here is added, and what is here
   * stays with all that belongs to it. What was half understood is told anew, if it still counts. */
  resume({ session, items }) {
    this.agent = display(session.agent.name);
    for (const [id, line] of this.items) if (line.classList.contains("partial")) this.remove(id);
    this.silent = true;
    let last = null;
    for (const item of items) {
      this.handle(item);
      const line = this.items.get(item.item_id ?? item.response_id);
      // What came before this did stands above what it tells of.
      if (line && last?.compareDocumentPosition(line) & Node.DOCUMENT_POSITION_PRECEDING) last.after(line);
      last = line ?? last;
    }
    this.silent = false;
    this.follow();
  }

  user(id, text, partial) {
    const line = this.line(id, "You", "user-line");
    line.classList.toggle("partial", partial);
    line.querySelector(".words").textContent = text;
    this.follow();
    return line;
  }

  finalUser({ item_id: id, transcript, outcome }) {
    if (!transcript && (!this.items.has(id) || outcome === "noise")) return this.remove(id);
    const line = this.user(id, transcript || "(not understood)", false);
    const why = NOT_ANSWERED[outcome];
    line.classList.toggle("unheard", Boolean(why) || !transcript);
    if (why && transcript) this.note(line, why);
    this.announce(`You: ${transcript}`);
  }

  heard(id, delta) {
    const line = this.line(id, this.agent, "agent-line");
    const word = document.createElement("span");
    word.className = "word";
    word.textContent = delta;
    line.querySelector(".words").append(word);
    this.follow();
  }

  wholeAnswer(id, transcript) {
    if (!this.items.has(id)) {
      if (!transcript) return;
      this.heard(id, transcript);
    }
    this.line(id, this.agent, "agent-line").querySelector(".words").textContent = transcript;
    if (transcript) this.announce(`${this.agent}: ${transcript}`);
  }

  answered({ id, status, status_details: details }) {
    const line = this.items.get(id);
    if (!line || status === "completed") return;
    if (!line.querySelector(".words").textContent) return this.remove(id);
    // What was not heard is said when the caller is back.
    if (details?.reason === "hold") return line.classList.add("goes-on");
    line.classList.add("cut");
    this.note(line, status === "failed" ? `broken off: ${details?.reason ?? "an error"}` : "interrupted");
  }

  toolCalled({ call_id: id, name, arguments: raw }) {
    const line = this.element("li", "line tool");
    const text = this.element("div", "aside");
    text.append(Object.assign(document.createElement("b"), { textContent: name.replaceAll("_", " ") }), " ", readable(raw));
    line.append(text);
    this.lines.append(line);
    this.tools.set(id, text);
    this.follow();
  }

  toolDone({ call_id: id, output }) {
    this.tools.get(id)?.append(" → ", readable(output));
  }

  /** May come before the first word of its answer has been heard; an empty line would only
   * puzzle. */
  latency(event) {
    this.latencies.set(event.response_id, event);
    const line = this.items.get(event.response_id);
    if (line) this.addLatency(line, event);
  }

  addLatency(line, { total_ms: total, contributions }) {
    if (line.querySelector(".latency")) return;
    const details = this.element("details", "latency");
    const summary = document.createElement("summary");
    summary.textContent = `${(total / 1000).toFixed(2)} s`;
    summary.setAttribute("aria-label", `Answered after ${(total / 1000).toFixed(2)} seconds; show what took how long`);
    const list = document.createElement("dl");
    for (const [name, ms] of Object.entries(contributions ?? {})) {
      list.append(
        Object.assign(document.createElement("dt"), { textContent: name.replace(/_ms$/, "").replaceAll("_", " ") }),
        Object.assign(document.createElement("dd"), { textContent: `${Math.round(ms)} ms` }),
      );
    }
    details.append(summary, list);
    line.append(details);
  }

  aside(text) {
    const line = this.element("li", "line");
    line.append(Object.assign(this.element("div", "aside"), { textContent: text }));
    this.lines.append(line);
    this.empty.hidden = true;
    this.announce(text);
    this.follow();
  }

  /** A rule between calls. */
  ended(text) {
    for (const line of this.lines.querySelectorAll(".partial")) line.classList.remove("partial");
    const line = this.element("li", "mark-line");
    line.textContent = text;
    this.lines.append(line);
    this.announce(text);
    this.follow();
  }

  line(id, name, kind) {
    let line = this.items.get(id);
    if (!line) {
      line = this.element("li", `line ${kind}`);
      line.dataset.id = id;
      line.append(
        Object.assign(this.element("span", "name"), { textContent: name }),
        this.element("p", "words"),
      );
      this.items.set(id, line);
      this.lines.append(line);
      this.empty.hidden = true;
      if (this.latencies.has(id)) this.addLatency(line, this.latencies.get(id));
    }
    return line;
  }

  note(line, text) {
    if (line.querySelector(".note")) return;
    line.querySelector(".words").after(Object.assign(this.element("span", "note aside"), { textContent: text }));
  }

  remove(id) {
    this.items.get(id)?.remove();
    this.items.delete(id);
  }

  element(tag, kind) {
    const element = document.createElement(tag);
    element.className = kind;
    return element;
  }

  /** Only what is final is read out; a screen reader would stumble over growing sentences. */
  announce(text) {
    if (this.silent) return;
    const said = document.createElement("p");
    said.textContent = text;
    this.spoken.append(said);
    while (this.spoken.childElementCount > 4) this.spoken.firstElementChild.remove();
  }

  /** Keep the newest line in sight, unless the reader has scrolled back. */
  follow() {
    const { scrollHeight, scrollTop, clientHeight } = this.sheet;
    if (scrollHeight - scrollTop - clientHeight < 160) this.sheet.scrollTop = scrollHeight;
  }
}

/** JSON as a person would write it down. */
function readable(raw) {
  let value;
  try {
    value = JSON.parse(raw);
  } catch {
    return String(raw).slice(0, 200);
  }
  if (value === null || typeof value !== "object") return String(value).slice(0, 200);
  return Object.entries(value)
    .filter(([, one]) => one !== null && one !== "")
    .map(([key, one]) => `${key.replaceAll("_", " ")} ${typeof one === "object" ? JSON.stringify(one) : one}`)
    .join(", ")
    .slice(0, 200);
}

/** A name as it stands at the beginning of a line. */
export function display(name) {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
