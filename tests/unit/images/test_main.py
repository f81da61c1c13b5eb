"""``python -m gaovm.images``: the image's files as JSON, progress and errors on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.images.conftest import FakeBuilder

from gaovm import errors
from gaovm.images import __main__ as program
from gaovm.images import store


@pytest.fixture
def run(fake: FakeBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return a function that runs the program with some words."""

    def made(home: Path, cache: Path) -> store.ImageStore:
        return original(home, cache, build=fake)

    def call(*words: str) -> int:
        home, cache = str(tmp_path / "home"), str(tmp_path / "cache")
        monkeypatch.setattr("sys.argv", ["images", *words, "--home", home, "--cache", cache])
        return program.main()

    original = store.ImageStore
    monkeypatch.setattr(store, "ImageStore", made)
    return call


def test_it_prints_where_the_files_are(
    run: Callable[..., int],
    fake: FakeBuilder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    agent = tmp_path / "agent"
    agent.write_bytes(b"agent")
    assert run("ensure", "debian:12", "--agent", str(agent)) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert Path(found["disk"]).read_bytes() == fake.disk
    assert all(Path(found[name]).is_file() for name in ("kernel", "modules", "initrd"))
    assert "building debian:12 from None" in said.err
    assert run("build", "debian:12") == 0
    assert fake.finished == 2
    assert "initrd" not in json.loads(capsys.readouterr().out)


def test_an_error_decides_the_status(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("ensure", "debian:99") == errors.ImageUnknown.exit_code
    assert "debian:12" in capsys.readouterr().err


def test_the_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAOVM_CACHE", str(tmp_path))
    assert program.default_cache() == tmp_path
    monkeypatch.delenv("GAOVM_CACHE")
    assert program.default_cache() == Path.home() / ".cache" / "gaovm"
