// What a browser keeps for the page. Some refuse it to pages that were opened in private; nothing
// depends on it.

const TICKET = "antiphon.call";

/** How long the server waits for a caller who is away, in ms: as it said when it gave the ticket. */
export function waitsMs({ resume_s = 60, leave_s = resume_s, leftAt }) {
  return 1000 * (leftAt ? leave_s : resume_s);
}

export function remember(key, value) {
  try {
    localStorage.setItem(`antiphon.${key}`, value);
  } catch {
    /* not remembered */
  }
}

export function remembered(key) {
  try {
    return localStorage.getItem(`antiphon.${key}`);
  } catch {
    return null;
  }
}

/** The call that this window is in, so that it goes on when the page is loaded again: session_id,
 * token, resume_s, leave_s, agent, startedAt, muted; `leftAt` once the page has gone away. It is the window's alone:
 * the session's store, not the one that all windows share. */
export const ticket = {
  write(call) {
    try {
      if (call) sessionStorage.setItem(TICKET, JSON.stringify(call));
      else sessionStorage.removeItem(TICKET);
    } catch {
      /* the call ends with the page */
    }
  },

  /** Null where there is none, or the server has surely given it up. */
  read() {
    try {
      const call = JSON.parse(sessionStorage.getItem(TICKET));
      if (call?.session_id && call.token && !(Date.now() - call.leftAt > waitsMs(call))) return call;
    } catch {
      /* none */
    }
    this.write(null);
    return null;
  },
};
