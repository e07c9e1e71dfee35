"""Load `rtc.yaml`, with everything that is wrong in it said at once."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from antiphon.agent.explain import AgentFileError, explain
from antiphon.agent.yaml_lines import read_mapping
from antiphon.channels.webrtc.config import RtcConfig


def load_rtc(path: str | Path) -> RtcConfig:
    """Read an `rtc.yaml`.

    Raises:
        AgentFileError: a ConfigError whose `errors` are all that was found, with lines.
        ConfigError: the file cannot be read, or is not YAML.
    """
    document = read_mapping(
        path,
        if_empty="see docs/network.md for what belongs there",
        if_other="rtc.yaml is a mapping of keys to values, such as `udp_ports: [40000, 40999]`",
    )
    problems = list(document.problems)
    config = None
    try:
        config = RtcConfig.model_validate(document.value)
    except ValidationError as error:
        problems += explain(error, document, RtcConfig.model_json_schema())
    if problems or config is None:
        raise AgentFileError(problems)
    return config
