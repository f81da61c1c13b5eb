"""The warm-up: a whole driver's life, which must succeed and leave nothing."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaovm.aio import logs
from gaovm.driver.spawn import warmup
from gaovm.platform import processes


class Lines:
    """A sink that keeps the log lines."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        self.lines.append(json.loads(data))

    def close(self) -> None:
        return


@pytest.fixture
def place() -> Iterator[Path]:
    """Make a directory with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="gw.", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, place: Path) -> Lines:
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    # a busy machine may take longer than a zygote would wait
    monkeypatch.setattr(warmup, "LIMIT_S", 60.0)
    return Lines()


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def test_a_driver_lives_and_leaves_nothing(heard: Lines, place: Path) -> None:
    handler = logs.Handler(heard)
    before = children()
    ran = set()

    def note(frame: Any, event: str, _: Any) -> None:
        ran.add(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        warmup.run(handler, 2)
    finally:
        sys.setprofile(None)
    assert heard.lines == []  # no complaint
    assert handler.sinks == (heard,)
    assert list(place.iterdir()) == []
    assert children() == before
    assert {"Hypervisor.start", "run_late", "Sessions._session", "Vm.stop"} <= ran


def test_a_warm_up_that_fails_is_only_reported(
    heard: Lines, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place / "none"))
    handler = logs.Handler(heard)
    logging.getLogger("gaovm").addHandler(handler)
    try:
        warmup.run(handler)
    finally:
        logging.getLogger("gaovm").removeHandler(handler)
    (line,) = heard.lines
    assert line["message"].startswith("warm-up: FileNotFoundError")


def test_what_a_killed_zygote_left_is_removed(heard: Lines, place: Path) -> None:
    pid, started = processes.identity(os.getpid())
    dead = place / f"gaovm-warm-up.{pid}.{started - 1}.abc"
    alive = place / f"gaovm-warm-up.{pid}.{started}.abc"
    other = place / "gaovm-warm-up.mine"
    for path in (dead, alive, other):
        path.mkdir()
        (path / "lock").touch()
    warmup.run(logs.Handler(heard))
    assert heard.lines == []
    assert sorted(place.iterdir()) == [alive, other]
