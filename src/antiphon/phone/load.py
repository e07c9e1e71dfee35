"""Load `phone.yaml`, with everything that is wrong in it said at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from antiphon.agent.explain import AgentFileError, explain, is_secret
from antiphon.agent.yaml_lines import Document, Loc, dotted, read_mapping
from antiphon.errors import ConfigError, UserFacingError
from antiphon.phone.config import PhoneConfig
from antiphon.phone.vendors import vendor_class
from antiphon.providers.secret import REFERENCE


def load_phone(path: str | Path) -> PhoneConfig:
    """Read a `phone.yaml`. Names of other files in it are relative to its folder.

    Raises:
        AgentFileError: a ConfigError whose `errors` are all that was found, with lines.
        ConfigError: the file cannot be read, or is not YAML.
    """
    document = read_mapping(
        path,
        if_empty="it needs `vendors:` or `sip:`",
        if_other="phone.yaml is a mapping of keys to values, such as `public_url: https://...`",
    )
    problems = list(document.problems)
    config = None
    schema = PhoneConfig.model_json_schema()
    try:
        config = PhoneConfig.model_validate(document.value)
    except ValidationError as error:
        problems += explain(error, document, schema)
    secrets = {loc for loc in _references(document.value, ()) if is_secret(schema, loc)}
    _check_vendors(document, problems, secrets)
    for loc in _references(document.value, ()):
        if loc not in secrets:
            message = "only secrets, such as `auth_token`, are taken from the environment"
            problems.append(_problem(document, loc, message))
    if config is not None and config.vendors and not config.public_url:
        message = (
            "this is missing: how companies reach this server, such as "
            "`public_url: https://voice.example.com`"
        )
        problems.append(_problem(document, ("public_url",), message))
    if problems or config is None:
        raise AgentFileError(problems)
    return _with_paths(config, Path(path).parent)


def _check_vendors(document: Document, problems: list[ConfigError], secrets: set[Loc]) -> None:
    listed = document.value.get("vendors")
    for name, given in listed.items() if isinstance(listed, dict) else ():
        loc: Loc = ("vendors", name)
        if not isinstance(given, dict):
            continue
        try:
            options = vendor_class(name).Options
        except UserFacingError as error:
            problems.append(_problem(document, loc, str(error)))
            secrets.update(_references(given, loc))
            continue
        schema = options.model_json_schema()
        secrets.update(one for one in _references(given, loc) if is_secret(schema, one[2:]))
        try:
            options.model_validate(given)
        except ValidationError as error:
            problems += explain(error, document, schema, loc)


def _references(value: Any, loc: Loc) -> Iterator[Loc]:
    """Where a value is `${VARIABLE}` and nothing else."""
    if isinstance(value, str) and REFERENCE.fullmatch(value):
        yield loc
    items = value.items() if isinstance(value, dict) else ()
    for key, one in enumerate(value) if isinstance(value, list) else items:
        yield from _references(one, (*loc, key))


def _with_paths(config: PhoneConfig, folder: Path) -> PhoneConfig:
    outbound = config.outbound
    if outbound is None or outbound.do_not_call is None:
        return config
    path = str(folder / outbound.do_not_call)
    return config.model_copy(update={"outbound": outbound.model_copy(update={"do_not_call": path})})


def _problem(document: Document, loc: Loc, message: str) -> ConfigError:
    return ConfigError(message, path=document.path, line=document.line_of(loc), key=dotted(loc))
