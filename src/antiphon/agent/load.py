"""Load an agent's file, with everything that is wrong in it said at once."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from antiphon.agent import variables
from antiphon.agent.config import AgentConfig, ToolConfig
from antiphon.agent.endings import Endings
from antiphon.agent.explain import AgentFileError, explain, is_secret
from antiphon.agent.flow import Flow
from antiphon.agent.realtime import for_realtime
from antiphon.agent.tool import Tool
from antiphon.agent.yaml_lines import Document, Loc, dotted, read_document
from antiphon.engine.language import language_of
from antiphon.engine.policy import Digits, Setup
from antiphon.errors import ConfigError, UserFacingError
from antiphon.providers import registry
from antiphon.providers.base import AgentHints
from antiphon.providers.secret import REFERENCE
from antiphon.types import ToolSpec

FLOW_SENTENCES = 12_000
"""Sentences of the flow that providers are given: what a language model is made from."""

ENDINGS_SENTENCES = 4_000
"""As many of them tell where callers' phrases end; counting them takes a tenth of a second."""


@dataclass(frozen=True, slots=True)
class LoadedAgent:
    """An agent ready to be run: its file is valid, its tools are imported."""

    path: Path
    config: AgentConfig
    hints: AgentHints
    tools: tuple[Tool, ...]
    endings: Endings | None = None
    """What callers say to it, where a flow knows."""

    @property
    def setup(self) -> Setup:
        """What the engine is told of the agent."""
        config = self.config
        brains = len((*config.realtimes, *config.brains))
        told, asks = config.disclosure, config.disclosure and config.disclosure.consent == "ask"
        return Setup(
            greeting=config.greeting,
            greeting_protected=config.greeting_protected,
            language=config.language,
            policy=config.turn,
            phrases=config.phrases,
            tool_deadlines=tuple(
                (one.name, one.timeout_ms) for one in config.tools if one.timeout_ms is not None
            ),
            llms=brains,
            cheaper_llm=None if config.budget.cheaper_llm is None else brains - 1,
            voices=len((*config.realtimes, *config.voices)),
            stts=len(config.recognisers),
            recorded=True,
            detects_turns=config.turn_detector is not None,
            disclosure=told.text if told else "",
            records=config.recording.enabled,
            consent_question=told.question if told and asks else "",
            consent_required=bool(told and asks and told.if_refused == "hang_up"),
            digits=_digits(config),
            transfer_on_failure=config.transfer.on_failure if config.transfer else "",
        )

    def for_call(self, values: Mapping[str, str]) -> LoadedAgent:
        """The agent of one call, its variables filled in.

        Args:
            values: `caller_number`, `called_number`, `channel` and what an outbound order says of
                the person. What the agent has no variable for is ignored.
        """
        config = variables.fill(self.config, values)
        return self if config is self.config else replace(self, config=config)


def load_agent(path: str | Path) -> LoadedAgent:
    """Load an agent from its YAML file, importing its tools' modules.

    Raises:
        AgentFileError: a ConfigError whose `errors` are all that was found, with lines.
        ConfigError: the file cannot be read, or is not YAML.
    """
    document = read_document(path)
    problems = list(document.problems)
    if not isinstance(document.value, dict):
        message = "an agent's file is a mapping of keys to values, such as `name: Cafe`"
        raise ConfigError(message, path=document.path, line=1)
    config = _config(document, problems)
    _check_providers(document, problems)
    functions = _functions(document, problems)
    flow = _flow(config, document, problems) if config else None
    if config is not None:
        _check_line(config, document, problems)
    if problems or config is None:
        raise AgentFileError(problems)
    config = for_realtime(config)
    tools = tuple(_tool(one, functions[one.name], config) for one in config.tools)
    hints = _hints(config, flow)
    endings = Endings(hints.sentences[:ENDINGS_SENTENCES]) if hints.sentences else None
    return LoadedAgent(Path(path), config, hints, tools, endings)


def _config(document: Document, problems: list[ConfigError]) -> AgentConfig | None:
    try:
        return AgentConfig.model_validate(document.value)
    except ValidationError as error:
        problems += explain(error, document, AgentConfig.model_json_schema())
        return None


# ---- providers ------------------------------------------------------------------------------


def _check_providers(document: Document, problems: list[ConfigError]) -> None:
    secrets: set[Loc] = set()
    for kind, loc, written in _choices(document.value):
        choice = {"provider": written} if isinstance(written, str) else written
        if not isinstance(choice, dict) or not isinstance(choice.get("provider"), str):
            continue
        try:
            options = registry.options_class(kind, choice["provider"])
        except UserFacingError as error:
            problems.append(_problem(document, loc, str(error)))
            secrets.update(_references(choice, loc))
            continue
        given = {key: value for key, value in choice.items() if key != "provider"}
        schema = options.model_json_schema()
        depth = len(loc)
        secrets.update(one for one in _references(given, loc) if is_secret(schema, one[depth:]))
        try:
            options.model_validate(given)
        except ValidationError as error:
            problems += explain(error, document, schema, loc)
    for loc in _references(document.value, ()):
        if loc not in secrets:
            message = "only secrets, such as `api_key`, are taken from the environment"
            problems.append(_problem(document, loc, message))


def _choices(value: dict[str, Any]) -> Iterator[tuple[registry.Kind, Loc, Any]]:
    """Every place where a provider is chosen: its kind, where, and what is written there."""
    for kind in registry.KINDS:
        key = "turn_detector" if kind == "turn" else kind
        yield kind, (key,), value.get(key)
    budget = value.get("budget")
    if isinstance(budget, dict):
        yield "llm", ("budget", "cheaper_llm"), budget.get("cheaper_llm")
    fallback = value.get("fallback")
    for kind in ("llm", "tts"):
        listed = fallback.get(kind) if isinstance(fallback, dict) else None
        if isinstance(listed, list):
            for number, one in enumerate(listed):
                yield kind, ("fallback", kind, number), one
        else:
            yield kind, ("fallback", kind), listed


def _references(value: Any, loc: Loc) -> Iterator[Loc]:
    """Where a value is `${VARIABLE}` and nothing else."""
    if isinstance(value, str) and REFERENCE.fullmatch(value):
        yield loc
    items = value.items() if isinstance(value, dict) else ()
    for key, one in enumerate(value) if isinstance(value, list) else items:
        yield from _references(one, (*loc, key))


# ---- tools ----------------------------------------------------------------------------------


def _functions(document: Document, problems: list[ConfigError]) -> dict[str, Callable[..., Any]]:
    """The functions of all tools that are described well enough, by the tool's name."""
    found: dict[str, Callable[..., Any]] = {}
    listed = document.value.get("tools")
    for number, written in enumerate(listed if isinstance(listed, list) else ()):
        try:
            tool = ToolConfig.model_validate(written)
        except ValidationError:
            continue
        try:
            function = _import_function(tool.python, Path(document.path).parent)
            _check_signature(tool, function)
            found[tool.name] = function
        except UserFacingError as error:
            problems.append(_problem(document, ("tools", number, "python"), str(error)))
    return found


def _import_function(target: str, folder: Path) -> Callable[..., Any]:
    where, _, name = target.rpartition(":")
    module = _import_file(folder / where) if where.endswith(".py") else _import_module(where)
    function = getattr(module, name, None)
    if function is None:
        names = tuple(key for key, one in vars(module).items() if inspect.isfunction(one))
        guess = registry.nearest(name, names)
        hint = f"; did you mean `{guess}`?" if guess else ""
        raise UserFacingError(f"{where} has no function `{name}`{hint}")
    if not callable(function):
        raise UserFacingError(f"`{name}` in {where} is not a function")
    return function  # type: ignore[no-any-return]


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserFacingError(f"there is no file {path}")
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"antiphon_tools_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserFacingError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look their module up by name.
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code's outermost frame
        sys.modules.pop(name) if before is None else sys.modules.update({name: before})
        raise _import_failed(str(path), error) from None
    return module


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code's outermost frame
        raise _import_failed(name, error) from None


def _import_failed(what: str, error: BaseException) -> UserFacingError:
    line = getattr(error, "lineno", None)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == what:
            line = trace.tb_lineno
        trace = trace.tb_next
    place = f" (line {line})" if line else ""
    return UserFacingError(f"{what} cannot be imported{place}: {type(error).__name__}: {error}")


def _check_signature(tool: ToolConfig, function: Callable[..., Any]) -> None:
    """Refuse a schema that promises the LLM arguments that the function does not take."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    described = tool.parameters.get("properties", {})
    for name in described:
        if name not in parameters and not takes_any:
            raise UserFacingError(f"the function has no parameter `{name}`, which the schema has")
    for one in parameters.values():
        optional = one.default is not one.empty or one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
        if not optional and one.name not in tool.parameters.get("required", ()):
            raise UserFacingError(
                f"the function needs `{one.name}`: list it in the schema's `required`, "
                "or give it a default"
            )


def _tool(config: ToolConfig, function: Callable[..., Any], agent: AgentConfig) -> Tool:
    spec = ToolSpec(config.name, config.description, config.parameters)
    return Tool(spec, function, config.timeout_ms or agent.turn.dead_air.tool_deadline_ms)


# ---- the line -------------------------------------------------------------------------------


def _check_line(config: AgentConfig, document: Document, problems: list[ConfigError]) -> None:
    for loc, message in variables.problems(config):
        problems.append(_problem(document, loc, message))
    targets = tuple(config.transfer.targets) if config.transfer else ()
    for name, intent in config.flow.intents.items() if config.flow else ():
        if intent.transfer and intent.transfer not in targets:
            guess = registry.nearest(intent.transfer, targets)
            hint = f"did you mean `{guess}`?" if guess else "name it under `transfer.targets`"
            message = f"there is nobody called `{intent.transfer}`; {hint}"
            loc = ("flow", "intents", name, "transfer")
            problems.append(_problem(document, loc, message))
    for one in config.flow.digits() if config.flow else ():
        if one.name in config.digits:
            message = f"`{one.name}` is also a slot of the flow; rename one of them"
            problems.append(_problem(document, ("digits", one.name), message))


def _digits(config: AgentConfig) -> tuple[Digits, ...]:
    own = [
        Digits(name, one.ask, one.min, one.max, one.secret) for name, one in config.digits.items()
    ]
    return (*own, *(config.flow.digits() if config.flow else ()))


# ---- flow -----------------------------------------------------------------------------------


def _flow(config: AgentConfig, document: Document, problems: list[ConfigError]) -> Flow | None:
    if config.flow is None:
        return None
    names = tuple(tool.name for tool in config.tools)
    for name in config.flow.tool_names():
        if name not in names:
            guess = registry.nearest(name, names)
            hint = f"did you mean `{guess}`?" if guess else "define it under `tools`"
            message = f"the flow calls a tool `{name}` that is not there; {hint}"
            problems.append(_problem(document, ("flow",), message))
    try:
        return Flow(config.flow)
    except ValueError as error:
        problems.append(_problem(document, ("flow",), str(error)))
        return None


def _hints(config: AgentConfig, flow: Flow | None) -> AgentHints:
    words = dict.fromkeys(flow.vocabulary() if flow else ())
    words.update(dict.fromkeys(config.vocabulary))
    return AgentHints(
        language=config.language,
        sentences=tuple(flow.sentences(FLOW_SENTENCES, 0)) if flow else (),
        vocabulary=tuple(words),
        pronunciations={word: said for word, said in config.vocabulary.items() if said},
        interjections=_interjections(config),
        brain=flow,
        rate=config.speech.rate,
    )


def _interjections(config: AgentConfig) -> tuple[str, ...]:
    language, overlap = language_of(config.language), config.turn.interruption
    ours = language.backchannels | language.stop_words
    return tuple(sorted(ours.union(overlap.backchannels, overlap.stop_words)))


def _problem(document: Document, loc: Loc, message: str) -> ConfigError:
    return ConfigError(message, path=document.path, line=document.line_of(loc), key=dotted(loc))
