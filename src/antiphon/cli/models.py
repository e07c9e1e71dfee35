"""`antiphon models`: local models by name."""

from __future__ import annotations

from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from antiphon.models import catalogue, find, home

Name = Annotated[str, typer.Argument(help="A name from `antiphon models list`.")]

models = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Fetch and look after models that run on this machine.",
)


@models.command("list")
def list_models() -> None:
    """List the models that can be pulled, and which are here."""
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE)
    table.add_column("name", no_wrap=True)
    for title in ("what it is", "licence"):
        table.add_column(title)
    table.add_column("MB", justify="right")
    table.add_column("here")
    known = catalogue.load()
    for entry in known.values():
        here = "[green]yes[/]" if (home() / entry.name).is_dir() else ""
        table.add_row(entry.name, entry.about, entry.licence, str(entry.megabytes or "?"), here)
    if home().is_dir():
        for folder in sorted(home().iterdir()):
            if folder.is_dir() and not folder.name.startswith(".") and folder.name not in known:
                table.add_row(escape(folder.name), "not of the catalogue", "", "", "[green]yes[/]")
    console.print(table)
    console.print(f"Models lie in {home()}; the variable ANTIPHON_MODELS names another folder.")


@models.command()
def pull(
    names: Annotated[list[str], typer.Argument(help="Names from `antiphon models list`.")],
    again: Annotated[
        bool, typer.Option(help="Fetch it though it is here, and replace it.")
    ] = False,
) -> None:
    """Fetch models; a pull that broke off goes on where it was."""
    from antiphon.models.pull import pull as pull_model

    console = Console(highlight=False)
    for name in names:
        entry = catalogue.entry(name)
        console.print(f"{name}: {entry.about}. Licence: {entry.licence}")
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        with Progress(
            *columns, TransferSpeedColumn(), TimeRemainingColumn(), console=console
        ) as bar:
            tasks: dict[str, TaskID] = {}

            def tell(file: str, have: int, total: int | None) -> None:
                if file not in tasks:  # noqa: B023
                    tasks[file] = bar.add_task(file, total=total)  # noqa: B023
                bar.update(tasks[file], completed=have, total=total)  # noqa: B023

            fetched = pull_model(name, tell, again=again)
        for one in fetched:
            known = "as expected" if one.known else "not known before, kept from now on"
            console.print(f"  {one.name}: sha256 {one.sha256} ({known})", soft_wrap=True)
        console.print(f"{'pulled' if fetched else 'already'} in {home() / name}", soft_wrap=True)


@models.command()
def path(name: Name) -> None:
    """Print where a model lies."""
    typer.echo(find(name))


@models.command()
def remove(name: Name) -> None:
    """Take a model off this machine."""
    from antiphon.models.pull import remove as remove_model

    if not remove_model(name):
        typer.echo(f"{name} is not here")
        raise typer.Exit(1)
    typer.echo(f"{name} was removed")


@models.command()
def verify(name: Name) -> None:
    """Compare a model's files with what was fetched."""
    from antiphon.models.pull import verify as verify_model

    bad = verify_model(name)
    for file in bad:
        typer.echo(f"{file} is missing or has changed; run: antiphon models pull {name} --again")
    if bad:
        raise typer.Exit(1)
    typer.echo(f"{name} is as it was fetched")
