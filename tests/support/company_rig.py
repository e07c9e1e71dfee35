"""A server with every company but Twilio, and the companies' ends of a call."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import httpx
import jwt
import uvicorn
from tests.fakes.plivo import AUTH_ID
from tests.fakes.telnyx import TelnyxSigner
from tests.fakes.vonage import APPLICATION
from tests.support.fake_line import LineHost, LineSession
from websockets.asyncio.client import ClientConnection, connect

from antiphon.channels.phone.asterisk import Asterisk, AsteriskOptions
from antiphon.channels.phone.exotel import Exotel, ExotelOptions
from antiphon.channels.phone.plivo import Plivo, PlivoOptions, plain, sign
from antiphon.channels.phone.telnyx import Telnyx, TelnyxOptions
from antiphon.channels.phone.vonage import Vonage, VonageOptions
from antiphon.observe.metrics import Metrics
from antiphon.phone.config import PhoneConfig
from antiphon.phone.vendors import Company
from antiphon.providers.secret import Secret
from antiphon.server.app import create_app
from antiphon.server.phone_service import PhoneService
from antiphon.server.run import http_config, listen
from antiphon.server.settings import ServerSettings

PUBLIC = "https://voice.example.com"
SECRET = "a signature secret that is long enough for HS256"
SIGNER = TelnyxSigner()
CALLER, CALLED = "+15550001", "+15550002"
PASSWORD = "Basic " + base64.b64encode(b"antiphon:word").decode()

Message = str | bytes


def companies(rest_url: str, private_key: str) -> dict[str, Company]:
    telnyx = TelnyxOptions(
        api_key=Secret("key"),
        public_key=SIGNER.public_key,
        account_sid="acc-1",
        base_url=f"{rest_url}/v2",
    )
    vonage = VonageOptions(
        signature_secret=Secret(SECRET),
        application_id=APPLICATION,
        private_key=Secret(private_key) if private_key else None,
        base_url=rest_url,
    )
    plivo = PlivoOptions(auth_id=AUTH_ID, auth_token=Secret("token"), base_url=f"{rest_url}/v1")
    exotel = ExotelOptions(secret=Secret("word"))
    asterisk = AsteriskOptions(secret=Secret("word"), numbers={CALLED: "Clinic"})
    return {
        "telnyx": Company(Telnyx(telnyx, PUBLIC), telnyx),
        "vonage": Company(Vonage(vonage, PUBLIC), vonage),
        "plivo": Company(Plivo(plivo, PUBLIC), plivo),
        "exotel": Company(Exotel(exotel, PUBLIC), exotel),
        "asterisk": Company(Asterisk(asterisk, PUBLIC), asterisk),
    }


@dataclass
class Rig:
    host: LineHost
    service: PhoneService
    client: httpx.AsyncClient
    port: int

    async def ask(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> httpx.Response:
        return await self.client.request(
            method, path, content=body, headers={"Host": "voice.example.com", **headers}
        )

    def open(self, url: str, **options: Any) -> connect:
        place = urlsplit(url)
        local = f"ws://voice.example.com{place.path}" + (f"?{place.query}" if place.query else "")
        return connect(local, host="127.0.0.1", port=self.port, proxy=None, **options)


@asynccontextmanager
async def running(
    rest_url: str = "http://127.0.0.1:9", private_key: str = ""
) -> AsyncIterator[Rig]:
    host, metrics = LineHost(), Metrics()
    service = PhoneService(
        host, PhoneConfig(public_url=PUBLIC), metrics, companies(rest_url, private_key)
    )
    paths = tuple(f"/{name}/" for name in service.companies)
    settings = ServerSettings(port=0, public_url=PUBLIC, public_paths=paths)
    listener = listen(settings)
    server = uvicorn.Server(http_config(create_app(host, settings, metrics, service)))
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    task = asyncio.create_task(server.serve([listener]))
    while not server.started:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0.005)
    port = listener.getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        try:
            yield Rig(host, service, client, port)
        finally:
            server.should_exit = True
            async with asyncio.timeout(20):
                await task
            listener.close()


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


async def received(socket: ClientConnection, wanted: Callable[[Message], Any]) -> Any:
    async with asyncio.timeout(20):
        while True:
            if (found := wanted(await socket.recv())) is not None:
                return found


def event(message: Message, key: str, name: str) -> dict[str, Any] | None:
    if isinstance(message, bytes):
        return None
    value: dict[str, Any] = json.loads(message)
    return value if value.get(key) == name else None


@dataclass
class Far:
    """The company's end of a stream: what it writes, and how it reads what we write."""

    start: Message
    media: Message
    digit: Message
    sound: Callable[[Message], bytes | None]
    marked: Callable[[Message], Message | None]
    cleared: Callable[[Message], Any]


async def talk(socket: ClientConnection, session: LineSession, far: Far) -> None:
    """The caller is heard, presses a key, hears the agent, and interrupts."""
    for _ in range(3):
        await socket.send(far.media)
    await until(lambda: session.audio)
    await socket.send(far.digit)
    await until(lambda: session.keys == ["5"])
    session.say(5)
    rate = session.output_rate_hz
    sound = await received(socket, far.sound)
    assert len(sound) >= rate // 50, "at least 20 ms of it"
    await socket.send(await received(socket, far.marked))
    await until(lambda: session.heard and session.heard[-1] > 0)
    session.say(50)
    await received(socket, far.sound)
    session.frames.clear()
    session.line.clear()
    assert await received(socket, far.cleared)


async def begun(rig: Rig, socket: ClientConnection, far: Far) -> LineSession:
    await socket.send(far.start)
    await until(lambda: rig.host.sessions)
    return rig.host.sessions[-1]


def json_far(start: dict[str, Any], payload: bytes, stream: dict[str, str]) -> Far:
    """Telnyx's and Exotel's, which differ from Twilio's in names only."""
    encoded = base64.b64encode(payload).decode()

    def sound(message: Message) -> bytes | None:
        value = event(message, "event", "media")
        return base64.b64decode(value["media"]["payload"]) if value else None

    def marked(message: Message) -> Message | None:
        value = event(message, "event", "mark")
        return json.dumps({**value, **stream}) if value else None

    return Far(
        json.dumps({"event": "start", **stream, "start": start}),
        json.dumps({"event": "media", **stream, "media": {"payload": encoded}}),
        json.dumps({"event": "dtmf", **stream, "dtmf": {"digit": "5"}}),
        *(sound, marked),
        lambda message: event(message, "event", "clear"),
    )


async def telnyx_asks(rig: Rig, path: str, **form: str) -> str:
    """The document of a signed request."""
    path = path.removeprefix(PUBLIC)
    body = urlencode({"CallSid": "v3:1", "n": str(time.monotonic_ns()), **form}).encode()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        **SIGNER.headers(body, int(time.time())),
    }
    answer = await rig.ask("POST", path, body, **headers)
    assert answer.status_code in (200, 204), answer.text
    return answer.text


def telnyx_far(document: str) -> tuple[Far, str]:
    """The company's end of the stream that a document asks for, and its address."""
    stream = ElementTree.fromstring(document).find("Connect/Stream")
    assert stream is not None
    parameters = {"token": stream[0].attrib["value"]}
    start = {"call_control_id": "v3:1", "custom_parameters": parameters}
    return json_far(start, b"\xff" * 160, {"stream_id": "s"}), stream.attrib["url"]


async def vonage_asks(rig: Rig, path: str, **said: str) -> str:
    """The NCCO of a signed request."""
    body = json.dumps({"uuid": "u-1", **said}).encode()
    claims = {
        "iat": int(time.time()),
        "jti": str(time.monotonic_ns()),
        "application_id": APPLICATION,
        "payload_hash": hashlib.sha256(body).hexdigest(),
    }
    bearer = f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"
    headers = {"Content-Type": "application/json", "Authorization": bearer}
    answer = await rig.ask("POST", path.removeprefix(PUBLIC), body, **headers)
    assert answer.status_code in (200, 204), answer.text
    return answer.text


def vonage_far(ncco: str) -> tuple[Far, str]:
    """The company's end of the stream that an NCCO asks for, and its address."""
    (endpoint,) = json.loads(ncco)[0]["endpoint"]
    said = {"event": "websocket:connected", "content-type": endpoint["content-type"]}

    def sound(message: Message) -> bytes | None:
        if not isinstance(message, bytes):
            return None
        assert len(message) == 640, "Vonage plays messages of 20 ms and no others"
        return message

    def marked(message: Message) -> Message | None:
        value = event(message, "action", "notify")
        back = {"event": "websocket:notify", "payload": value["payload"]} if value else None
        return json.dumps(back) if back else None

    far = Far(
        json.dumps({**said, **endpoint["headers"]}),
        b"\x00\x01" * 320,
        '{"event":"websocket:dtmf","digit":"5","duration":260}',
        *(sound, marked),
        lambda message: event(message, "action", "clear"),
    )
    return far, endpoint["uri"]


PLIVO_CALL = {"CallUUID": "c-1", "From": CALLER[1:], "To": CALLED[1:], "Direction": "inbound"}


async def plivo_asks(rig: Rig, path: str, form: dict[str, str]) -> str:
    """The document of a signed request, to an address on our server or a path."""
    path = path.removeprefix(PUBLIC)
    nonce = f"n-{time.monotonic_ns()}"
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Plivo-Signature-V3": sign("token", "POST", PUBLIC + path, tuple(form.items()), nonce),
        "X-Plivo-Signature-V3-Nonce": nonce,
    }
    answer = await rig.ask("POST", path, urlencode(form).encode(), **headers)
    assert answer.status_code in (200, 204), answer.text
    return answer.text


def plivo_far(document: str, uuid: str = "c-1") -> tuple[Far, str]:
    """The company's end of the stream that a document asks for, and its address."""
    stream = ElementTree.fromstring(document)[0]
    token = stream.attrib["extraHeaders"]
    assert len(token) <= 512
    start = {"callId": uuid, "streamId": "s-1", "mediaFormat": {"encoding": "audio/x-mulaw"}}
    extra = f"{{X-PH-{token.replace('=', ': ')}}}"
    assert "." in plain(token)
    media = {"track": "inbound", "payload": base64.b64encode(b"\xff" * 160).decode()}

    def sound(message: Message) -> bytes | None:
        value = event(message, "event", "playAudio")
        return base64.b64decode(value["media"]["payload"]) if value else None

    def marked(message: Message) -> Message | None:
        value = event(message, "event", "checkpoint")
        back = {"event": "playedStream", "name": value["name"]} if value else None
        return json.dumps(back) if back else None

    far = Far(
        json.dumps({"event": "start", "start": start, "extra_headers": extra}),
        json.dumps({"event": "media", "streamId": "s-1", "media": media}),
        json.dumps({"event": "dtmf", "dtmf": {"digit": "5"}}),
        *(sound, marked),
        lambda message: event(message, "event", "clearAudio"),
    )
    return far, str(stream.text)
