"""Who may import whom, and what `import antiphon` may load."""

from __future__ import annotations

import graphlib
import subprocess
import sys

import pytest
from tests.house.source import Module, imports, modules

BASE = ("types", "errors")
PROVIDERS = ("providers.base", "providers.registry")
CHANNELS = ("channels.base",)

# Room -> what it may import besides itself and outside packages. An entry is a module or a room.
ROOMS: dict[str, tuple[str, ...]] = {
    "types": (),
    "errors": (),
    "engine": BASE,
    "sim": (*BASE, "engine"),
    "audio": BASE,
    "net": BASE,
    "models": (*BASE, "net"),
    "observe": BASE,
    "spoken": (*BASE, "engine.ssml"),
    "providers": (*BASE, "net", "audio", "models"),
    "channels": (*BASE, "net", "audio", "providers.secret"),
    "phone": (
        *(*BASE, "net", "channels", "providers.secret"),
        *("agent.explain", "agent.yaml_lines", "agent.hours"),
    ),
    "agent": (*BASE, "engine.policy", "engine.language", *PROVIDERS, "providers.secret"),
    "cost": (*BASE, "agent.explain", "agent.yaml_lines"),
    "session": (
        "providers.failover",
        *(*BASE, "engine", "audio", "observe", "agent", "spoken", "cost"),
        *(*PROVIDERS, *CHANNELS),
    ),
    "bench": (*BASE, "engine", "audio", "observe", "agent", "session", *PROVIDERS, "channels"),
    "server": (
        *(*BASE, "engine", "audio", "observe", "agent", "session", *PROVIDERS),
        *("channels", "phone"),
    ),
    "cli": (
        *(*BASE, "engine", "sim", "audio", "observe", "agent", "session", "server"),
        *(*PROVIDERS, "channels", "bench", "models", "cost", "phone"),
    ),
}
# Edges that cross a wall, with the reason. This list may only shrink.
DOORS: dict[tuple[str, str], str] = {
    (
        "antiphon.agent.prompt",
        "antiphon.providers.llm.chat",
    ): "two marks that the mapper writes are explained to the model in the system message",
    (
        "antiphon.cli.check",
        "antiphon.providers.llm.auto",
    ): "says what `llm: auto` would take here, without constructing it",
}

HEAVY = {"av", "aiortc", "onnxruntime", "numpy", "pocketsphinx", "soxr", "soundfile", "fastapi"} | {
    "uvicorn", "httpx", "playwright", "prometheus_client", "babel", "phonenumbers",
}  # fmt: skip
# Where a heavy library may be imported at the top of a module. The registry loads these modules
# when an agent names them, the command line when its command is given.
HEAVY_ROOMS = ("providers.", "channels.", "audio.", "server.", "observe.", "net.", "session.")
ENGINE_MAY_NOT = {"time", "random", "asyncio", "logging", "datetime", "threading", "os", "io"} | {
    "secrets", "uuid", "socket", "subprocess", "pathlib", "warnings",
}  # fmt: skip


def room(name: str) -> str:
    return name.removeprefix("antiphon.").partition(".")[0]


def edges(module: Module) -> list[str]:
    return sorted({n for n in imports(module) if n == "antiphon" or n.startswith("antiphon.")})


def test_every_room_has_rules() -> None:
    assert {room(m.name) for m in modules()} - {"antiphon", "__main__"} <= set(ROOMS)


def test_rooms_import_only_what_they_may() -> None:
    wrong, used = [], set()
    for module in modules():
        here = room(module.name)
        for target in edges(module):
            there = target.removeprefix("antiphon.")
            open_to = (here, *ROOMS.get(here, ()))
            if target == "antiphon" or any(f"{there}.".startswith(f"{x}.") for x in open_to):
                continue
            if (module.name, target) in DOORS:
                used.add((module.name, target))
            else:
                wrong.append(f"{module.name} imports {target}")
    assert not wrong, "see docs/architecture.md, 'Who may import whom':\n" + "\n".join(wrong)
    assert used == set(DOORS), f"no longer needed: {sorted(set(DOORS) - used)}"


def test_there_are_no_cycles() -> None:
    graph = {m.name: {t for t in edges(m) if t not in (m.name, "antiphon")} for m in modules()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_engine_is_pure() -> None:
    for module in modules():
        if room(module.name) not in ("engine", "types", "errors"):
            continue
        for target in imports(module):
            top = target.partition(".")[0]
            assert top == "antiphon" or top in sys.stdlib_module_names, f"{module.key}: {target}"
            assert top not in ENGINE_MAY_NOT, f"{module.key}: the engine may not use {target}"


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    for module in modules():
        where = module.name.removeprefix("antiphon.") + "."
        if where.startswith(HEAVY_ROOMS):
            continue
        tops = {target.partition(".")[0] for target in imports(module, lazy=False)}
        assert not tops & HEAVY, f"{module.key} imports {sorted(tops & HEAVY)} at its top"


@pytest.mark.parametrize("what", ["antiphon", "antiphon.cli", "antiphon.engine.conversation"])
def test_importing_it_loads_nothing_heavy(what: str) -> None:
    code = f"import sys, {what}; print(*{{m.partition('.')[0] for m in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not loaded & HEAVY
    if what != "antiphon.cli":
        assert not loaded & {"asyncio", "pydantic", "typer", "rich", "yaml"}
