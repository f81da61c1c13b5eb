"""A script plays the servers of virtiofs shares: what their end means for the VM."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import msgspec
import pytest
from tests.process.driver import harness
from tests.process.driver.harness import Link, Zygote

from gaovm import errors
from gaovm.hostfacts import facts
from gaovm.model.facts import VirtiofsdFact

SERVER = """\
#!/bin/sh
echo $$ > "{pid_file}.new"
mv "{pid_file}.new" "{pid_file}"
{rest}
"""


class Server:
    """A virtiofsd that does what its script says."""

    def __init__(self, base: Path, rest: str) -> None:
        self._pid_file = base / "server.pid"
        self.path = base / "bin" / "virtiofsd"
        self.path.write_text(SERVER.format(pid_file=self._pid_file, rest=rest))
        self.path.chmod(0o755)

    @property
    def pid(self) -> int:
        return int(self._pid_file.read_text())

    async def started(self) -> int:
        async with asyncio.timeout(30):
            while not self._pid_file.exists():
                await asyncio.sleep(0.01)
        return self.pid


async def start(zygote: Zygote, base: Path, server: Server, shared: Path) -> Link:
    """Start a VM with one virtiofs share on that server, which cannot run in a cage."""
    share = {"location": str(shared), "mount_point": "/mnt", "type": "virtiofs"}
    fact = VirtiofsdFact(path=str(server.path), flavour="c", usable=True, reason="a script")
    qemu = {"qemu-system-x86_64": str(base / "bin" / "qemu-system-x86_64")}
    found = facts.collect(base)
    found = msgspec.structs.replace(found, virtiofsd=fact, programs=qemu)
    spec = {"shares": [share]}
    request = harness.launch_request(base, spec, facts=msgspec.to_builtins(found), confine=False)
    link = await zygote.fork("test", base / "vm" / "driver.log")
    await link.call("vm.configure", request)
    await link.call("vm.start")
    return link


async def test_a_vm_ends_with_the_server_of_a_share_and_says_why(
    zygote: Zygote, base: Path, tmp_path: Path
) -> None:
    server = Server(base, "exec sleep 1000")
    link = await start(zygote, base, server, tmp_path)
    await link.until(readiness="ready")
    os.kill(await server.started(), signal.SIGKILL)
    state = await link.until(observed="failed")
    assert state["reason"] == "share"
    assert str(tmp_path) in state["error"]["message"]
    assert await zygote.exited(link.pid) == 0


@pytest.mark.parametrize(
    "zygote", [{"exit": [1, "vhost_backend_init failed"]}], indirect=["zygote"]
)
async def test_a_server_that_cannot_start_is_the_reason_and_not_what_qemu_says(
    zygote: Zygote, base: Path, tmp_path: Path
) -> None:
    link = await start(zygote, base, Server(base, "echo no such capability >&2; exit 3"), tmp_path)
    state = await link.until(observed="failed")
    assert "no such capability" in state["error"]["message"]


async def test_a_stop_ends_the_server_and_is_no_failure(
    zygote: Zygote, base: Path, tmp_path: Path
) -> None:
    server = Server(base, "exec sleep 1000")
    link = await start(zygote, base, server, tmp_path)
    await link.until(readiness="ready")
    pid = await server.started()
    await link.call("vm.stop", {"grace_s": 2, "force_s": 1})
    await harness.gone({pid})
    assert [state["observed"] for state in link.states][-1] == "stopped"


async def test_a_directory_of_gaovms_own_is_no_share(zygote: Zygote, base: Path) -> None:
    """Neither the directory nor what lies in it can be shared, not even by a link."""
    link = base.with_name(f"{base.name}-link")
    link.symlink_to(base / "vm")
    try:
        for place in (base, link):
            share = {"location": str(place), "mount_point": "/mnt"}
            request = harness.launch_request(base, {"shares": [share]})
            driver = await zygote.fork("test", base / "vm" / "driver.log")
            with pytest.raises(errors.MountRefused, match=str(place)):
                await driver.call("vm.configure", request)
    finally:
        link.unlink()


@pytest.mark.parametrize("zygote", [{"env": {"GAOVM_CONFINE": "off"}}], indirect=["zygote"])
async def test_a_share_that_would_show_it_is_refused_where_nothing_hides_it(
    zygote: Zygote, base: Path
) -> None:
    share = {"location": "/tmp", "mount_point": "/mnt", "type": "9p"}
    request = harness.launch_request(base, {"shares": [share]})
    driver = await zygote.fork("test", base / "vm" / "driver.log")
    with pytest.raises(errors.MountRefused, match="mount /tmp holds"):
        await driver.call("vm.configure", request)
