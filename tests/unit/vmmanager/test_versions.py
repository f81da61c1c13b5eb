"""The oldest QEMU that a config allows, against programs that tell a version."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaovm import errors
from gaovm.vmmanager.qemu import versions


def program(directory: Path, said: str) -> str:
    path = directory / "qemu"
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("minimum", ["", "7.2.22", "7.1.99", "0.0.1"])
async def test_a_new_enough_program_will_do(tmp_path: Path, minimum: str) -> None:
    await versions.check(program(tmp_path, "QEMU emulator version 7.2.22 (Debian)"), minimum)


@pytest.mark.parametrize("minimum", ["7.2.23", "7.10.0", "10.0.0"])
async def test_an_older_program_is_refused(tmp_path: Path, minimum: str) -> None:
    old = program(tmp_path, "QEMU emulator version 7.2.22 (Debian)")
    with pytest.raises(errors.HostError, match=f"is 7.2.22; the config needs {minimum}") as refused:
        await versions.check(old, minimum)
    assert refused.value.field == "vmOpts.qemu.minimumVersion"


async def test_a_program_that_tells_no_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.HostError, match="tells no version"):
        await versions.check(program(tmp_path, "hello"), "7.0.0")
