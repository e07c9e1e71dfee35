"""Load `rtc.yaml`, with everything that is wrong in it said at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from antiphon.agent.explain import AgentFileError, explain, is_secret
from antiphon.agent.yaml_lines import Loc, dotted, read_document
from antiphon.channels.webrtc.config import RtcConfig
from antiphon.errors import ConfigError
from antiphon.providers.secret import REFERENCE


def load_rtc(path: str | Path) -> RtcConfig:
    """Read an `rtc.yaml`.

    Raises:
        AgentFileError: a ConfigError whose `errors` are all that was found, with lines.
        ConfigError: the file cannot be read, or is not YAML.
    """
    try:
        document = read_document(path)
    except ConfigError as error:
        if not error.message.startswith("the file is empty"):
            raise
        message = "the file is empty; see docs/network.md for what belongs there"
        raise ConfigError(message, path=error.path, line=error.line) from None
    if not isinstance(document.value, dict):
        message = "rtc.yaml is a mapping of keys to values, such as `udp_ports: [40000, 40999]`"
        raise ConfigError(message, path=document.path, line=1)
    problems = list(document.problems)
    schema = RtcConfig.model_json_schema()
    config = None
    try:
        config = RtcConfig.model_validate(document.value)
    except ValidationError as error:
        problems += explain(error, document, schema)
    for loc in _references(document.value, ()):
        if not is_secret(schema, loc):
            message = "only secrets, such as `turn.secret`, are taken from the environment"
            line = document.line_of(loc)
            problems.append(ConfigError(message, path=document.path, line=line, key=dotted(loc)))
    if problems or config is None:
        raise AgentFileError(problems)
    return config


def _references(value: Any, loc: Loc) -> Iterator[Loc]:
    """Where a value is `${VARIABLE}` and nothing else."""
    if isinstance(value, str) and REFERENCE.fullmatch(value):
        yield loc
    items = value.items() if isinstance(value, dict) else ()
    for key, one in enumerate(value) if isinstance(value, list) else items:
        yield from _references(one, (*loc, key))
