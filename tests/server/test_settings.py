from __future__ import annotations

import pytest

from antiphon.server.settings import ServerSettings


@pytest.mark.parametrize(
    ("host", "local", "url"),
    [
        ("127.0.0.1", True, "http://localhost:8080"),
        ("::1", True, "http://localhost:8080"),
        ("localhost", True, "http://localhost:8080"),
        ("0.0.0.0", False, "http://localhost:8080"),
        ("192.168.1.5", False, "http://192.168.1.5:8080"),
        ("fd00::2", False, "http://[fd00::2]:8080"),
    ],
)
def test_where_the_page_is(host: str, local: bool, url: str) -> None:
    settings = ServerSettings(host=host)
    assert settings.is_local is local
    assert settings.url == url


def test_the_public_name() -> None:
    assert ServerSettings().public_name == ""
    assert ServerSettings(public_url="https://Voice.Example.com:8443").public_name == (
        "voice.example.com"
    )
