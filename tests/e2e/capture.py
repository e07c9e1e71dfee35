"""What went in and out of a page: microphone and agent, sample by sample, taken in the browser."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from playwright.async_api import Page
from tests.support.live import TAPE_PATH

Samples = npt.NDArray[np.int16]

# Before the page's own scripts: remember the microphone's track and the connections, which the page
# keeps to itself.
REMEMBER_MICROPHONE = """
const addTrack = RTCPeerConnection.prototype.addTrack;
RTCPeerConnection.prototype.addTrack = function (track, ...rest) {
  window.microphoneTrack = track;
  (window.peers ??= []).push(this);
  return addTrack.call(this, track, ...rest);
};
"""
# One audio graph for both, so that they share a clock. What arrives is taken after the browser's
# jitter buffer and concealment: as the caller would hear it, but for the loudspeaker. By a worklet,
# because a page that is late loses nothing of what one has taken.
_START = """
async (worklet) => {
  const context = new AudioContext({ sampleRate: 48000 });
  await context.resume();
  await context.audioWorklet.addModule(worklet);
  const merger = context.createChannelMerger(2);
  const voice = document.getElementById("voice");
  const of = [() => window.microphoneTrack, () => voice.srcObject?.getAudioTracks()[0]];
  const sources = [null, null];
  // A call that has lost its connection goes on by another one, with tracks of its own.
  const follow = () => of.forEach((current, channel) => {
    const track = current();
    if (!track || sources[channel]?.track === track) return;
    sources[channel]?.node.disconnect();
    const node = context.createMediaStreamSource(new MediaStream([track]));
    node.connect(merger, 0, channel);
    sources[channel] = { track, node };
  });
  follow();
  const two = { channelCount: 2, channelCountMode: "explicit" };
  const tap = new AudioWorkletNode(context, "tape", { ...two, outputChannelCount: [2] });
  const tape = (window.tape = { context, tap, chunks: [] });
  tape.rest = new Promise((done) => {
    tap.port.onmessage = ({ data }) => {
      follow();
      tape.chunks.push(data.whole);
      if (data.rest) done();
    };
  });
  merger.connect(tap);
  tap.connect(context.destination);
}
"""
_STOP = """
async () => {
  const { context, tap, chunks, rest } = window.tape;
  tap.port.postMessage("stop");
  await rest;
  await context.close();
  const whole = new Int16Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  const bytes = new Uint8Array(whole.buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192)
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}
"""
_MADE_UP_MS = """
async () => {
  let samples = 0;
  for (const peer of window.peers ?? [])
    for (const one of (await peer.getStats()).values())
      if (one.type === "inbound-rtp")
        samples += one.concealedSamples - (one.silentConcealedSamples ?? 0)
          + one.insertedSamplesForDeceleration + one.removedSamplesForAcceleration;
  return samples / 48;
}
"""
RATE_HZ = 48_000
BLOCK_MS = 10
_BLOCK = RATE_HZ * BLOCK_MS // 1000


@dataclass(frozen=True, slots=True)
class Tape:
    """Both sides of a call, 48 kHz."""

    caller: Samples
    agent: Samples


async def start_recording(page: Page) -> None:
    """From now on; of a call that is still to come, from its beginning."""
    await page.evaluate(_START, TAPE_PATH)


async def stop_recording(page: Page) -> Tape:
    both = np.frombuffer(base64.b64decode(await page.evaluate(_STOP)), "<i2").reshape(-1, 2)
    return Tape(both[:, 0].copy(), both[:, 1].copy())


async def made_up_ms(page: Page) -> float:
    """How much of the agent's sound the browser has made up, stretched or left out, because packets
    came late or not at all."""
    return float(await page.evaluate(_MADE_UP_MS))


def spectrum_peak_hz(samples: Samples) -> float:
    """The strongest frequency."""
    spectrum = np.abs(np.fft.rfft(samples.astype(float)))
    spectrum[0] = 0
    return float(np.argmax(spectrum)) * RATE_HZ / len(samples)


def envelope_db(samples: Samples, rate_hz: int = RATE_HZ) -> npt.NDArray[np.float64]:
    """Level of each 10 ms in dB of full scale."""
    block = rate_hz * BLOCK_MS // 1000
    whole = samples[: len(samples) // block * block].astype(float).reshape(-1, block)
    return np.asarray(10 * np.log10((whole**2).mean(axis=1) / 32768**2 + 1e-9), float)


def spans_ms(
    samples: Samples, above_db: float = -50, gap_ms: int = 600, least_ms: int = 50
) -> list[tuple[int, int]]:
    """Where there is sound: spans of (start, end), joined over gaps shorter than `gap_ms`; a click
    shorter than `least_ms` is none."""
    loud = np.flatnonzero(envelope_db(samples) > above_db) * BLOCK_MS
    spans: list[tuple[int, int]] = []
    for at in loud.tolist():
        if spans and at - spans[-1][1] <= gap_ms:
            spans[-1] = (spans[-1][0], at + BLOCK_MS)
        else:
            spans.append((at, at + BLOCK_MS))
    return [span for span in spans if span[1] - span[0] >= least_ms]


def likeness(heard: Samples, expected: Samples, expected_rate_hz: int) -> float:
    """How alike two pieces of speech are in how their level rises and falls: the highest
    correlation of their envelopes over all offsets; 1 is the same, other speech is below 0.6."""
    one = np.maximum(envelope_db(heard), -60) + 60
    two = np.maximum(envelope_db(expected, expected_rate_hz), -60) + 60
    if len(one) < len(two):
        one = np.pad(one, (0, len(two) - len(one)))
    best = 0.0
    for offset in range(len(one) - len(two) + 1):
        piece = one[offset : offset + len(two)]
        if piece.std() > 1:
            best = max(best, float(np.corrcoef(piece, two)[0, 1]))
    return best
