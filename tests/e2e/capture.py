"""What a page really heard: the remote track's samples, taken inside the browser."""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt
from playwright.async_api import Page

# Read from the track itself rather than from the loudspeaker, so no audio device is needed.
_START = """
() => {
  const track = document.getElementById("voice").srcObject.getAudioTracks()[0].clone();
  const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
  const tape = (window.tape = { chunks: [], rate: 0, track });
  (async () => {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      tape.rate = value.sampleRate;
      const samples = new Float32Array(value.numberOfFrames);
      value.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      tape.chunks.push(samples);
      value.close();
    }
  })();
}
"""
_STOP = """
() => {
  const { chunks, rate, track } = window.tape;
  track.stop();
  const whole = new Int16Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) for (const sample of chunk) whole[at++] = Math.round(sample * 32767);
  const bytes = new Uint8Array(whole.buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192)
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return [btoa(text), rate];
}
"""


async def start_recording(page: Page) -> None:
    """Begin to keep what the agent's voice delivers."""
    await page.evaluate(_START)


async def stop_recording(page: Page) -> tuple[npt.NDArray[np.int16], int]:
    """The samples since then, mono, and their rate."""
    encoded, rate = await page.evaluate(_STOP)
    return np.frombuffer(base64.b64decode(encoded), "<i2"), int(rate)


async def record(page: Page, seconds: float) -> tuple[npt.NDArray[np.int16], int]:
    await start_recording(page)
    await page.wait_for_timeout(seconds * 1000)
    return await stop_recording(page)


def spectrum_peak_hz(samples: npt.NDArray[np.int16], rate_hz: int) -> float:
    """The strongest frequency."""
    spectrum = np.abs(np.fft.rfft(samples.astype(float)))
    spectrum[0] = 0
    return float(np.argmax(spectrum)) * rate_hz / len(samples)
