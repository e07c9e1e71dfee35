"""Providers by name."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import pytest
from tests.house.source import ROOT

from antiphon.errors import UserFacingError
from antiphon.providers import registry
from antiphon.providers._absent import advice, outline
from antiphon.providers.base import AgentHints, ProviderOptions, Traits


class EchoOptions(ProviderOptions):
    speed: int = 1


class Echo:
    """Says what it
    hears. And more.

    Details.
    """

    Options = EchoOptions
    lacks: ClassVar[str | None] = None

    def __init__(self, options: EchoOptions, hints: AgentHints) -> None:
        self.options, self.hints = options, hints

    @staticmethod
    def missing() -> str | None:
        return Echo.lacks


HERE = "tests.providers.test_registry"


@pytest.fixture(autouse=True)
def _entries(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = {
        "echo": f"{HERE}:Echo",
        "gone": "antiphon.no_such:X",
        "needy": "tests.support.needy:X",
        "typo": f"{HERE}:Ecko",
    }

    def entry_points(*, group: str) -> list[EntryPoint]:
        return [EntryPoint(name, target, group) for name, target in targets.items()]

    monkeypatch.setattr(registry, "entry_points", entry_points)


def test_made_with_options_and_hints() -> None:
    made: Any = registry.make("stt", "echo", {"speed": 3}, AgentHints("de"))
    assert (made.options.speed, made.hints.language) == (3, "de")
    ready: Any = registry.make("stt", "echo", EchoOptions(speed=4))
    assert ready.options.speed == 4


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("eco", {}, "there is no stt called `eco`; did you mean `echo`?"),
        ("zzz", {}, "installed here: `echo`, `gone`, `needy`, `typo`"),
        ("gone", {}, "its module antiphon.no_such is not part of this installation"),
        ("needy", {}, "pip install no-such-package"),
        ("typo", {}, "cannot be loaded"),
        ("echo", {"sped": 1}, "sped: Extra inputs"),
    ],
)
def test_what_cannot_be_made_is_explained(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UserFacingError) as caught:
        registry.make("stt", name, options)
    assert says in str(caught.value)


def test_one_is_described() -> None:
    assert registry.info("stt", "echo").missing is None
    with pytest.raises(UserFacingError, match="did you mean"):
        registry.info("stt", "eco")


def test_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Echo, "lacks", "libecho; run: apt-get install libecho1")
    monkeypatch.setattr(sys.modules[HERE], "Echo", Echo)
    found = {one.name: one for one in registry.describe("stt")}
    assert list(found) == ["echo", "gone", "needy", "typo"]
    assert found["echo"].summary == "Says what it hears."
    assert found["echo"].missing == "libecho; run: apt-get install libecho1"
    assert found["needy"].missing is not None


def test_listing_imports_no_provider() -> None:
    code = (
        "import sys; from antiphon.providers import registry\n"
        "assert all(registry.available(kind) for kind in registry.KINDS)\n"
        "heavy = {'onnxruntime', 'pocketsphinx', 'numpy', 'httpx', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_missing_may_depend_on_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(options: EchoOptions | None = None) -> str | None:
        return None if options is None else f"speed {options.speed}"

    monkeypatch.setattr(Echo, "missing", staticmethod(missing))
    monkeypatch.setattr(sys.modules[HERE], "Echo", Echo)
    assert registry.info("stt", "echo").missing == "speed 1"
    assert registry.info("stt", "echo", {"speed": 3}).missing == "speed 3"
    # What the agent's file says is checked elsewhere.
    assert registry.info("stt", "echo", {"speed": "fast"}).missing is None


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("grpc", "google"),
        ("google.protobuf", "google"),
        ("kokoro_onnx", "kokoro"),
        ("piper", "piper"),
        ("sherpa_onnx", "sherpa"),
        ("vosk", "vosk"),
        ("webrtcvad", "webrtcvad"),
        ("faster_whisper", "whisper"),
        ("livekit", "aec"),
    ],
)
def test_the_extra_that_brings_a_package_is_named(module: str, extra: str) -> None:
    entry = EntryPoint("x", "antiphon.providers.stt.x:X", "antiphon.stt")
    assert advice(module, entry).endswith(f"run: pip install 'antiphon[{extra}]'")
    stranger = EntryPoint("x", "stranger.x:X", "antiphon.stt")
    assert "antiphon[" not in advice(module, stranger)


def test_every_extra_that_users_are_told_of_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = set(project["optional-dependencies"])
    told = {
        name
        for path in (*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").glob("*.md"))
        for name in re.findall(r"antiphon\[([\w-]+)\]", path.read_text(encoding="utf-8"))
    }
    assert told <= known, told - known


def test_one_that_cannot_be_imported_is_known_by_its_source() -> None:
    entry = EntryPoint("google", "antiphon.providers.stt.google:GoogleStt", "antiphon.stt")
    docstring, traits = outline(entry)
    assert docstring.startswith("Google Cloud")
    assert (traits.where, traits.key) == ("cloud", "GOOGLE_API_KEY")
    assert outline(EntryPoint("x", f"{HERE}:Nobody", "antiphon.stt")) == ("", Traits())
    assert outline(EntryPoint("x", "no.such.module:X", "antiphon.stt")) == ("", Traits())
