"""cp in both directions, files and directories."""

from __future__ import annotations

import os
from pathlib import Path

from tests.e2e.world import World


def test_file_both_ways(world: World, vm: Path, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "x").write_bytes(data)
    (tmp_path / "x").chmod(0o750)
    world.run("cp", str(tmp_path / "x"), "vm:/tmp/x", cwd=vm)
    out = world.run("exec", "--", "stat", "-c", "%a %s", "/tmp/x", cwd=vm).stdout.split()
    assert out == [b"750", b"300000"]
    world.run("cp", "shared-dev:/tmp/x", str(tmp_path / "back"), cwd=Path("/"))
    assert (tmp_path / "back").read_bytes() == data


def test_directory_both_ways(world: World, vm: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep" / "er" / "f").write_text("text")
    (tree / "link").symlink_to("deep/er/f")
    world.run("exec", "--", "rm", "-rf", "/tmp/tree", cwd=vm)
    world.run("cp", str(tree), "vm:/tmp/", cwd=vm)
    out = world.run("exec", "--", "cat", "/tmp/tree/link", cwd=vm).stdout
    assert out == b"text"
    world.run("cp", "vm:/tmp/tree", str(tmp_path / "out"), cwd=vm)
    assert (tmp_path / "out" / "deep" / "er" / "f").read_text() == "text"
    assert (tmp_path / "out" / "link").readlink() == Path("deep/er/f")


def test_missing_source_and_forbidden_destination(world: World, vm: Path, tmp_path: Path) -> None:
    done = world.run("cp", "vm:/no/such", str(tmp_path / "y"), cwd=vm, check=1)
    assert b"/no/such" in done.stderr
    assert not (tmp_path / "y").exists()
    (tmp_path / "f").write_text("f")
    args = ("cp", "--user", "nobody", str(tmp_path / "f"), "vm:/root/f")
    assert b"ermission" in world.run(*args, cwd=vm, check=1).stderr


def test_from_vm_to_vm(world: World, vm: Path) -> None:
    make = "rm -rf a b && mkdir -p a/deep b && echo text > a/deep/f && ln -s deep/f a/l"
    world.run("exec", "-w", "/tmp", "--", "sh", "-c", make, cwd=vm)
    world.run("cp", "-r", "shared-dev:/tmp/a", "vm:/tmp/b", cwd=vm)
    assert world.run("exec", "--", "cat", "/tmp/b/a/l", cwd=vm).stdout == b"text\n"
