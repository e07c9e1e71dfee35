"""Finding models, fetching them from a host of files, and the command."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.files import FakeFiles
from tests.support.command import run

from antiphon import models
from antiphon.errors import UserFacingError
from antiphon.models import catalogue
from antiphon.models.catalogue import Entry, File
from antiphon.models.pull import Fetched, pull, remove, verify
from antiphon.net.download import Limits

FAST = Limits(connect_s=2, read_s=1, tries=2, pause_s=0.01)
DATA = bytes(range(256)) * 2000
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANTIPHON_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("ANTIPHON_MODELS_URL", raising=False)
    return tmp_path / "models"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Entry]]:
    """A catalogue of two: one of files, one of an archive."""
    plain = (File("a.bin", "", SHA), File("b.json", "", None))
    entries = {
        "plain": Entry("plain", "stt", "vosk", "two files", "MIT", 1, plain),
        "packed": Entry("packed", "stt", "vosk", "x", "MIT", None, (File("p", "", None),), True),
    }
    monkeypatch.setattr(catalogue, "load", lambda: entries)
    return iter([entries])


async def fetch(host: FakeFiles, name: str, **options: bool) -> list[Fetched]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTIPHON_MODELS_URL", host.http_url)
        return await asyncio.to_thread(pull, name, lambda *_: None, limits=FAST, **options)


def names(folder: Path, pattern: str = "*") -> list[str]:
    return sorted(str(one.relative_to(folder)) for one in folder.glob(pattern))


def zipped(*names: str, link: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, f"this is {name}")
        if link:
            info = zipfile.ZipInfo("top/link")
            info.external_attr = 0o120777 << 16
            archive.writestr(info, link)
    return out.getvalue()


def tarred(*infos: tarfile.TarInfo, mode: str = "w:bz2") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for info in infos:
            info.size = 4 if info.isreg() else 0
            archive.addfile(info, io.BytesIO(b"data"))
    return out.getvalue()


def test_the_catalogue_is_whole() -> None:
    entries = catalogue.load()
    assert len(entries) > 20
    for name, entry in entries.items():
        assert name == Path(name).name
        assert entry.licence
        assert entry.about
        assert entry.kind in ("stt", "tts", "turn")
        assert not entry.unpack or len(entry.files) == 1
        for file in entry.files:
            assert file.url.startswith("https://")
            assert file.name == Path(file.name).name
            assert file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32


def test_what_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(UserFacingError, match=r"run: antiphon models pull kokoro-v1\.0"):
        models.find("kokoro-v1.0")
    with pytest.raises(UserFacingError, match=r"pull faster-whisper-small$"):
        models.find("small", family="faster-whisper")
    with pytest.raises(UserFacingError, match=r"did you mean kokoro-v1\.0"):
        models.find("kokoro-v1")
    with pytest.raises(UserFacingError, match=r"no model .* in .*models list"):
        models.find("zzzzz")
    for name in ("../secret", "/no/where", "", ".."):
        if not Path(name).exists() or not name:
            with pytest.raises(UserFacingError):
                models.find(name) if name else models._by_name(name, "")


def test_what_is_there_is_found(folder: Path, tmp_path: Path) -> None:
    (folder / "faster-whisper-small").mkdir(parents=True)
    (folder / "own").mkdir()
    (folder / "own" / "x.onnx").write_text("")
    assert models.find("small", family="faster-whisper") == folder / "faster-whisper-small"
    assert models.find("own", "*.onnx") == folder / "own" / "x.onnx"
    assert models.find(folder / "own") == folder / "own"
    assert models.find(folder / "own" / "x.onnx", "*.bin") == folder / "own" / "x.onnx"
    assert models.lack("own") is None
    assert (
        models.lack("own", "*.bin")
        == f"{folder / 'own'} has no file *.bin: it is not a model of this kind"
    )
    with pytest.raises(UserFacingError, match="not a model of this kind"):
        models.find("own", "*.bin")


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTIPHON_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert models.home() == Path("/data/antiphon/models")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert models.home() == Path("/home/someone/.local/share/antiphon/models")


@pytest.mark.usefixtures("known")
async def test_a_model_of_files(folder: Path) -> None:
    async with FakeFiles({"plain/a.bin": DATA, "plain/b.json": b"{}"}) as host:
        host.cuts = [100_000]
        fetched = await fetch(host, "plain")
        assert [(one.name, one.known) for one in fetched] == [("a.bin", True), ("b.json", False)]
        assert await fetch(host, "plain") == []
        assert models.find("plain", "*.json").read_text() == "{}"
        assert names(folder) == ["downloads.json", "plain"]
        assert verify("plain") == []
        (folder / "plain" / "a.bin").write_bytes(b"other")
        (folder / "plain" / "b.json").unlink()
        assert verify("plain") == ["a.bin", "b.json"]
        assert [one.known for one in await fetch(host, "plain", again=True)] == [True, True]
        assert verify("plain") == []
    assert remove("plain")
    assert not remove("plain")
    with pytest.raises(UserFacingError):
        remove("..")
    with pytest.raises(UserFacingError, match="nothing to compare"):
        verify("plain")


@pytest.mark.usefixtures("known")
async def test_files_that_changed_are_refused(folder: Path) -> None:
    async with FakeFiles({"plain/a.bin": DATA[1:], "plain/b.json": b"{}"}) as host:
        with pytest.raises(UserFacingError, match=f"not {SHA}. It was deleted"):
            await fetch(host, "plain")
        assert not (folder / "plain").exists()
        host.files["plain/a.bin"] = DATA
        await fetch(host, "plain")
        # The checksum of the other file was not known, and is from now on.
        seen = json.loads((folder / "downloads.json").read_text())
        assert seen == {"plain/b.json": hashlib.sha256(b"{}").hexdigest()}
        host.files["plain/b.json"] = b"{ }"
        with pytest.raises(UserFacingError, match=r"take plain/b.json out of .*downloads.json"):
            await fetch(host, "plain", again=True)
    assert verify("plain") == []


@pytest.mark.usefixtures("known")
async def test_a_pull_that_broke_off_goes_on(folder: Path) -> None:
    async with FakeFiles({"plain/a.bin": DATA}) as host:
        with pytest.raises(UserFacingError, match="no such file"):
            await fetch(host, "plain")
        host.files["plain/b.json"] = b"{}"
        host.connections.clear()
        await fetch(host, "plain")
        assert [one.path for one in host.connections] == ["/plain/b.json"]
        work = folder / ".plain.pulling"
        work.mkdir()
        with (work / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(UserFacingError, match="by another process"):
                await fetch(host, "plain", again=True)


@pytest.mark.usefixtures("known")
async def test_archives_are_unpacked_without_their_top_folder(folder: Path) -> None:
    archives = [
        zipped("top/", "top/am/final.mdl", "top/README"),
        tarred(tarfile.TarInfo("top/am/final.mdl"), tarfile.TarInfo("top/README")),
        tarred(tarfile.TarInfo("./top/am/final.mdl"), tarfile.TarInfo("top/README"), mode="w:gz"),
    ]
    for archive in archives:
        async with FakeFiles({"packed/p": archive}) as host:
            await fetch(host, "packed")
        assert names(folder / "packed", "**/*") == ["README", "SHA256SUMS", "am", "am/final.mdl"]
        assert verify("packed") == []
        remove("packed")
        (folder / "downloads.json").unlink()


def _link(kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo("top/link")
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    ("archive", "match"),
    [
        (zipped("../evil"), "outside"),
        (zipped("top/../../evil"), "outside"),
        (zipped("/evil"), "outside"),
        (zipped("top\\..\\evil"), "outside"),
        (zipped("top/a", link="/etc/passwd"), "no plain file"),
        (tarred(tarfile.TarInfo("../evil")), "outside"),
        (tarred(_link(tarfile.SYMTYPE)), "no plain file"),
        (tarred(_link(tarfile.LNKTYPE)), "no plain file"),
        (tarred(_link(tarfile.CHRTYPE)), "no plain file"),
        (zipped("top/a")[:-30], "not an archive"),
        (tarred(tarfile.TarInfo("top/a"), mode="w:gz")[:-30], "not an archive"),
        (b"<html>", "not an archive"),
    ],
)
async def test_archives_that_are_not_what_they_should_be(
    folder: Path, archive: bytes, match: str
) -> None:
    async with FakeFiles({"packed/p": archive}) as host:
        with pytest.raises(UserFacingError, match=match):
            await fetch(host, "packed")
        assert not (folder / "packed").exists()
        assert not names(folder.parent, "**/evil")
        # Nothing of it is in the way of a better one.
        host.files["packed/p"] = zipped("top/a", "top/b")
        await fetch(host, "packed")
    assert verify("packed") == []


def test_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "vosk-small-en").mkdir(parents=True)
    (folder / "mine").mkdir()
    assert run(monkeypatch, "models", "list") == 0
    out = capsys.readouterr().out
    assert "kokoro-v1.0" in out
    assert "mine" in out
    assert out.count("yes") == 2
    assert run(monkeypatch, "models", "path", "vosk-small-en") == 0
    assert capsys.readouterr().out.strip() == str(folder / "vosk-small-en")
    assert run(monkeypatch, "models", "pull", "kokoro-v2") == 2
    assert "did you mean kokoro-v1.0" in capsys.readouterr().err
    assert run(monkeypatch, "models", "remove", "mine") == 0
    assert run(monkeypatch, "models", "remove", "mine") == 1


@pytest.mark.usefixtures("known")
async def test_the_command_shows_checksums(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with FakeFiles({"plain/a.bin": DATA, "plain/b.json": b"{}"}) as host:
        monkeypatch.setenv("ANTIPHON_MODELS_URL", host.http_url + "/")
        assert await asyncio.to_thread(run, monkeypatch, "models", "pull", "plain") == 0
    out = capsys.readouterr().out
    assert f"a.bin: sha256 {SHA} (as expected)" in out
    assert "not known before, kept from now on" in out
    assert run(monkeypatch, "models", "verify", "plain") == 0
    (folder / "plain" / "a.bin").unlink()
    assert run(monkeypatch, "models", "verify", "plain") == 1
    assert "pull plain --again" in capsys.readouterr().out
