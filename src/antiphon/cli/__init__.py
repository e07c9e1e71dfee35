"""The `antiphon` command.

A command is one line in `_COMMANDS`, a function or a group of them; its module is imported when it
is run, so that `antiphon --help` stays fast. Exit codes: 0 done, 1 the command's own "no" (a file
with errors, an agent that did not answer), 2 it could not be done, which is said on stderr.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from antiphon import __version__
from antiphon.errors import UserFacingError

# name -> (module:function, what it does). The function is an ordinary Typer command, or a group.
_COMMANDS: dict[str, tuple[str, str]] = {
    "serve": (
        "antiphon.cli.serve:serve",
        "Serve agents to browsers, with the page to talk to them.",
    ),
    "call": ("antiphon.cli.call:call", "Play a recording to an agent and show what happens."),
    "phone-sim": (
        "antiphon.cli.phone_sim:phone_sim",
        "Call an agent's telephone line, without a telephone company.",
    ),
    "chat": ("antiphon.cli.chat:chat", "Talk to an agent by typing, here in the terminal."),
    "dial": ("antiphon.cli.dial:dial", "Have a running server call somebody."),
    "campaign": (
        "antiphon.cli.campaign:campaign",
        "Have a running server call everybody on a list.",
    ),
    "check": ("antiphon.cli.check:check", "Say what is wrong in an agent's file, and where."),
    "providers": ("antiphon.cli.providers:providers", "List speech, voice and language providers."),
    "models": ("antiphon.cli.models:models", "Fetch and look after models that run here."),
    "cost": ("antiphon.cli.cost:cost", "Estimate what a call will cost; list prices."),
    "replay": ("antiphon.cli.replay:replay", "Replay the trace of a call and compare decisions."),
    "sim": ("antiphon.cli.sim:sim", "Simulate conversations and check the promises."),
    "bench": ("antiphon.cli.bench:bench", "Measure latency, the cost of a call, and turn-taking."),
}


class _LazyGroup(TyperGroup):
    """A group that imports a command's module only when the command is used."""

    listing = False

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(_COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        if cmd_name not in _COMMANDS:
            return None
        target, summary = _COMMANDS[cmd_name]
        if self.listing or ctx.resilient_parsing:
            return TyperCommand(cmd_name, help=summary)
        function = _function(target)
        if isinstance(function, typer.Typer):
            return typer.main.get_command(function)
        one = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        one.command(cmd_name)(function)
        return typer.main.get_command(one)

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]
        self.listing = True
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        self.commands = dict.fromkeys(_COMMANDS, TyperCommand("suggested"))
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=_LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A real-time voice agent server: people talk to your agent, and it answers.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"antiphon {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Options before the command's name."""


def main() -> None:
    """Entry point of the `antiphon` command."""
    try:
        app(prog_name="antiphon")
    except UserFacingError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _function(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    try:
        function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise UserFacingError("this command is not part of this installation") from None
    return function
