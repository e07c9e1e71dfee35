"""`antiphon dial NUMBER`: have a running server call somebody."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from antiphon.errors import AntiphonError, UserFacingError

KEY_VARIABLE = "ANTIPHON_API_KEY"
SERVER = "http://127.0.0.1:8080"
REQUEST_S = 60.0
POLL_S = 1.0
MAX_LOST = 30
"""Answers in a row that may fail while the end of something is waited for."""
OVER = frozenset({"completed", "busy", "no_answer", "failed", "canceled", "refused"})

Server = Annotated[str, typer.Option(metavar="URL", help="The server that makes the calls.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def dial(
    number: Annotated[str, typer.Argument(help="With its country code, such as +4930123456.")],
    agent: Annotated[
        str | None, typer.Option("--agent", "-a", help="Who talks; the server's first if absent.")
    ] = None,
    var: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="For the agent's sentences; may be repeated."),
    ] = None,
    server: Server = SERVER,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until the call is over; says what becomes of it.")
    ] = False,
    json_: Json = False,
) -> None:
    """Call somebody. The key of the server is taken from ANTIPHON_API_KEY.

    Exit code 1 when the call is refused, or with --wait when nobody answered.
    """
    order = {"to": number, "agent": agent, "variables": variables(var or [])}
    api = Api(server)
    headers = {"Idempotency-Key": secrets.token_hex(16)}
    try:
        record = api.ask("POST", "/v1/calls", json_body=order, headers=headers)
        if not json_:
            typer.echo(record["id"])
        if wait:
            record = _watch(api, record, quiet=json_)
    except Refused as refused:
        typer.echo(str(refused), err=True)
        raise typer.Exit(1) from None
    if json_:
        typer.echo(json.dumps(record))
    if wait and not reached(record):
        raise typer.Exit(1)


def variables(given: list[str]) -> dict[str, str]:
    """`name=Anna` as a mapping. Raises UserFacingError."""
    found: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name.strip():
            raise UserFacingError(f"--var {one[:60]!r} has no value; write it like --var name=Anna")
        found[name.strip()] = value
    return found


def reached(record: Mapping[str, Any]) -> bool:
    """Whether a call came to what it was for: somebody talked, or a message was left."""
    machine = record["answered_by"] == "machine" and not record["message_left"]
    return record["state"] == "completed" and not machine


def _watch(api: Api, record: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    said = ""
    try:
        while True:
            if record["state"] != said and not quiet:
                said = record["state"]
                typer.echo(_line(record))
            if record["state"] in OVER:
                return record
            time.sleep(POLL_S)
            record = api.keep_asking(f"/v1/calls/{record['id']}")
    except KeyboardInterrupt:
        typer.echo("The call goes on; this command does not wait for it any more.", err=True)
        raise typer.Exit(2) from None


def _line(record: Mapping[str, Any]) -> str:
    parts = [str(record["state"]).replace("_", " ")]
    if record["state"] == "completed" and record["duration_s"] is not None:
        parts.append(f"after {record['duration_s']} s")
    if record["answered_by"] == "machine":
        parts.append("(a message was left)" if record["message_left"] else "(a machine)")
    if record["reason"]:
        parts.append(f"- {record['reason']}")
    return " ".join(parts)


class Refused(AntiphonError):
    """The server understood, and says no."""


class Api:
    """A server's `/v1`.

    Raises:
        UserFacingError: there is no key.
    """

    def __init__(self, server: str) -> None:
        self._server = server.rstrip("/")
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if not key:
            message = f"Set {KEY_VARIABLE} to the key that the server was started with."
            raise UserFacingError(message)
        self._auth = {"Authorization": f"Bearer {key}"}

    def ask(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        content: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The JSON that is answered.

        Raises:
            Refused: the rules of the server, or what was ordered, do not allow it.
            UserFacingError: the server cannot be asked.
        """
        answer = self._send(
            method, path, json=json_body, content=content, params=query, headers=headers
        )
        try:
            value: Any = answer.json()
        except ValueError:
            value = None
        if answer.is_success and isinstance(value, dict):
            return value
        error = value.get("error") if isinstance(value, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        if message is None:
            raise UserFacingError(
                f"{self._server} answered {answer.status_code}; is it an Antiphon server?"
            )
        if answer.status_code in (401, 404) or answer.status_code >= 500 or _no_key(error):
            raise UserFacingError(f"{self._server}: {message}")
        raise Refused(message)

    def keep_asking(self, path: str) -> dict[str, Any]:
        """As `ask`, while the server may be started anew meanwhile."""
        for lost in range(MAX_LOST):
            try:
                return self.ask("GET", path)
            except Unreachable:
                if lost == MAX_LOST - 1:
                    raise
                time.sleep(POLL_S)
        raise AssertionError("unreachable")

    def stream(self, path: str, write: Callable[[bytes], Any]) -> None:
        """A long answer, piece by piece. Raises UserFacingError."""
        import httpx

        try:
            url = self._server + path
            with httpx.stream("GET", url, headers=self._auth, timeout=REQUEST_S) as answer:
                if not answer.is_success:
                    answer.read()
                    raise UserFacingError(f"{self._server}: {_message(answer.text)}")
                for piece in answer.iter_bytes():
                    write(piece)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from None

    def _send(self, method: str, path: str, **more: Any) -> Any:
        import httpx

        more["headers"] = {**self._auth, **(more["headers"] or {})}
        try:
            return httpx.request(method, self._server + path, timeout=REQUEST_S, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"{self._server} cannot be asked: {error or type(error).__name__}. "
            "Start it with `antiphon serve --phone phone.yaml`, or name another with --server."
        )


class Unreachable(UserFacingError):
    """The server cannot be reached."""


def _no_key(error: Any) -> bool:
    return isinstance(error, dict) and error.get("type") == "no_api_key"


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]
