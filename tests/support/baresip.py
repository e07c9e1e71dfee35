"""Debian's baresip as somebody's telephone: says a recording, keeps what it hears."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

BARESIP = shutil.which("baresip")
MODULES = Path("/usr/lib/baresip/modules")
RATES_HZ = {"PCMU": 8000, "PCMA": 8000, "opus": 48_000}

_CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:0
audio_player aubridge,nobody
audio_source aufile,{wav}
audio_alert aubridge,nobody
call_local_timeout 60
call_max_calls 2
rtp_tos 0
jitter_buffer_delay 1-5
module_path {modules}
module stdio.so
module {codec}.so
module aufile.so
module aubridge.so
module sndfile.so
snd_path {folder}
module_tmp uuid.so
module_tmp account.so
module_app menu.so
opus_bitrate 28000
opus_inbandfec yes
"""


class Telephone:
    """A running baresip. Its keyboard is ours: digits are keys, `x` holds, `X` resumes, `b` hangs
    up."""

    def __init__(self, process: asyncio.subprocess.Process, keyboard: int, folder: Path) -> None:
        self._process, self._keyboard, self._folder = process, keyboard, folder

    def type(self, keys: str) -> None:
        os.write(self._keyboard, keys.encode())

    def log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")

    def heard(self) -> Path:
        """What it has heard; complete when it has ended."""
        return next(self._folder.glob("dump-*-dec.wav"))

    async def quit(self) -> None:
        """Hang up, end, and finish the recording."""
        if self._process.returncode is None:
            self.type("b")
            await asyncio.sleep(0.3)
            self._process.terminate()
            try:
                async with asyncio.timeout(20):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


def _write(folder: Path, wav: Path, codec: str, account: str) -> None:
    folder.mkdir(parents=True)
    module = "opus" if codec == "opus" else "g711"
    text = _CONFIG.format(wav=wav, modules=MODULES, codec=module, folder=folder)
    (folder / "config").write_text(text)
    kind = "opus/48000/2" if codec == "opus" else f"{codec}/8000/1"
    (folder / "accounts").write_text(
        f"<sip:caller@127.0.0.1>;regint=0;audio_codecs={kind};{account}\n"
    )
    (folder / "contacts").write_text("")


@asynccontextmanager
async def dialling(
    uri: str, wav: Path, folder: Path, codec: str = "PCMU", account: str = ""
) -> AsyncIterator[Telephone]:
    """A telephone that calls an address and says a WAV of the codec's rate, mono, for Opus
    stereo; it hangs up at its end."""
    assert BARESIP is not None
    _write(folder, wav, codec, account)
    try:
        ours, theirs = pty.openpty()
    except OSError:
        pytest.skip("baresip is operated by a pseudo terminal, and this system has none (/dev/pts)")
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(BARESIP, "-4", "-f", str(folder), "-e", f"/dial {uri}"),
            stdin=theirs,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
        )
    os.close(theirs)
    telephone = Telephone(process, ours, folder)
    try:
        yield telephone
    finally:
        await telephone.quit()
        os.close(ours)
