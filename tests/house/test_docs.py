"""What the docs say holds: tables are made from the code, snippets run, links lead somewhere."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from tests.house.source import ROOT

from antiphon.agent.flow import CheckConfig, FlowConfig, FlowSays, IntentConfig, SlotConfig

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += sorted((ROOT / "bench").glob("*.md"))


def snippets(language: str) -> list[Any]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, code in enumerate(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)):
            found.append(pytest.param(code, id=f"{page.name}-{number}"))
    return found


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "docs.py"))


def test_reference_tables_are_up_to_date(generator: dict[str, Any]) -> None:
    late = generator["outdated"]()
    missing = sorted(set(generator["undocumented"]))
    assert not missing, "write what they mean where they are defined:\n" + "\n".join(missing)
    assert not late, f"run scripts/docs.py: {late}"


@pytest.mark.parametrize(
    "model", [FlowConfig, IntentConfig, SlotConfig, CheckConfig, FlowSays], ids=lambda m: m.__name__
)
def test_every_key_of_a_flow_is_documented(model: type[BaseModel]) -> None:
    text = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
    missing = [name for name in model.model_fields if f"`{name}`" not in text]
    assert not missing, missing


@pytest.mark.parametrize("code", snippets("python"))
def test_python_snippets_run(code: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("code", snippets("yaml"))
def test_agents_in_the_docs_are_valid(code: str, tmp_path: Path) -> None:
    """Every YAML snippet is an agent, and `antiphon check` accepts it. Tools that it names are
    written beside it, with the arguments of their schema."""
    (tmp_path / "agent.yaml").write_text(code, encoding="utf-8")
    for tool in yaml.safe_load(code).get("tools", []):
        file, _, function = tool["python"].partition(":")
        arguments = ", ".join(tool["parameters"]["properties"])
        with (tmp_path / file).open("a", encoding="utf-8") as out:
            out.write(f"def {function}({arguments}):\n    return {{}}\n")
    run = subprocess.run(
        [sys.executable, "-c", "from antiphon.cli import main; main()", "check", "agent.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"OPENAI_API_KEY": "not-a-key", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{page.name}: {target}"


def test_every_command_is_in_the_readme() -> None:
    from antiphon import cli

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in cli._COMMANDS:
        assert f"antiphon {command}" in readme or f"make {command}" in readme, command


def test_make_targets_are_documented() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("setup", "serve", "test", "check", "sim", "bench"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_be_written(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"\b(TODO|TBD|FIXME|XXX)\b|<!-- begin (\w+) -->\n<!-- end", text)
