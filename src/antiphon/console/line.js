// What the ways to the agent have in common: they carry the events of docs/events.md and look the
// same to the page.

const MOST_UNSENT = 50;
/** The server answers a goodbye by ending the session; it is not waited for longer than this. */
const GOODBYE_MS = 600;

/** `hooks.event(event)` for each event, `hooks.end(problem or null)` once. */
export class Line {
  over = false;
  saidGoodbye = false;
  unsent = [];

  constructor(hooks) {
    this.hooks = hooks;
  }

  sendText(text) {
    this.send({
      type: "conversation.item.create",
      item: { type: "message", role: "user", content: [{ type: "input_text", text }] },
    });
  }

  /** What cannot be sent now goes when it can; of too much the oldest is lost. */
  send(event) {
    if (this.deliver(event)) return;
    this.unsent.push(event);
    if (this.unsent.length > MOST_UNSENT) this.unsent.shift();
  }

  flush() {
    for (const event of this.unsent.splice(0)) this.send(event);
  }

  receive(raw) {
    let event;
    try {
      event = JSON.parse(raw);
    } catch {
      return;
    }
    if (event.type === "antiphon.session.ended") this.saidGoodbye = true;
    this.hooks.event(event);
  }

  hangUp() {
    if (this.deliver({ type: "antiphon.hang_up" })) setTimeout(() => this.finish(), GOODBYE_MS);
    else this.finish();
  }

  finish(problem = null) {
    if (this.over) return;
    this.over = true;
    this.release();
    this.hooks.end(this.saidGoodbye ? null : problem);
  }
}
