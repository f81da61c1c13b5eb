"""Small files in the guest, with commands that run on this host."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from gaovm import errors
from gaovm.guestmanager import processes, textfiles
from gaovm.guestmanager.transport.connection import Connection
from gaovm.spec.guest import Target
from gaovm.wire import streams
from gaovm.wire.agent.processes import Command, Exit

#: No guest: every command runs here.
CONNECTION = cast("Connection", None)
OWNER = pwd.getpwuid(os.getuid()).pw_name


async def run(_: Connection, command: Command, *, stdin: bytes = b"", **how: Any) -> Exit:
    done = subprocess.run(command.argv, input=stdin, capture_output=True, check=False)
    if take := how.get("on_output"):
        take(streams.OUTPUT, done.stdout)
        take(streams.STDERR, done.stderr)
    return Exit(status=done.returncode)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "run", run)


async def write(path: Path, content: bytes, **how: Any) -> tuple[int, str]:
    said: list[bytes] = []
    target = Target(path=str(path), owner=OWNER, **how)
    ended = await textfiles.write(CONNECTION, target, content, lambda _, data: said.append(data))
    return ended.code, b"".join(said).decode()


async def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a b" / "c"
    assert await write(path, b"x\0y", permissions="600") == (0, "")
    assert path.stat().st_mode & 0o777 == 0o600
    assert await textfiles.read(CONNECTION, str(path), OWNER) == b"x\0y"
    assert await textfiles.read(CONNECTION, f"{path}.no", OWNER) is None


async def test_a_file_stays_where_it_is_not_to_be_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.symlink_to(tmp_path / "nowhere")
    code, said = await write(path, b"x", overwrite=False)
    assert (code, said) == (0, f"{path} exists and stays as it is\n")
    assert path.is_symlink()


async def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    assert await write(tmp_path / "link", b"new") == (0, "")
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


async def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(errors.GuestCallFailed, match="it is no regular file"):
        await textfiles.read(CONNECTION, str(tmp_path), OWNER)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(textfiles.MAX_BYTES + 1)
    with pytest.raises(errors.GuestCallFailed, match="it is larger than 16 MiB"):
        await textfiles.read(CONNECTION, str(tmp_path / "large"), OWNER)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(textfiles.MAX_BYTES)
    found = await textfiles.read(CONNECTION, str(tmp_path / "large"), OWNER)
    assert found is not None and len(found) == textfiles.MAX_BYTES
