"""The agents in docs/language-models.md load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from antiphon.agent.load import load_agent
from antiphon.providers.llm.auto import LOCAL_SERVERS
from antiphon.providers.llm.chat import CALL_BEGINS, INTERRUPTED, NO_RESULT
from antiphon.providers.llm.openai import KEY_VARIABLE, MODEL_VARIABLE, URL_VARIABLE

PAGE = Path(__file__).parents[2].joinpath("docs/language-models.md").read_text(encoding="utf-8")
AGENTS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", AGENTS)
def test_agents_of_the_page_load(text: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_agent(path).config.llm.provider in ("auto", "openai")


def test_marks_variables_and_ports_are_on_the_page() -> None:
    words = [INTERRUPTED, CALL_BEGINS, NO_RESULT, KEY_VARIABLE, URL_VARIABLE, MODEL_VARIABLE]
    words += [re.findall(r":(\d+)/", url)[0] for _, url in LOCAL_SERVERS]
    assert [word for word in words if word not in PAGE] == []
