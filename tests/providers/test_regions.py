from __future__ import annotations

import pytest

from antiphon.providers.regions import with_region


@pytest.mark.parametrize(
    ("language", "tag"),
    [
        ("en", "en-US"),
        ("de", "de-DE"),
        ("pt", "pt-BR"),
        ("uk", "uk-UA"),
        ("en-GB", "en-GB"),
        ("de_AT", "de-AT"),
        ("auto", "auto"),
        ("cmn-Hans-CN", "cmn-Hans-CN"),
    ],
)
def test_a_language_gets_its_likely_region(language: str, tag: str) -> None:
    assert with_region(language) == tag
