"""`antiphon serve`: agents for browsers and telephones, and the page to talk to them."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from antiphon.errors import UserFacingError

if TYPE_CHECKING:
    from antiphon.agent.load import LoadedAgent
    from antiphon.channels.sip.endpoint import SipEndpoint
    from antiphon.server.phone_service import PhoneService
    from antiphon.server.run import Parts
    from antiphon.server.settings import ServerSettings
    from antiphon.server.slot import Slot
    from antiphon.session.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `antiphon serve` was told, as its workers are told it."""

    agents: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8080
    max_calls: int = 20
    """Of the server."""
    allow_origin: tuple[str, ...] = ()
    day_budget: str | None = None
    phone: str | None = None
    rtc: str | None = None
    drain_s: float = 20.0
    max_lag_ms: float = 40.0
    max_busy: float = 0.8


_Files = Annotated[
    list[str] | None,
    typer.Option("--agent", "-a", metavar="FILE", help="An agent's file; may be repeated."),
]
_Host = Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")]
_Port = Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any.")]
_Workers = Annotated[
    int, typer.Option(min=1, max=64, help="Processes that share the port: one per core.")
]
_MaxCalls = Annotated[
    int, typer.Option(min=1, help="Calls at once, of all workers; more are refused.")
]
_MaxLag = Annotated[
    float, typer.Option(min=0, help="No call beside others while the event loop is later; 0: any.")
]
_MaxBusy = Annotated[
    float,
    typer.Option(
        min=0, max=1, help="No call beside others that would take more of a core; 0: any."
    ),
]
_Origins = Annotated[
    list[str] | None,
    typer.Option(metavar="URL", help="A page of another site that may call; may be repeated."),
]
_DayBudget = Annotated[
    str | None,
    typer.Option(
        metavar="DOLLARS",
        help="For all calls of a day together: `50`, or `warn=40,cheaper=45,end=50`.",
    ),
]
_Phone = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="phone.yaml: telephone companies and numbers."),
]
_Rtc = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="rtc.yaml: ports, addresses and TURN servers of calls."),
]
_Drain = Annotated[
    float, typer.Option(min=0, help="Seconds that calls may go on when asked to stop.")
]


def serve(
    agent: _Files = None,
    host: _Host = "127.0.0.1",
    port: _Port = 8080,
    workers: _Workers = 1,
    max_calls: _MaxCalls = 20,
    max_lag_ms: _MaxLag = 40.0,
    max_busy: _MaxBusy = 0.8,
    allow_origin: _Origins = None,
    day_budget: _DayBudget = None,
    phone: _Phone = None,
    rtc: _Rtc = None,
    drain_s: _Drain = 20.0,
) -> None:
    """Serve agents to browsers. The first agent is the one that answers by default; without any
    it is the cafe of the examples. Ends on SIGTERM or Ctrl-C, after the calls."""
    from antiphon.agent.default import default_agent
    from antiphon.server.loop import run_on_loop

    _log_to_stderr()
    options = ServeOptions(
        agents=tuple(agent or [str(default_agent())]),
        host=host,
        port=port,
        max_calls=max_calls,
        allow_origin=tuple(allow_origin or ()),
        day_budget=day_budget,
        phone=phone,
        rtc=rtc,
        drain_s=drain_s,
        max_lag_ms=max_lag_ms,
        max_busy=max_busy,
    )
    if workers == 1:
        _serve_alone(options)
        return
    from antiphon.server.front import run_front

    if max_calls < workers:
        raise UserFacingError(
            f"{max_calls} calls cannot be divided among {workers} workers: set --max-calls to "
            f"{workers} or more, or --workers to {max_calls} or fewer."
        )
    run_on_loop(run_front(workers, _command(options), _settings(options), _announce))


def _serve_alone(options: ServeOptions) -> None:
    from antiphon.server.loop import run_on_loop
    from antiphon.server.run import run

    parts, settings = _parts(options)

    def announce(settings: ServerSettings) -> None:
        _announce(settings)
        _announce_lines(parts)

    run_on_loop(
        run(
            *(parts.host, settings, announce, parts.metrics, parts.phone, parts.outbound),
            sip=parts.sip,
        )
    )


# ---- one of several processes ------------------------------------------------------------------


def _command(options: ServeOptions) -> Callable[[Slot], list[str]]:
    def command(slot: Slot) -> list[str]:
        told = json.dumps({"options": asdict(options), "slot": asdict(slot)})
        # -P: a folder in which a server is started must not replace modules of its workers.
        return [sys.executable, "-P", "-m", "antiphon.cli.serve_worker", told]

    return command


def run_as_worker(options: ServeOptions, slot: Slot) -> None:
    """What `antiphon.cli.serve_worker` does; raises like `serve`."""
    from antiphon.server.loop import run_on_loop
    from antiphon.server.workers import run_worker

    _log_to_stderr()
    parts, settings = _parts(options, slot)

    def announce() -> None:
        if slot.number == 0:
            _announce_lines(parts)

    run_on_loop(run_worker(slot, parts, settings, announce))


# ---- what is served ------------------------------------------------------------------------------


def _settings(options: ServeOptions) -> ServerSettings:
    from antiphon.channels.webrtc.config import RtcConfig
    from antiphon.server.rtc_config import load_rtc
    from antiphon.server.settings import ServerSettings

    return ServerSettings(
        host=options.host,
        port=options.port,
        allowed_origins=options.allow_origin,
        drain_s=options.drain_s,
        rtc=RtcConfig() if options.rtc is None else load_rtc(options.rtc),
    )


def _parts(options: ServeOptions, slot: Slot | None = None) -> tuple[Parts, ServerSettings]:
    """What a process serves, the only one or one of several. SIP and outbound calls are the first
    one's: there is one port, and one dialer that keeps the rules of whom to call how often."""
    from antiphon.server.run import Parts

    supervisor = _supervisor(_load(list(options.agents)), options, slot)
    settings = _settings(options)
    if options.phone is None:
        return Parts(supervisor, supervisor.metrics), settings
    service = _phone(options.phone, supervisor, slot)
    settings = settings.model_copy(
        update={
            "public_url": service.public_url,
            "public_paths": tuple(f"/{name}/" for name in service.companies),
        }
    )
    if slot is not None and slot.number != 0:
        return Parts(supervisor, supervisor.metrics, service), settings
    from antiphon.phone.sip_line import SipLine
    from antiphon.server.outbound_setup import outbound_for

    sip = _sip(service, supervisor)
    outbound = outbound_for(service, None if sip is None else SipLine(sip))
    return Parts(supervisor, supervisor.metrics, service, outbound, sip), settings


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
    agents: dict[str, LoadedAgent], options: ServeOptions, slot: Slot | None
) -> Supervisor:
    from antiphon.agent.default import data_folder
    from antiphon.observe.metrics import METRICS
    from antiphon.server.route import call_prefix
    from antiphon.session.accounts import LEDGER_NAME, parse_limits
    from antiphon.session.admission import Admission
    from antiphon.session.supervisor import Supervisor

    return Supervisor(
        list(agents.values()),
        max_calls=options.max_calls if slot is None else slot.share(options.max_calls),
        traces=data_folder() / "calls",
        metrics=METRICS,
        ledger=data_folder() / LEDGER_NAME,
        day_limits=None if options.day_budget is None else parse_limits(options.day_budget),
        admission=Admission(options.max_lag_ms, options.max_busy),
        call_prefix="" if slot is None else call_prefix(slot.number),
    )


def _phone(path: str, host: Supervisor, slot: Slot | None) -> PhoneService:
    from antiphon.observe.metrics import METRICS
    from antiphon.phone.load import load_phone
    from antiphon.server.phone_service import PhoneService
    from antiphon.server.route import path_prefix

    prefix = "" if slot is None else path_prefix(slot.number)
    return PhoneService(host, load_phone(path), METRICS, prefix=prefix)


def _sip(service: PhoneService, host: Supervisor) -> SipEndpoint | None:
    from antiphon.channels.sip.endpoint import SipEndpoint

    config = service.config.sip
    return None if config is None else SipEndpoint(host, config, host.speak)


def _announce_lines(parts: Parts) -> None:
    from antiphon.channels.sip.endpoint import SipEndpoint

    if (service := parts.phone) is not None:
        for name in service.companies:
            typer.echo(f"{name}: have calls asked for at {service.public_url}/{name}/voice")
    if isinstance(parts.sip, SipEndpoint):
        typer.echo(f"SIP: listening on port {parts.sip.port}")


def _announce(settings: ServerSettings) -> None:
    typer.echo(f"Antiphon is ready: open {settings.url}")
    if not settings.is_local:
        typer.echo(
            "Browsers give a microphone only to https or localhost: from other devices, put a "
            "proxy that ends TLS in front. Typing works without."
        )


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
