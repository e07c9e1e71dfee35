"""A caller who speaks when a test tells them to, however late everything is by then."""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt
from playwright.async_api import Page

_RATE_HZ = 16_000
# What the page gets when it asks for the microphone: silence, and what is said.
_MICROPHONE = """
navigator.mediaDevices.getUserMedia = async () => {
  const context = (window.mouth ??= new AudioContext({ sampleRate: 48000 }));
  await context.resume();
  window.lips = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  return window.lips.stream;
};
"""
_SAY = """
async ([spoken, rateHz]) => {
  const bytes = Uint8Array.from(atob(spoken), (letter) => letter.charCodeAt(0));
  const samples = new Int16Array(bytes.buffer);
  const sound = window.mouth.createBuffer(1, samples.length, rateHz);
  sound.copyToChannel(Float32Array.from(samples, (one) => one / 32768), 0);
  const source = new AudioBufferSourceNode(window.mouth, { buffer: sound });
  source.connect(window.lips);
  window.said = new Promise((done) => (source.onended = done));
  source.start();
}
"""


class Speaker:
    """A page's caller. To be made before the page is loaded, by `Speaker.of`."""

    def __init__(self, page: Page) -> None:
        self._page = page

    @classmethod
    async def of(cls, page: Page) -> Speaker:
        await page.add_init_script(_MICROPHONE)
        return cls(page)

    async def begin(self, spoken: npt.NDArray[np.int16]) -> None:
        """Say it, mono, 16 kHz. Once the page has its microphone."""
        encoded = base64.b64encode(spoken.astype("<i2").tobytes()).decode()
        await self._page.evaluate(_SAY, [encoded, _RATE_HZ])

    async def said(self) -> None:
        """Until all of it has been said."""
        await self._page.evaluate("() => window.said")

    async def say(self, spoken: npt.NDArray[np.int16]) -> None:
        await self.begin(spoken)
        await self.said()
