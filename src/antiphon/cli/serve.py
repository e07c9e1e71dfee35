"""`antiphon serve`: agents for browsers and telephones, and the page to talk to them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from antiphon.errors import UserFacingError

if TYPE_CHECKING:
    from antiphon.agent.load import LoadedAgent
    from antiphon.channels.sip.endpoint import SipEndpoint
    from antiphon.server.phone_service import PhoneService
    from antiphon.server.settings import ServerSettings
    from antiphon.session.supervisor import Supervisor


def serve(
    agent: Annotated[
        list[str] | None,
        typer.Option("--agent", "-a", metavar="FILE", help="An agent's file; may be repeated."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any.")] = 8080,
    max_calls: Annotated[int, typer.Option(min=1, help="Calls at once; more are refused.")] = 20,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A page of another site that may call; may be repeated."),
    ] = None,
    day_budget: Annotated[
        str | None,
        typer.Option(
            metavar="DOLLARS",
            help="For all calls of a day together: `50`, or `warn=40,cheaper=45,end=50`.",
        ),
    ] = None,
    phone: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="phone.yaml: telephone companies and numbers."),
    ] = None,
    drain_s: Annotated[
        float, typer.Option(min=0, help="Seconds that calls may go on when asked to stop.")
    ] = 20.0,
) -> None:
    """Serve agents to browsers. The first agent is the one that answers by default; without any
    it is the cafe of the examples. Ends on SIGTERM or Ctrl-C, after the calls."""
    import uvloop

    from antiphon.agent.default import default_agent
    from antiphon.server.run import run
    from antiphon.server.settings import ServerSettings

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    settings = ServerSettings(
        host=host, port=port, allowed_origins=tuple(allow_origin or ()), drain_s=drain_s
    )
    agents = _load(agent or [str(default_agent())])
    supervisor = _supervisor(agents, max_calls, day_budget)
    if phone is None:
        uvloop.run(run(supervisor, settings, _announce))
    else:
        _serve_lines(_phone(phone, supervisor), supervisor, settings)


def _serve_lines(service: PhoneService, supervisor: Supervisor, settings: ServerSettings) -> None:
    """Beside the page: telephone companies, SIP, and calls of ours."""
    import uvloop

    from antiphon.phone.sip_line import SipLine
    from antiphon.server.outbound_setup import outbound_for
    from antiphon.server.run import run

    settings = settings.model_copy(
        update={
            "public_url": service.public_url,
            "public_paths": tuple(f"/{name}/" for name in service.companies),
        }
    )
    sip = _sip(service, supervisor)
    outbound = outbound_for(service, None if sip is None else SipLine(sip))

    def announce(settings: ServerSettings) -> None:
        _announce(settings)
        _announce_lines(service, sip)

    uvloop.run(run(supervisor, settings, announce, phone=service, outbound=outbound, sip=sip))


def _load(paths: list[str]) -> dict[str, LoadedAgent]:
    from antiphon.agent.load import load_agent

    agents: dict[str, LoadedAgent] = {}
    for path in paths:
        loaded = load_agent(path)
        if loaded.config.name in agents:
            other = agents[loaded.config.name].path
            raise UserFacingError(f"{path} and {other} are both named {loaded.config.name!r}.")
        agents[loaded.config.name] = loaded
    return agents


def _supervisor(
    agents: dict[str, LoadedAgent], max_calls: int, day_budget: str | None
) -> Supervisor:
    from antiphon.agent.default import data_folder
    from antiphon.observe.metrics import METRICS
    from antiphon.session.accounts import LEDGER_NAME, parse_limits
    from antiphon.session.supervisor import Supervisor

    return Supervisor(
        list(agents.values()),
        max_calls=max_calls,
        traces=data_folder() / "calls",
        metrics=METRICS,
        ledger=data_folder() / LEDGER_NAME,
        day_limits=None if day_budget is None else parse_limits(day_budget),
    )


def _phone(path: str, host: Supervisor) -> PhoneService:
    from antiphon.observe.metrics import METRICS
    from antiphon.phone.load import load_phone
    from antiphon.server.phone_service import PhoneService

    return PhoneService(host, load_phone(path), METRICS)


def _sip(service: PhoneService, host: Supervisor) -> SipEndpoint | None:
    from antiphon.channels.sip.endpoint import SipEndpoint

    config = service.config.sip
    return None if config is None else SipEndpoint(host, config, host.speak)


def _announce_lines(service: PhoneService, sip: SipEndpoint | None) -> None:
    for name in service.companies:
        typer.echo(f"{name}: have calls asked for at {service.url(name, 'voice')}")
    if sip is not None:
        typer.echo(f"SIP: listening on port {sip.port}")


def _announce(settings: ServerSettings) -> None:
    typer.echo(f"Antiphon is ready: open {settings.url}")
    if not settings.is_local:
        typer.echo(
            "Browsers give a microphone only to https or localhost: from other devices, put a "
            "proxy that ends TLS in front. Typing works without."
        )
