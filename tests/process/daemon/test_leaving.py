"""A daemon leaves when its home is gone, and when it has had nothing to do for a while."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.process.daemon.conftest import Daemons, alive, until
from tests.process.daemon.world import World
from tests.process.driver import harness

#: Longer than a client on a busy machine needs to reach a daemon that has just started.
IDLE_S = 1.0


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_without_its_home_it_ends_its_vms_and_itself(world: World, how: str) -> None:
    home = world.daemons.home
    daemon = world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a", "b")
    processes = harness.descendants(daemon.pid)
    assert len(processes) >= 5
    if how == "removed":
        # a process that writes there may make a file while the others are removed
        until(lambda: _remove(home))
    else:
        home.rename(home.with_name("elsewhere"))
    if how == "replaced":
        world.daemons.start()
    daemon.wait(30)
    assert daemon.returncode == 0
    until(lambda: not any(map(alive, processes)))
    if how == "removed":
        assert not home.exists()
    elif how == "moved":
        moved = world.query("SELECT desired FROM vms", home.with_name("elsewhere"))
        assert moved == [("running",), ("running",)], "what is wanted of its VMs stays"
    else:  # the daemon that took its place has lost nothing
        assert world.daemons.client().call("vm.list") == {"vms": []}
        assert world.query("SELECT count(*) FROM vms") == [(0,)]


def _remove(home: Path) -> bool:
    shutil.rmtree(home, ignore_errors=True)
    return not home.exists()


def test_without_work_it_leaves(daemons: Daemons) -> None:
    daemons.env = {"GAOVM_IDLE_EXIT": str(IDLE_S)}
    daemon = daemons.start()
    client = daemons.client()
    time.sleep(2 * IDLE_S)
    assert client.call("ping")["ok"], "a client is there"
    client.close()
    assert daemon.wait(20) == 0
    assert not daemons.socket.exists()
    daemons.start()


@pytest.mark.parametrize("text", ["0", ""])
def test_it_can_be_told_to_stay(daemons: Daemons, text: str) -> None:
    daemons.env = {"GAOVM_IDLE_EXIT": text}
    daemon = daemons.start()
    time.sleep(2 * IDLE_S)
    assert daemon.poll() is None


def test_a_limit_that_is_no_number_is_told(daemons: Daemons) -> None:
    daemons.env = {"GAOVM_IDLE_EXIT": "an hour"}
    process = daemons.popen()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert b"GAOVM_IDLE_EXIT is 'an hour'" in err


def test_in_the_foreground_it_stays(daemons: Daemons) -> None:
    daemons.env = {"GAOVM_IDLE_EXIT": str(IDLE_S)}
    daemon = daemons.popen("--foreground")
    until(daemons.socket.exists)
    time.sleep(2 * IDLE_S)
    assert daemon.poll() is None


def test_it_stays_for_a_vm_and_leaves_when_that_is_stopped(world: World) -> None:
    world.daemons.env |= {"GAOVM_IDLE_EXIT": str(IDLE_S)}
    daemon = world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    driver = world.drivers(client)["a"]
    client.close()
    time.sleep(2 * IDLE_S)
    assert daemon.poll() is None, "a VM runs"
    os.kill(driver, 9)
    time.sleep(2 * IDLE_S)
    assert daemon.poll() is None, "a VM waits for its restart, or runs again"
    client = world.daemons.client()
    client.call("vm.stop", {"name": "a"})
    client.close()
    assert daemon.wait(20) == 0


def test_who_comes_while_it_leaves_is_served(daemons: Daemons) -> None:
    daemons.env = {"GAOVM_IDLE_EXIT": "0.001"}  # gone before anybody looks twice
    environment = {**os.environ, "GAOVM_HOME": str(daemons.home), **daemons.env}
    code = (
        "import os\n"
        "from gaovm.client import blocking\n"
        "for _ in range(6):\n"
        "    with blocking.connect(os.environ['GAOVM_HOME']) as client:\n"
        "        assert client.call('ping')['ok']\n"
    )
    words = [sys.executable, "-c", code]
    crowd = [subprocess.Popen(words, env=environment) for _ in range(2)]
    assert [each.wait(60) for each in crowd] == [0, 0]
    until(lambda: not daemons.socket.exists())
