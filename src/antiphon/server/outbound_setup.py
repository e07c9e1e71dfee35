"""Makes what calls people out of what `phone.yaml` says."""

from __future__ import annotations

from antiphon.agent.default import data_folder
from antiphon.agent.variables import order_problem
from antiphon.errors import ConfigError
from antiphon.phone.company_line import CompanyLine
from antiphon.phone.dialer_record import OutboundLine
from antiphon.server.outbound import Outbound
from antiphon.server.phone_service import PhoneService


def outbound_for(service: PhoneService, sip: OutboundLine | None = None) -> Outbound | None:
    """The outbound calls of a server; None where `phone.yaml` has no `outbound`.

    Args:
        sip: our SIP endpoint as a line (`phone/sip_line.py`), where there is one.

    Raises:
        ConfigError: a setting has no meaning, or its company is not set up.
    """
    config = service.config.outbound
    if config is None:
        return None
    if config.vendor == "sip":
        line = sip
        if line is None:
            message = "calls by SIP need the section `sip` with a trunk"
            raise ConfigError(message, path="phone.yaml", key="outbound.vendor")
        if config.machine == "message":
            message = "by SIP answering machines are not detected; write `machine: ignore`"
            raise ConfigError(message, path="phone.yaml", key="outbound.machine")
    else:
        company = service.companies.get(config.vendor)
        if company is None:
            known = ", ".join(f"`{name}`" for name in service.companies) or "none"
            message = f"`{config.vendor}` is not one of `vendors`, of which there are {known}"
            raise ConfigError(message, path="phone.yaml", key="outbound.vendor")
        line = CompanyLine(service, company.vendor, machines=config.machine == "message")
    outbound = Outbound(config, line, service.host.check, data_folder())
    outbound.dialer.count = service.metrics.dialed
    host = service.host
    outbound.problem_of = lambda order: order_problem(
        host.agents[host.check(order.agent)].config, order.variables
    )
    return outbound
