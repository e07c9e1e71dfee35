// What went wrong, in plain words, and what to do about it.

export class Problem extends Error {
  /** @param {string} title what happened  @param {string} text what to do
   * @param {number} status the server's, where it refused */
  constructor(title, text, status = 0) {
    super(title);
    this.title = title;
    this.text = text;
    this.status = status;
  }

  /** Whether the server would say the same again. */
  get final() {
    return this.status >= 400 && this.status < 500 && this.status !== 408 && this.status !== 429;
  }
}

/** The problem behind a refused or failed getUserMedia. */
export function microphoneProblem(error) {
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return new Problem(
        "The microphone is not allowed.",
        "Allow it for this page: press the icon beside the address above, then press Talk again. You can also type.",
      );
    case "NotFoundError":
    case "OverconstrainedError":
      return new Problem(
        "No microphone was found.",
        "Plug one in or turn on your headset, then press Talk again. You can also type.",
      );
    case "NotReadableError":
    case "AbortError":
      return new Problem(
        "The microphone is busy.",
        "Another program seems to use it. Close that program, then press Talk again. You can also type.",
      );
    default:
      return new Problem("The microphone did not start.", `The browser said: ${error.message}. You can also type.`);
  }
}

export function noMicrophoneHere() {
  if (!window.isSecureContext) {
    return new Problem(
      "This address may not use the microphone.",
      "Browsers give it only to https pages and to localhost. Open the page on the server itself, or through https. You can also type.",
    );
  }
  return new Problem("This browser has no microphone.", "Open the page in a current Firefox, Chrome, Edge or Safari. You can also type.");
}

/** The problem behind an answer of the server that is not a call. */
export function refusal(status, body) {
  const said = body?.error?.message ?? "";
  const kind = body?.error?.type;
  if (status === 503) {
    return new Problem("No line is free just now.", said || "The server takes no more calls at present. Try again in a moment.", status);
  }
  if (status === 410) return new Problem("The call is over.", "The server has ended it. Press Talk to call again.", status);
  if (status === 403 && kind === "session_error") {
    return new Problem("The call cannot go on.", "The server does not know it any more. Press Talk to begin a new one.", status);
  }
  if (status === 403) return new Problem("The server refused this page.", said, status);
  return new Problem("The call could not be made.", said || `The server answered ${status}. Try again in a moment.`, status);
}

export function unreachable() {
  return new Problem("The server cannot be reached.", "See whether it still runs and whether you are online, then try again.");
}

export function noConnection() {
  return new Problem(
    "The voice connection did not come about.",
    "A firewall or VPN on the way probably blocks it. Try another network. Typing still works.",
  );
}

export function microphoneGone() {
  return new Problem("The microphone was unplugged.", "Plug it in again and press Talk. You can also type.");
}

export function lineLost() {
  return new Problem("The connection was lost.", "Press Talk to call again. Typing still works.");
}
