"""`antiphon campaign`: have a running server call everybody on a list."""

from __future__ import annotations

import json
import secrets
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from antiphon.cli.dial import POLL_S, SERVER, Api, Json, Refused, Server
from antiphon.errors import UserFacingError

campaign = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Have a running server call everybody on a list. The key is taken from ANTIPHON_API_KEY.",
)
_Id = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Its id, as `start` printed it.")]
_Wait = Annotated[bool, typer.Option("--wait", help="Until it is over; shows how it goes on.")]


@campaign.command()
def start(
    list_: Annotated[
        Path, typer.Argument(metavar="LIST", help="CSV: a column `to`, others are variables.")
    ],
    agent: Annotated[
        str | None, typer.Option("--agent", "-a", help="Who talks; the server's first if absent.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="For you; the file's name if absent.")] = None,
    pace: Annotated[float, typer.Option(min=0.01, max=600, help="Calls a minute.")] = 10,
    at_once: Annotated[int, typer.Option(min=1, max=1000, help="Calls at the same time.")] = 5,
    retries: Annotated[
        int, typer.Option(min=0, max=10, help="Calls more where it was busy or nobody answered.")
    ] = 0,
    retry_after: Annotated[
        float, typer.Option(min=1, max=10_080, metavar="MINUTES", help="Before the next try.")
    ] = 30,
    server: Server = SERVER,
    wait: _Wait = False,
    json_: Json = False,
) -> None:
    """Begin. Prints the campaign's id. Exit code 1 when the list or an option is refused."""
    try:
        data = list_.read_bytes()
    except OSError as error:
        raise UserFacingError(f"{list_} cannot be read: {error.strerror}.") from None
    query = {
        "name": name or list_.stem[:100],
        "pace_per_minute": str(pace),
        "at_once": str(at_once),
        "retries": str(retries),
        "retry_after_minutes": str(retry_after),
    }
    if agent is not None:
        query["agent"] = agent
    headers = {"Content-Type": "text/csv", "Idempotency-Key": secrets.token_hex(16)}
    api = Api(server)
    try:
        made = api.ask("POST", "/v1/campaigns", content=data, query=query, headers=headers)
    except Refused as refused:
        typer.echo(f"{list_}: {refused}", err=True)
        raise typer.Exit(1) from None
    if not json_:
        typer.echo(made["id"])
    if made["duplicate_lines"]:
        lines = ", ".join(str(line) for line in made["duplicate_lines"])
        typer.echo(f"Lines whose number an earlier line has, left out: {lines}", err=True)
    _show(api, made, wait=wait, as_json=json_)


@campaign.command()
def status(
    id_: Annotated[
        str | None, typer.Argument(metavar="CAMPAIGN", help="Its id; all of them if absent.")
    ] = None,
    server: Server = SERVER,
    wait: _Wait = False,
    json_: Json = False,
) -> None:
    """How far it is."""
    api = Api(server)
    if id_ is not None:
        _show(api, _asked(api, "GET", f"/v1/campaigns/{id_}"), wait=wait, as_json=json_)
        return
    found = _asked(api, "GET", "/v1/campaigns")
    if json_:
        typer.echo(json.dumps(found))
        return
    for one in found["campaigns"]:
        typer.echo(f"{one['id']}  {_line(one)}  {one['name']}")


@campaign.command()
def results(
    id_: _Id,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A file; printed if absent.")
    ] = None,
    server: Server = SERVER,
) -> None:
    """What became of each number, as CSV."""
    api = Api(server)
    path = f"/v1/campaigns/{id_}/results.csv"
    if out is None:
        api.stream(path, sys.stdout.buffer.write)
        return
    try:
        with out.open("wb") as file:
            api.stream(path, file.write)
    except OSError as error:
        raise UserFacingError(f"{out} cannot be written: {error.strerror}.") from None


@campaign.command()
def pause(id_: _Id, server: Server = SERVER) -> None:
    """Call nobody for now; calls that go on are not ended."""
    _change(server, id_, "pause")


@campaign.command()
def resume(id_: _Id, server: Server = SERVER) -> None:
    """Go on."""
    _change(server, id_, "resume")


@campaign.command()
def cancel(id_: _Id, server: Server = SERVER) -> None:
    """Call nobody any more; calls that go on are not ended."""
    _change(server, id_, "cancel")


def _change(server: str, id_: str, verb: str) -> None:
    typer.echo(_line(_asked(Api(server), "POST", f"/v1/campaigns/{id_}/{verb}")))


def _asked(api: Api, method: str, path: str) -> dict[str, Any]:
    try:
        return api.ask(method, path)
    except Refused as refused:
        typer.echo(str(refused), err=True)
        raise typer.Exit(1) from None


def _show(api: Api, shown: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    said = ""
    try:
        while True:
            line = _line(shown)
            if line != said and not as_json:
                said = line
                typer.echo(line)
            if not wait or shown["state"] in ("done", "canceled"):
                break
            time.sleep(POLL_S)
            shown = api.keep_asking(f"/v1/campaigns/{shown['id']}")
    except KeyboardInterrupt:
        typer.echo("The campaign goes on; this command does not wait for it any more.", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(shown))


def _line(shown: dict[str, Any]) -> str:
    done = sum(shown["outcomes"].values())
    parts = [f"{shown['state']}: {done} of {shown['rows']}"]
    parts += [f"{count} {name.replace('_', ' ')}" for name, count in shown["outcomes"].items()]
    if shown["calling"]:
        parts.append(f"{shown['calling']} being called")
    if shown["held_because"]:
        parts.append(f"held until {shown['held_until']}: {shown['held_because']}")
    return ", ".join(parts)
