"""docs/telephone.md: its settings load, and every option stands in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from antiphon.channels.phone.asterisk import Asterisk
from antiphon.channels.phone.exotel import Exotel
from antiphon.channels.phone.plivo import Plivo
from antiphon.channels.phone.telnyx import Telnyx
from antiphon.channels.phone.twilio import Twilio
from antiphon.channels.phone.vonage import Vonage
from antiphon.phone.config import PhoneConfig

PAGE = (Path(__file__).parents[3] / "docs" / "telephone.md").read_text(encoding="utf-8")
COMPANIES = {one.name: one for one in (Twilio, Telnyx, Vonage, Plivo, Exotel, Asterisk)}
SNIPPETS = [
    yaml.safe_load(code)
    for code in re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    if "vendors:" in code
]


def test_each_company_has_a_snippet() -> None:
    assert {name for one in SNIPPETS for name in one["vendors"]} == set(COMPANIES)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda one: ",".join(one["vendors"]))
def test_snippets_load(snippet: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in re.findall(r"\$\{(\w+)\}", str(snippet)):
        monkeypatch.setenv(variable, "secret")
    config = PhoneConfig.model_validate(snippet)
    for name, given in config.vendors.items():
        COMPANIES[name].Options.model_validate(given)


@pytest.mark.parametrize("name", COMPANIES)
def test_every_option_is_documented(name: str) -> None:
    table = PAGE.split(f"| option of `{name}` |", 1)[1].split("\n\n", 1)[0]
    missing = [key for key in COMPANIES[name].Options.model_fields if f"`{key}`" not in table]
    assert not missing
