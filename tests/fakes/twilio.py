"""Twilio's REST interface, as far as calls go: `POST .../Calls.json` and `.../Calls/{sid}.json`.

Answers as in https://www.twilio.com/docs/voice/api/call-resource; Twilio's own library is content
with them (tests/vendors/test_twilio_sdk.py).
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

ACCOUNT, TOKEN = "AC" + "0" * 32, "a-token-of-twilio"


@dataclass
class FakeTwilio:
    """What was asked, and what is answered next."""

    url: str = ""
    asked: list[tuple[str, dict[str, list[str]], str]] = field(default_factory=list)
    """Path, form fields, and the user of the Basic authentication."""
    failures: list[tuple[int, dict[str, object]]] = field(default_factory=list)

    def answer(self, path: str, form: dict[str, list[str]], user: str) -> tuple[int, object]:
        self.asked.append((path, form, user))
        if user not in (f"{ACCOUNT}:{TOKEN}", "SK1:secret"):
            return 401, {"code": 20003, "message": "Authenticate", "status": 401}
        if self.failures:
            return self.failures.pop(0)
        prefix = f"/2010-04-01/Accounts/{ACCOUNT}/Calls"
        if path == f"{prefix}.json":
            return 201, self._call(f"CA{len(self.asked):032d}", "queued", form)
        if path.startswith(f"{prefix}/") and path.endswith(".json"):
            sid = path.removeprefix(f"{prefix}/").removesuffix(".json")
            return 200, self._call(sid, form.get("Status", ["in-progress"])[0], form)
        return 404, {"code": 20404, "message": "The requested resource was not found"}

    def _call(self, sid: str, status: str, form: dict[str, list[str]]) -> dict[str, object]:
        return {
            "sid": sid,
            "account_sid": ACCOUNT,
            "api_version": "2010-04-01",
            "to": form.get("To", [""])[0],
            "from": form.get("From", [""])[0],
            "status": status,
            "direction": "outbound-api",
            "duration": None,
            "date_created": "Mon, 16 Nov 2026 10:00:00 +0000",
            "uri": f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{sid}.json",
            "subresource_uris": {},
        }


@contextmanager
def fake_twilio() -> Iterator[FakeTwilio]:
    """Running on a port of its own, in a thread, so that blocking clients may ask, too."""
    fake = FakeTwilio()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            form = parse_qs(self.rfile.read(length).decode(), keep_blank_values=True)
            scheme, _, given = self.headers.get("Authorization", "").partition(" ")
            user = base64.b64decode(given).decode() if scheme == "Basic" else ""
            status, answer = fake.answer(self.path, form, user)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
