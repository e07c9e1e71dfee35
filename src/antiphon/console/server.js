// Requests to the server about a call.

import { refusal, unreachable } from "./problems.js";

const TIMEOUT_MS = 12000;

/** The answer's object; throws a Problem. */
export async function ask(method, path, body, signal, within = TIMEOUT_MS) {
  const deadline = AbortSignal.timeout?.(within);
  const until = signal && deadline && AbortSignal.any ? AbortSignal.any([signal, deadline]) : signal ?? deadline;
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: until,
    });
  } catch {
    throw unreachable();
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw refusal(response.status, answer);
  return answer;
}

/** A request that outlives the page. */
export function tell(path, { session_id, token }) {
  navigator.sendBeacon(path, new Blob([JSON.stringify({ session_id, token })], { type: "application/json" }));
}
