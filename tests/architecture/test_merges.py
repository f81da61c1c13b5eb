"""No file contains what git writes between two versions during a merge."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MARKS = r"^(<{7}|>{7}|[|]{7})( |$)"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout")
def test_no_file_has_conflict_marks() -> None:
    done = subprocess.run(
        ["git", "grep", "-nIE", MARKS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
