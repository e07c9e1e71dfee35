from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from tests.fakes.files import FakeFiles

from antiphon.errors import UserFacingError
from antiphon.net.download import Limits, download

FAST = Limits(connect_s=2, read_s=0.3, tries=3, pause_s=0.01)
DATA = bytes(range(256)) * 4000


async def fetch(url: str, target: Path, limits: Limits = FAST) -> list[tuple[int, int | None]]:
    told: list[tuple[int, int | None]] = []
    await asyncio.to_thread(download, url, target, lambda *at: told.append(at), limits)
    return told


async def test_a_file_is_fetched_and_its_progress_told(tmp_path: Path) -> None:
    async with FakeFiles({"a/b.bin": DATA}) as host:
        host.redirects["old"] = f"{host.http_url}/a/b.bin"
        told = await fetch(f"{host.http_url}/old", tmp_path / "b.bin")
    assert (tmp_path / "b.bin").read_bytes() == DATA
    assert told[0] == (0, len(DATA))
    assert told[-1] == (len(DATA), len(DATA))
    assert os.listdir(tmp_path) == ["b.bin"]


async def test_a_broken_connection_is_gone_on_with(tmp_path: Path) -> None:
    async with FakeFiles({"b": DATA}) as host:
        host.cuts = [300_000, 300_000]
        await fetch(f"{host.http_url}/b", tmp_path / "b")
        ranges = [one.headers.get("range") for one in host.connections]
    assert (tmp_path / "b").read_bytes() == DATA
    assert ranges[0] is None
    begins = [int(str(one).removeprefix("bytes=").removesuffix("-")) for one in ranges[1:]]
    assert len(begins) == 2
    assert 0 < begins[0] < begins[1] <= 600_000


async def test_an_interrupted_download_is_gone_on_with_by_a_later_one(tmp_path: Path) -> None:
    async with FakeFiles({"b": DATA}) as host:
        host.cuts = [500_000, 0, 0, 0]
        with pytest.raises(UserFacingError, match="run the same again to go on"):
            await fetch(f"{host.http_url}/b", tmp_path / "b")
        assert not (tmp_path / "b").exists()
        host.cuts = []
        await fetch(f"{host.http_url}/b", tmp_path / "b")
        assert "range" in host.last.headers
    assert (tmp_path / "b").read_bytes() == DATA


@pytest.mark.parametrize("change", ["etag", "no etag", "no ranges"])
async def test_what_cannot_be_gone_on_with_starts_over(tmp_path: Path, change: str) -> None:
    async with FakeFiles({"b": DATA}) as host:
        host.cuts = [500_000, 0, 0, 0]
        host.etag = "" if change == "no etag" else host.etag
        with pytest.raises(UserFacingError):
            await fetch(f"{host.http_url}/b", tmp_path / "b")
        host.cuts, host.ranges = [], change != "no ranges"
        host.etag = '"two"' if change == "etag" else host.etag
        host.files["b"] = DATA[::-1]
        await fetch(f"{host.http_url}/b", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == DATA[::-1]


async def test_a_part_that_is_longer_than_the_file_starts_over(tmp_path: Path) -> None:
    (tmp_path / "b.part").write_bytes(DATA * 2)
    (tmp_path / "b.part.tag").write_text('"one"')
    async with FakeFiles({"b": DATA}) as host:
        await fetch(f"{host.http_url}/b", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == DATA


async def test_a_refusal_is_final_and_a_bad_moment_is_not(tmp_path: Path) -> None:
    async with FakeFiles({"b": DATA}) as host:
        for status, match in ((404, "no such file"), (401, "login"), (403, "access"), (410, "410")):
            host.faults.status, host.faults.times = status, None
            before = len(host.connections)
            with pytest.raises(UserFacingError, match=match):
                await fetch(f"{host.http_url}/b", tmp_path / "b")
            assert len(host.connections) == before + 1
        host.faults.status, host.faults.retry_after = 503, "0"
        before = len(host.connections)
        with pytest.raises(UserFacingError, match=r"status 503.*online"):
            await fetch(f"{host.http_url}/b", tmp_path / "b")
        assert len(host.connections) == before + FAST.tries
        host.faults.times = 2
        await fetch(f"{host.http_url}/b", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == DATA


async def test_a_silent_server_and_none_at_all_are_given_up(tmp_path: Path) -> None:
    quick = Limits(connect_s=1, read_s=0.05, tries=2, pause_s=0.01)
    async with FakeFiles({"b": DATA}) as host:
        host.faults.silent = True
        with pytest.raises(UserFacingError, match="does not answer"):
            await fetch(f"{host.http_url}/b", tmp_path / "b", quick)
        url = f"{host.http_url}/b"
    with pytest.raises(UserFacingError, match="cannot be fetched"):
        await fetch(url, tmp_path / "b", quick)
    with pytest.raises(UserFacingError, match="not an address"):
        await fetch("ftp://127.0.0.1/b", tmp_path / "b", quick)


async def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr("antiphon.net.download.shutil.disk_usage", lambda _: usage)
    async with FakeFiles({"b": DATA}) as host:
        with pytest.raises(UserFacingError, match="1 MB are needed"):
            await fetch(f"{host.http_url}/b", tmp_path / "b")
