"""SIP and RTP with telephones that others wrote: Debian's baresip and sipp, on loopback."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.e2e.capture import RATE_HZ, likeness
from tests.support.baresip import BARESIP, RATES_HZ, Telephone, dialling

from antiphon.agent.load import load_agent
from antiphon.audio import g711
from antiphon.audio.resample import resample_file
from antiphon.channels.base import Call
from antiphon.channels.sip.config import SipConfig
from antiphon.channels.sip.endpoint import CallHost, SipEndpoint
from antiphon.errors import CapacityError
from antiphon.providers import registry
from antiphon.providers.base import TtsAudio, TtsSegment
from antiphon.session.supervisor import Supervisor

SIPP = shutil.which("sipp")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(
        BARESIP is None or SIPP is None, reason="needs Debian's packages baresip and sip-tester"
    ),
]

ROOT = Path(__file__).parents[2]
CAFE = ROOT / "examples" / "cafe.yaml"
RECORDINGS = ROOT / "tests" / "data" / "speech"
MOCHA = "s2i_ec21e470"
"""make me a small mocha"""
READ_BACK = "That's a small mocha."
ORDER_AT_S = 5.0


def microphone(path: Path, rate_hz: int, seconds: float, at_s: float, channels: int = 1) -> Path:
    """A WAV with the order in it."""
    spoken, from_hz = soundfile.read(RECORDINGS / f"{MOCHA}.flac", dtype="float32")
    spoken = resample_file(spoken, from_hz, rate_hz)
    samples = np.zeros(round(rate_hz * seconds), np.float32)
    samples[round(rate_hz * at_s) :][: len(spoken)] = spoken
    soundfile.write(path, np.stack([samples] * channels, axis=1), rate_hz, subtype="PCM_16")
    return path


async def voice(text: str) -> tuple[np.ndarray, int]:
    """How the cafe's voice says it."""
    agent = load_agent(CAFE)
    tts = registry.make("tts", agent.config.tts.provider, agent.config.tts.options, agent.hints)
    await tts.start()

    async def segments() -> AsyncIterator[TtsSegment]:
        yield TtsSegment(0, text)

    pcm = b"".join([e.pcm async for e in tts.stream(segments()) if isinstance(e, TtsAudio)])
    await tts.aclose()
    return np.frombuffer(pcm, "<i2"), tts.sample_rate_hz


async def until(done: Callable[[], object], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not done():  # noqa: ASYNC110 - others' programs have no event for it
            await asyncio.sleep(0.02)


@asynccontextmanager
async def listening(host: CallHost, **other: int) -> AsyncIterator[SipEndpoint]:
    # baresip names the address of the first real interface even on loopback.
    config = SipConfig(host="127.0.0.1", port=0, peers=("127.0.0.0/8",), **other)
    endpoint = SipEndpoint(host, config)
    await endpoint.start()
    try:
        yield endpoint
    finally:
        await endpoint.aclose()


# ---- an agent ------------------------------------------------------------------------------


async def test_an_order_by_telephone_with_each_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three people call at the same time; each is understood and hears the answer."""
    monkeypatch.setenv("ANTIPHON_DATA", str(tmp_path))
    supervisor = Supervisor([load_agent(CAFE)], traces=tmp_path)
    await supervisor.start()
    phones: dict[str, Telephone] = {}
    try:
        async with listening(supervisor) as endpoint, AsyncExitStack() as stack:
            for codec, rate_hz in RATES_HZ.items():
                channels = 2 if codec == "opus" else 1
                wav = microphone(tmp_path / f"{codec}.wav", rate_hz, 13.0, ORDER_AT_S, channels)
                uri = f"sip:cafe@127.0.0.1:{endpoint.port}"
                phones[codec] = await stack.enter_async_context(
                    dialling(uri, wav, tmp_path / codec, codec)
                )
            await until(lambda: supervisor.active_calls == 3)
            await until(lambda: supervisor.active_calls == 0, 25)
    finally:
        await supervisor.drain(0)

    answer, rate_hz = await voice(READ_BACK)
    other, _ = await voice("You can order a drink, for example a large latte.")
    for codec, phone in phones.items():
        heard, heard_hz = soundfile.read(phone.heard(), dtype="float32", always_2d=True)
        mono = resample_file(np.ascontiguousarray(heard[:, 0]), heard_hz, RATE_HZ)
        after = (mono[round((ORDER_AT_S + 1) * RATE_HZ) :] * 32767).astype(np.int16)
        alike = likeness(after, answer, rate_hz)
        print(
            f"{codec}: like the sentence {alike:.2f}, like another {likeness(after, other, rate_hz):.2f}"
        )
        assert alike > 0.8, phone.log()[-500:]
    traces = [path.read_text() for path in tmp_path.glob("call_*.jsonl")]
    assert len(traces) == 3
    assert all("make me a small mocha" in text for text in traces)


# ---- telephones ----------------------------------------------------------------------------


class Desk:
    """Takes calls as a supervisor does, and is its own session: a tone is heard by who calls."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.room, self.taken = room, 0
        self.calls: list[DeskCall] = []

    def check(self, agent: str | None) -> str:
        if self.taken >= self.room:
            raise CapacityError("too many calls")
        return agent or "desk"

    async def start_call(self, call: Call, agent: str | None) -> DeskCall:
        self.taken += 1
        self.calls.append(DeskCall(call))
        return self.calls[-1]


class DeskCall:
    call_id = "call_desk"

    def __init__(self, call: Call) -> None:
        self.call, self.output_rate_hz = call, call.output_rate_hz
        self.keys, self.held, self.over = "", [False], ""
        self.heard: list[bytes] = []
        self.times: list[float] = []
        self.read = 0

    def on_audio(self, pcm: bytes) -> None:
        self.heard.append(pcm)
        self.times.append(time.monotonic())

    def read_frame(self) -> bytes | None:
        size = self.output_rate_hz // 50
        at = np.arange(self.read * size, (self.read + 1) * size) / self.output_rate_hz
        self.read += 1
        return (8000 * np.sin(2 * np.pi * 440 * at)).astype("<i2").tobytes()

    def on_key(self, key: str) -> None:
        self.keys += key

    def on_hold(self, held: bool) -> None:
        self.held.append(held)

    def hang_up(self, reason: str) -> None:
        self.over = self.over or reason

    async def wait_closed(self) -> None: ...
    def on_text(self, text: str) -> None: ...
    def on_talk_key(self, held: bool) -> None: ...
    def on_heard(self, frames: int) -> None: ...
    def on_machine(self, message: str) -> None: ...

    @property
    def sound(self) -> np.ndarray:
        return np.frombuffer(b"".join(self.heard), "<i2").astype(float)


def pitch_hz(samples: np.ndarray, rate_hz: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples)))) * rate_hz / len(samples)


async def test_keys_hold_and_goodbye_of_a_telephone(tmp_path: Path) -> None:
    desk = Desk()
    async with listening(desk) as endpoint:
        wav = microphone(tmp_path / "mic.wav", 8000, 20.0, 0.2)
        uri = f"sip:desk@127.0.0.1:{endpoint.port}"
        async with dialling(uri, wav, tmp_path / "phone") as phone:
            await until(lambda: desk.calls and len(desk.calls[0].heard) > 50)
            (call,) = desk.calls
            for key in "19*#0":
                phone.type(key)
                await asyncio.sleep(0.25)
            await until(lambda: call.keys == "19*#0")

            phone.type("x")
            await until(lambda: call.held[-1])
            await asyncio.sleep(0.1)
            read = call.read
            await asyncio.sleep(0.3)
            assert call.read == read
            phone.type("X")
            await until(lambda: not call.held[-1])
            heard = len(call.heard)
            await until(lambda: call.read > read + 20 and len(call.heard) > heard + 20)

            phone.type("b")
            await until(lambda: call.over)
            await until(lambda: endpoint.calls == 0)
        samples, rate_hz = soundfile.read(phone.heard())
        assert pitch_hz(samples, rate_hz) == pytest.approx(440, abs=2)
        loud = np.abs(call.sound) > 3000
        assert loud.sum() > 2000


# ---- sipp ----------------------------------------------------------------------------------

_INVITE = """\
<send retrans="500"><![CDATA[
INVITE sip:desk@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[call_number]
To: <sip:desk@[remote_ip]:[remote_port]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: sip:sipp@[local_ip]:[local_port]
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=user1 53655765 2353687637 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
]]></send>
<recv response="100" optional="true"/><recv response="180" optional="true"/>
<recv response="200" rtd="true" rrs="true"/>
<send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
"""
_BYE = """\
<send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[call_number]
[last_To:]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
<recv response="200"/>
"""


async def sipp(folder: Path, *arguments: str, scenario: str = "") -> tuple[int, str]:
    """Its exit code and what it says."""
    assert SIPP is not None
    if scenario:
        file = folder / "scenario.xml"
        file.write_text(
            f'<?xml version="1.0" encoding="us-ascii"?>\n<scenario name="ours">\n{scenario}'
            "</scenario>\n"
        )
        arguments = ("-sf", str(file), *arguments)
    process = await asyncio.create_subprocess_exec(
        *(SIPP, "-i", "127.0.0.1", "-nostdin", "-timeout", "20s", *arguments),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(25):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, output.decode(errors="replace")


async def test_a_call_with_the_sound_of_sipp(tmp_path: Path) -> None:
    """A-law from a file, by another sender of RTP than ours."""
    pcm = (8000 * np.sin(2 * np.pi * 500 * np.arange(8000 * 2) / 8000)).astype("<i2").tobytes()
    (tmp_path / "tone.pcma").write_bytes(g711.encode(pcm, "alaw"))
    stream = '<nop><action><exec rtp_stream="tone.pcma,1,8,PCMA/8000"/></action></nop>'
    desk = Desk()
    async with listening(desk) as endpoint:
        code, output = await sipp(
            tmp_path, f"127.0.0.1:{endpoint.port}", "-m", "1",
            scenario=f'{_INVITE}{stream}<pause milliseconds="1500"/>{_BYE}',
        )  # fmt: skip
        assert code == 0, output[-3000:]
        await until(lambda: endpoint.calls == 0)
    (call,) = desk.calls
    assert len(call.heard) > 50
    assert pitch_hz(call.sound[16_000:], 16_000) == pytest.approx(500, abs=5)
    assert call.over
    assert call.output_rate_hz == 8000


async def test_what_sipp_garbles_is_answered_or_dropped(tmp_path: Path) -> None:
    broken = [
        "INVITE sip:desk@[remote_ip] SIP/2.0\nVia: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]"
        "\nCall-ID: [call_id]\nContent-Length: 0\n\n",
        "INVITE SIP/2.0\nCall-ID: [call_id]\n\n",
        "OPTIONS sip:desk@[remote_ip] SIP/9.9\nVia: ;;;\nCall-ID: [call_id]\nCSeq: x y\n\n",
        "INVITE sip:desk@[remote_ip] SIP/2.0\nVia: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]"
        "\nFrom: &lt;sip:a@b&gt;;tag=1\nTo: &lt;sip:c@d&gt;\nCall-ID: [call_id]\n"
        "CSeq: 99999999999999999999 INVITE\nContent-Type: application/sdp\nContent-Length: 9999\n\nv=",
    ]  # fmt: skip
    # sipp's own words go out as they are: CDATA needs no escapes.
    scenario = "".join(
        f"<send><![CDATA[\n{one.replace('&lt;', '<').replace('&gt;', '>')}\n]]></send>"
        '<pause milliseconds="50"/>'
        for one in broken
    )
    desk = Desk()
    async with listening(desk) as endpoint:
        for _ in range(3):
            await sipp(tmp_path, f"127.0.0.1:{endpoint.port}", "-m", "5", scenario=scenario)
        assert desk.taken == 0
        code, output = await sipp(
            tmp_path, f"127.0.0.1:{endpoint.port}", "-m", "1", "-sn", "uac", "-d", "100"
        )
        assert code == 0, output[-3000:]
        await until(lambda: endpoint.calls == 0)
    assert desk.taken == 1


async def test_a_flood_is_sent_away_and_a_call_goes_on(tmp_path: Path) -> None:
    desk = Desk(room=60)
    async with listening(desk, calls_per_second=50) as endpoint:
        wav = microphone(tmp_path / "mic.wav", 8000, 30.0, 0.2)
        uri = f"sip:desk@127.0.0.1:{endpoint.port}"
        async with dialling(uri, wav, tmp_path / "phone"):
            await until(lambda: desk.calls and len(desk.calls[0].heard) > 20)
            call = desk.calls[0]
            first = len(call.heard)
            _, output = await sipp(
                tmp_path, f"127.0.0.1:{endpoint.port}", "-sn", "uac", "-r", "300",
                "-m", "900", "-l", "900", "-d", "200", "-timeout", "8s",
            )  # fmt: skip
            during = np.diff(call.times[first:])
            failed = _number(output, "Failed call")
            good = _number(output, "Successful call")
            print(f"{good} taken, {failed} sent away, {len(during)} frames, "
                  f"longest gap {during.max() * 1000:.0f} ms")  # fmt: skip
            assert not call.over
            heard = len(call.heard)
            await until(lambda: len(call.heard) > heard + 20)
        code, output = await sipp(
            tmp_path, f"127.0.0.1:{endpoint.port}", "-m", "1", "-sn", "uac", "-d", "100"
        )
    assert failed > 300
    assert 10 < good < 300
    assert len(during) > 100
    assert during.max() < 1.0


def _number(output: str, name: str) -> int:
    """The total of a line on sipp's last screen."""
    found = re.findall(rf"{name}\s*\|\s*\d+\s*\|\s*(\d+)", output)
    assert found, output[-3000:]
    return int(found[-1])
