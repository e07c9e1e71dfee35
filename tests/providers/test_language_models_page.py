"""The agents in docs/language-models.md load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from antiphon.agent.load import load_agent
from antiphon.providers import registry
from antiphon.providers.llm._turns import GO_ON
from antiphon.providers.llm.auto import LOCAL_SERVERS
from antiphon.providers.llm.chat import CALL_BEGINS, INTERRUPTED, NO_RESULT
from antiphon.providers.llm.openai import KEY_VARIABLE, MODEL_VARIABLE, URL_VARIABLE

PAGE = Path(__file__).parents[2].joinpath("docs/language-models.md").read_text(encoding="utf-8")
AGENTS_IN = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
AGENTS = AGENTS_IN.findall(PAGE)


@pytest.mark.parametrize("text", AGENTS)
def test_agents_of_the_page_load(text: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_agent(path).config.llm.provider in registry.available("llm")


def test_every_provider_is_on_the_page() -> None:
    here = {"flow", "scripted"}  # On a page of their own.
    assert [one for one in registry.available("llm") if one not in here and one not in PAGE] == []


def test_an_openai_compatible_server_is_five_lines() -> None:
    section = PAGE.split("## Any OpenAI-compatible server")[1]
    assert len(AGENTS_IN.findall(section)[0].splitlines()) == 5


def test_the_table_of_presets_is_right() -> None:
    for name in ("groq", "together", "mistral", "ollama", "vllm", "llama-server", "lm-studio"):
        (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{name}`"))
        options = registry.options_class("llm", name).model_fields
        address = options["base_url"].default.partition("://")[2]
        assert address.split("/")[0] in row
        assert registry.info("llm", name).traits.key in row
        assert str(options["model"].default or "") in row or options["model"].is_required()


def test_marks_variables_and_ports_are_on_the_page() -> None:
    words = [INTERRUPTED, CALL_BEGINS, NO_RESULT, GO_ON, KEY_VARIABLE, URL_VARIABLE, MODEL_VARIABLE]
    words += [re.findall(r":(\d+)/", url)[0] for _, url in LOCAL_SERVERS]
    assert [word for word in words if word not in PAGE] == []
