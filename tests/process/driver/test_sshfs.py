"""A mount by SSHFS, whole but for the VM: a real agent, a real sshfs, a real confined server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.process.driver.harness import STEP_S
from tests.process.driver.test_agent import _connected, program
from tests.unit.guestmanager.pairs import Ear

from gaovm.aio import keeping, tasks
from gaovm.builder import choices
from gaovm.builder.document import ShareDevice
from gaovm.driver.guest import sshmounts
from gaovm.guestmanager import processes
from gaovm.guestmanager.transport.channel import Channel
from gaovm.guestmanager.transport.connection import Connection
from gaovm.hostfacts import programs
from gaovm.platform.confine import abilities
from gaovm.vmmanager.qemu import sftp
from gaovm.wire.agent.processes import Command

__all__ = ["program"]  # a fixture
SERVER = programs.find(choices.SFTP_SERVER) or ""
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0 or not os.access("/dev/fuse", os.W_OK), reason="no FUSE"),
    pytest.mark.skipif(not (SERVER and shutil.which("sshfs")), reason="no sshfs"),
    pytest.mark.skipif(not abilities.find().landlock, reason="no Landlock"),
]


@pytest.fixture
def base() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="gm", dir="/tmp"))
    path.chmod(0o755)
    (path / "share").mkdir()
    yield path
    subprocess.run(["umount", "-l", path / "mounted"], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(path)


@contextlib.asynccontextmanager
async def agent(program: Path, base: Path) -> AsyncIterator[Connection]:
    """Run an agent with one processor, as in a guest."""
    path = base / "agent.sock"
    env = {**os.environ, "GOMAXPROCS": "1"}
    child = subprocess.Popen([program, "serve", "--socket", path], env=env)
    try:
        ear = Ear()
        channel = await Channel.open(await _connected(path), ear)
        try:
            yield (await asyncio.wait_for(ear.connected.get(), STEP_S))[0]
        finally:
            channel.close()
            await asyncio.sleep(0)
    finally:
        child.terminate()
        child.wait(STEP_S)


@contextlib.asynccontextmanager
async def mounted(program: Path, base: Path, *, writable: bool) -> AsyncIterator[Connection]:
    device = ShareDevice(
        tag="lima-1",
        type=choices.SSHFS,
        reason="r",
        location=str(base / "share"),
        mount_point=str(base / "mounted"),
        writable=writable,
    )
    recipes = {device.tag: sftp.recipe(SERVER, device)}
    async with (
        agent(program, base) as connection,
        keeping.run(recipes) as kept,
        tasks.TaskOwner() as owner,
    ):
        mounting = sshmounts.SshMounts([device], owner, lambda share: sftp.open_one(kept, share))
        try:
            await mounting.mount(connection, "root", lambda *_: None)
            yield connection
        finally:
            mounting.end()


async def run(connection: Connection, base: Path, script: str) -> tuple[int, bytes]:
    """Run a script in the mount; the agent must not wait for itself."""
    out = bytearray()
    command = Command(argv=("/bin/sh", "-c", script), cwd=str(base / "mounted"))
    ended = await processes.run(
        connection, command, on_output=lambda _, data: out.extend(data), limit_s=STEP_S
    )
    return ended.code, bytes(out)


async def test_programs_run_in_the_mount(program: Path, base: Path) -> None:
    async with mounted(program, base, writable=True) as connection:
        for number in range(5):
            (base / "share" / "by-host").write_text(str(number))
            script = "cat by-host; echo $$ > by-guest; cp /bin/true program; ./program"
            assert await run(connection, base, script) == (0, str(number).encode())
        assert (base / "share" / "by-guest").exists()
        command = Command(argv=("./program",), cwd=str(base / "mounted"))
        assert (await processes.run(connection, command, limit_s=STEP_S)).code == 0


async def test_a_read_only_mount(program: Path, base: Path) -> None:
    (base / "share" / "file").write_text("content")
    async with mounted(program, base, writable=False) as connection:
        code, said = await run(connection, base, "cat file; touch new")
    assert code != 0 and said.startswith(b"content") and b"ead-only" in said
    assert not (base / "share" / "new").exists()
