"""``sysinit-vm`` as its tests run it, and the cases of its origin."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.process.cli import conftest

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data" / "sysinit" / "vectors.json").read_text()
)
MAIN = "from gaovm.cli.sysinit import main; main.entry()"


class Sysinit(conftest.Gaovm):
    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-c", MAIN, *words]


def directory(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir()
    return path
