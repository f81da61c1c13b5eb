"""The hot half of the client stays light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[3] / "src"
HEAVY = {
    "asyncio",
    "msgspec",
    "typer",
    "rich",
    "click",
    "subprocess",
    "pathlib",
    "typing",
    "dataclasses",
    "logging",
    "threading",
    "contextlib",
    "inspect",
    "tarfile",
    "argparse",
    "importlib.metadata",
}


@pytest.mark.parametrize(
    "modules",
    ["gaovm.client.blocking", "gaovm.client.session, gaovm.client.exec_loop"],
)
def test_nothing_heavy_is_loaded(modules: str) -> None:
    script = f"import sys; before = set(sys.modules)\nimport {modules}\n"
    script += "print(*sorted(set(sys.modules) - before), sep='\\n')"
    words = [sys.executable, "-S", "-c", script]
    environment = {"PYTHONPATH": str(SRC)}
    done = subprocess.run(words, capture_output=True, env=environment, check=True, timeout=20)
    loaded = set(done.stdout.decode().split())
    assert "gaovm.ipc.frames" in loaded or "gaovm.client.session" in loaded
    assert loaded & HEAVY == set()
    assert len(loaded) < 68  # ten of them are the errors, a file per family, and their actions
