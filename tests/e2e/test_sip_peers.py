"""SIP and RTP with telephones that others wrote: Debian's baresip and sipp, on loopback."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tests.e2e.capture import RATE_HZ, likeness
from tests.support.baresip import BARESIP, RATES_HZ, Telephone, dialling
from tests.support.patient import patient
from tests.support.stt_talk import read_final

from antiphon.agent.load import load_agent
from antiphon.audio import g711
from antiphon.audio.resample import resample_file
from antiphon.channels.base import Call
from antiphon.channels.rtp.codec import PCMU
from antiphon.channels.rtp.packet import RtpPacket
from antiphon.channels.rtp.receive import Receiver
from antiphon.channels.sip.config import SipConfig
from antiphon.channels.sip.endpoint import CallHost, SipEndpoint
from antiphon.errors import CapacityError
from antiphon.providers import registry
from antiphon.providers.base import TtsAudio, TtsSegment
from antiphon.session.supervisor import Supervisor
from antiphon.types import FRAME_BYTES

SIPP = shutil.which("sipp")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.skipif(
        BARESIP is None or SIPP is None, reason="needs Debian's packages baresip and sip-tester"
    ),
]

ROOT = Path(__file__).parents[2]
CAFE = ROOT / "examples" / "cafe.yaml"
RECORDINGS = ROOT / "tests" / "data" / "speech"
ORDER, WORDS = "s2i_ec21e470", "make me a small mocha"
READ_BACK = "That's a small mocha."
MORE = {
    "s2i_0ec187f5": "get me a dark roast house coffee",
    "s2i_4a4cbb1e": "get me a twenty ounce light roast drip coffee with brown sugar",
    "s2i_8e671d9c": "can i have a large espresso with sweetener",
    "s2i_fd3fc53b": "can i get a sixteen ounce dark roast mocha",
}
"""What people say in other recordings."""
ORDER_AT_S = 4.5
APART_S, AGAIN_S = 2.5, 11.0


def microphone(path: Path, rate_hz: int, seconds: float, *at_s: float, channels: int = 1) -> Path:
    """A WAV with the order in it."""
    spoken, from_hz = soundfile.read(RECORDINGS / f"{ORDER}.flac", dtype="float32")
    spoken = resample_file(spoken, from_hz, rate_hz)
    samples = np.zeros(round(rate_hz * seconds), np.float32)
    for begin_s in at_s:
        samples[round(rate_hz * begin_s) :][: len(spoken)] = spoken
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


async def until(done: Callable[[], object], within_s: float = 60.0) -> None:
    async with asyncio.timeout(within_s):
        while not done():  # noqa: ASYNC110 - others' programs have no event for it
            await asyncio.sleep(0.02)


@asynccontextmanager
async def listening(host: CallHost, calls_per_second: int = 50) -> AsyncIterator[SipEndpoint]:
    config = SipConfig(
        host="127.0.0.1", port=0, peers=("127.0.0.0/8",), calls_per_second=calls_per_second
    )
    endpoint = SipEndpoint(host, config)
    await endpoint.start()
    try:
        yield endpoint
    finally:
        await endpoint.aclose()


# ---- an agent ------------------------------------------------------------------------------


def by_telephone(name: str) -> bytes:
    """A recording as a line with mu-law makes it, 16 kHz."""
    spoken, rate_hz = soundfile.read(RECORDINGS / f"{name}.flac", dtype="float32")
    samples = (resample_file(spoken, rate_hz, 8000) * 32767).astype("<i2")
    payload = g711.encode(samples.tobytes(), "mulaw")
    receiver, heard = Receiver({0: PCMU}), b""
    for number in range(len(payload) // 160):
        piece = payload[number * 160 : number * 160 + 160]
        packet = RtpPacket(0, number, number * 160, 7, piece)
        heard += b"".join(receiver.push(packet, number * 0.02))
    return heard + bytes(10 * FRAME_BYTES)


async def test_what_is_said_by_telephone_is_understood() -> None:
    """By a recogniser whose model is of wideband speech."""
    agent = load_agent(CAFE)
    stt = registry.make("stt", agent.config.stt.provider, agent.config.stt.options, agent.hints)
    await stt.start()
    try:
        for name, words in MORE.items():
            stream = await stt.open()
            stream.begin(1, 0)
            pcm = by_telephone(name)
            for at in range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES):
                stream.push(pcm[at : at + FRAME_BYTES])
                await asyncio.sleep(0)
            stream.finalize(1, 1)
            final, _ = await read_final(stream, within_s=100)
            await stream.aclose()
            assert final.text == words
    finally:
        await stt.aclose()


async def test_an_order_by_telephone_with_each_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three people call, and order one after the other; each is understood and hears the
    answer."""
    monkeypatch.setenv("ANTIPHON_DATA", str(tmp_path))
    supervisor = Supervisor([patient(CAFE)], traces=tmp_path)
    await supervisor.start()
    phones: dict[str, Telephone] = {}
    try:
        async with listening(supervisor) as endpoint, AsyncExitStack() as stack:
            for number, (codec, rate_hz) in enumerate(RATES_HZ.items()):
                channels, at_s = 2 if codec == "opus" else 1, ORDER_AT_S + APART_S * number
                # Once more for a machine that loses some of it.
                says = (rate_hz, at_s + AGAIN_S + 8, at_s, at_s + AGAIN_S)
                wav = microphone(tmp_path / f"{codec}.wav", *says, channels=channels)
                uri = f"sip:cafe@127.0.0.1:{endpoint.port}"
                phones[codec] = await stack.enter_async_context(
                    dialling(uri, wav, tmp_path / codec, codec)
                )
            await until(lambda: supervisor.active_calls == 3)
            await until(lambda: supervisor.active_calls == 0, 100)
    finally:
        await supervisor.drain(0)

    understood = [WORDS in text for text in _texts(tmp_path)]
    assert understood == [True] * 3
    answer, rate_hz = await voice(READ_BACK)
    other, _ = await voice("You can order a drink, for example a large latte.")
    for codec, phone in phones.items():
        heard, heard_hz = soundfile.read(phone.heard(), dtype="float32", always_2d=True)
        mono = resample_file(np.ascontiguousarray(heard[:, 0]), heard_hz, RATE_HZ)
        after = (mono[round((ORDER_AT_S + 1) * RATE_HZ) :] * 32767).astype(np.int16)
        alike = likeness(after, answer, rate_hz)
        unlike = likeness(after, other, rate_hz)
        print(f"{codec}: like the sentence {alike:.2f}, like another {unlike:.2f}")
        assert alike > 0.8, phone.log()[-500:]


def _texts(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.glob("call_*.jsonl")]


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
    def on_return(self) -> None: ...
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


_VIA = "Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]"
_BROKEN = (
    f"INVITE sip:desk@[remote_ip] SIP/2.0\n{_VIA}\nCall-ID: [call_id]\nContent-Length: 0\n\n",
    "INVITE SIP/2.0\nCall-ID: [call_id]\n\n",
    "OPTIONS sip:desk@[remote_ip] SIP/9.9\nVia: ;;;\nCall-ID: [call_id]\nCSeq: x y\n\n",
    f"INVITE sip:desk@[remote_ip] SIP/2.0\n{_VIA}\nFrom: <sip:a@b>;tag=1\nTo: <sip:c@d>\n"
    "Call-ID: [call_id]\nCSeq: 99999999999999999999 INVITE\nContent-Type: application/sdp\n"
    "Content-Length: 9999\n\nv=",
)


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
        *(SIPP, "-i", "127.0.0.1", "-nostdin", "-timeout", "100s", *arguments),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(120):
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


async def test_we_call_sipp_and_hear_ourselves(tmp_path: Path) -> None:
    """It answers, and sends each packet back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answering = asyncio.create_task(
        sipp(tmp_path, "-sn", "uas", "-p", str(port), "-rtp_echo", "-mp", "26000", "-m", "1")
    )
    try:
        async with listening(Desk()) as endpoint:
            call = await endpoint.dial(f"sip:somebody@127.0.0.1:{port}", ring_s=30)
            end = DeskCall(call)
            endpoint.keep(call)
            call.attend(end)
            await until(lambda: len(end.heard) > 60)
            assert pitch_hz(end.sound[8_000:], 16_000) == pytest.approx(440, abs=10)
            stats = call.line.stats
            assert stats.lost == stats.late == 0
            call.end("done")
            code, output = await answering
            assert code == 0, output[-3000:]
    finally:
        answering.cancel()


async def test_what_sipp_garbles_is_answered_or_dropped(tmp_path: Path) -> None:
    scenario = "".join(
        f'<send><![CDATA[\n{one}\n]]></send><pause milliseconds="50"/>' for one in _BROKEN
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
                "-m", "900", "-l", "900", "-d", "200",
            )  # fmt: skip
            during = np.diff(call.times[first:])
            failed = _number(output, "Failed call")
            good = _number(output, "Successful call")
            print(f"{good} taken, {failed} sent away, {len(during)} frames, "
                  f"longest gap {during.max() * 1000:.0f} ms")  # fmt: skip
            assert not call.over
            heard = len(call.heard)
            await until(lambda: len(call.heard) > heard + 20)
        desk.room = 1_000_000
        code, output = await sipp(
            tmp_path, f"127.0.0.1:{endpoint.port}", "-m", "1", "-sn", "uac", "-d", "100"
        )
        assert code == 0, output[-3000:]
    assert 0 < good < 300
    assert good + failed == 900
    assert len(during) > 0


def _number(output: str, name: str) -> int:
    """The total of a line on sipp's last screen."""
    found = re.findall(rf"{name}\s*\|\s*\d+\s*\|\s*(\d+)", output)
    assert found, output[-3000:]
    return int(found[-1])
