"""The warm-up: a whole driver's life, which must go well and leave nothing."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from gaovm.aio import logs
from gaovm.driver import warmup


class Lines:
    """A sink that keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        self.lines.append(json.loads(data))

    def close(self) -> None:
        return


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lines:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Lines()


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def test_a_driver_lives_and_leaves_nothing(heard: Lines, tmp_path: Path) -> None:
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
    assert list(tmp_path.iterdir()) == []
    assert children() == before
    assert {"Hypervisor.start", "GuestLink._provision", "Sessions._session", "Vm.stop"} <= ran


def test_a_warm_up_that_fails_is_only_reported(heard: Lines, tmp_path: Path) -> None:
    tmp_path.rmdir()
    handler = logs.Handler(heard)
    logging.getLogger("gaovm").addHandler(handler)
    try:
        warmup.run(handler)
    finally:
        logging.getLogger("gaovm").removeHandler(handler)
    (line,) = heard.lines
    assert line["message"].startswith("warm-up: FileNotFoundError")
