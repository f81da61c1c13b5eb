"""On a full disk users can stop and destroy VMs; once there is space, they can start them again.

The home is a small file system in memory, which only root can make.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.daemon.conftest import Client, Daemons, alive, until
from tests.process.daemon.world import World

from gaovm.daemon.storage import ballast

SIZE = "32m"


@pytest.fixture
def small(daemons: Daemons) -> Iterator[Path]:
    """Make the home, with 32 MiB."""
    daemons.home.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "gd", daemons.home], check=True)
    try:
        yield daemons.home
    finally:
        subprocess.run(["umount", "--lazy", daemons.home], check=True)


# In this order the file system is removed after every process of the world has ended.
@pytest.fixture
def place(small: Path, world: World) -> World:
    return world


def fill(home: Path) -> Path:
    """Use up all space."""
    filler = home / "filler"
    with filler.open("wb", buffering=0) as file:
        # again, if a process of the daemon has just given some space back
        while os.statvfs(home).f_bfree:
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
    return filler


def kept(home: Path) -> bool:
    return ballast.path_of(home / "state.db").exists()


def status(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.call("vm.status", {"name": "a"})
    return found


def gone(vm: dict[str, Any]) -> bool:
    return not alive(vm["driver_pid"]) and not alive(vm["hypervisor_pid"])


@pytest.mark.parametrize("spare", [True, False], ids=["reserve", "no reserve"])
@pytest.mark.parametrize("method", ["vm.stop", "vm.destroy"])
def test_a_running_vm_ends_though_the_disk_is_full(place: World, method: str, spare: bool) -> None:
    home = place.daemons.home
    if not spare:  # the disk is full before there was a quiet moment
        place.code.install(
            daemon__storage__ballast=("QUIET_S = 0.3", "QUIET_S = 3600.0"),
            daemon__storage__wal_preallocation=("self._tried = False", "self._tried = True"),
        )
    daemon = place.daemons.start()
    client = place.daemons.client()
    place.up(client, "a")
    until(lambda: kept(home) or not spare)
    # the new code in the same process has written nothing yet, and its log has no room
    assert "new_version" in client.call("daemon.upgrade", {})
    vm = status(client)
    filler = fill(home)
    answer = client.call(method, {"name": "a"})
    assert "data" not in answer, answer
    assert gone(vm)
    assert client.call("vm.list")["vms"] == [] or status(client)["state"] == "stopped"
    if spare:  # what was acknowledged holds, whatever happens now
        daemon.kill()
        daemon.wait(20)
        filler.unlink()
        place.daemons.start()
        client = place.daemons.client()
        left = client.call("vm.list")["vms"]
        assert [each["desired"] for each in left] == (["stopped"] if method == "vm.stop" else [])
    filler.unlink(missing_ok=True)
    if method == "vm.stop":
        until(lambda: place.query("SELECT desired FROM vms") == [("stopped",)])
    place.up(client, "a")


def test_a_daemon_that_starts_on_a_full_disk(place: World) -> None:
    home = place.daemons.home
    daemon = place.daemons.start()
    client = place.daemons.client()
    place.up(client, "a")
    until(lambda: kept(home))
    vm = status(client)
    daemon.kill()
    daemon.wait(20)
    until(lambda: gone(vm))
    filler = fill(home)
    place.daemons.start()
    client = place.daemons.client()
    assert client.call("vm.stop", {"name": "a"})["desired"] == "stopped"
    refused = client.call("vm.up", place.up_params("b"))
    assert refused["data"]["code"] == "disk_full", refused
    filler.unlink()
    place.up(client, "a", "b")
    assert client.call("vm.destroy", {"name": "b"})["name"] == "b"


def test_a_daemon_that_was_ended_in_order_starts_on_a_full_disk(place: World) -> None:
    home = place.daemons.home
    daemon = place.daemons.start()
    client = place.daemons.client()
    place.up(client, "a")
    client.call("vm.stop", {"name": "a"})
    until(lambda: kept(home))
    daemon.terminate()
    daemon.wait(20)
    filler = fill(home)
    place.daemons.start()
    client = place.daemons.client()
    failed = client.call("vm.start", {"name": "a"})
    assert failed.get("vm") or failed["data"]["code"] == "disk_full", failed
    assert client.call("vm.destroy", {"name": "a"})["name"] == "a"
    filler.unlink()
    place.up(client, "a")
