// The caller's microphone, which stays open while connections come and go.

import { microphoneGone, microphoneProblem, noMicrophoneHere } from "./problems.js";

/** An echo canceller that expects the agent's voice and hears none takes it out of the caller's,
 * so that the first words said over the agent are lost: with headphones it is better off. */
function settings(headphones) {
  return { echoCancellation: !headphones, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
}

export class Microphone {
  stream = null;
  closed = false;

  /** Asks the caller. `onGone(problem)` when it is unplugged. Throws a Problem. */
  async open(headphones, onGone) {
    if (!navigator.mediaDevices?.getUserMedia) throw noMicrophoneHere();
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: settings(headphones) });
    } catch (error) {
      throw microphoneProblem(error);
    }
    if (this.closed) return this.close();
    for (const track of this.tracks) track.onended = () => onGone(microphoneGone());
  }

  get tracks() {
    return this.stream?.getAudioTracks() ?? [];
  }

  setMuted(muted) {
    for (const track of this.tracks) track.enabled = !muted;
  }

  /** Takes effect in mid-call where the browser can do that. */
  setHeadphones(headphones) {
    for (const track of this.tracks) track.applyConstraints(settings(headphones)).catch(() => {});
  }

  close() {
    this.closed = true;
    for (const track of this.tracks) {
      track.onended = null;
      track.stop();
    }
  }
}
