from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gaovm.hostfacts import usage

# reports when it holds the memory, starts the given child first, ends at the end of its input
HOLDER = """
import subprocess, sys
held = bytearray(b"x") * (64 << 20)
if sys.argv[1:]:
    child = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE)
    child.stdout.readline()
print("ready", flush=True)
sys.stdin.read()
"""


def test_memory_of_a_process_includes_its_children() -> None:
    words = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(
        [*words, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        found = usage.of_tree(process.pid)
        assert process.stdin is not None
        process.stdin.close()
    assert found.processes == 2
    assert 128 << 20 <= found.bytes < 512 << 20
    assert usage.of_tree(process.pid) == (0, 0)


def test_shared_memory_counts_once() -> None:
    script = "import mmap, os, sys; m = mmap.mmap(-1, 64 << 20); m.write(b'x' * (64 << 20))\n"
    script += "pid = os.fork()\nif pid == 0: m.seek(0); m.read(64 << 20)\n"
    script += "print('ready', flush=True); sys.stdin.read()\nif pid: os.wait()\n"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() + process.stdout.readline() == b"ready\nready\n"
        found = usage.of_tree(process.pid)
        assert process.stdin is not None
        process.stdin.close()
    assert found.processes == 2
    assert 64 << 20 <= found.bytes < 120 << 20


def test_disk_usage_counts_allocated_blocks(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    with open(tmp_path / "sub" / "full", "wb") as file:
        file.write(b"x" * (1 << 20))
        file.flush()
        os.fsync(file.fileno())  # so that its blocks are allocated
    with open(tmp_path / "sparse", "wb") as file:
        os.truncate(file.fileno(), 1 << 30)
    assert 1 << 20 <= usage.disk_bytes(tmp_path) < 2 << 20
    assert usage.disk_bytes(tmp_path / "no") == 0
