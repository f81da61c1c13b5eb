"""A daemon that may open 64 descriptors: it refuses what it cannot serve, and loses nothing."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.process.daemon.conftest import Client, alive, until
from tests.process.daemon.world import World

from gaovm import errors
from gaovm.client import blocking

LIMIT = 64


@pytest.fixture
def few(world: World) -> Iterator[World]:
    """Limit the daemon's descriptors; this process's own limit stays."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    world.daemons.limits = {resource.RLIMIT_NOFILE: (LIMIT, LIMIT)}
    yield world
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


class Crowd:
    """Clients that come and stay, and the answers to those that the daemon refused."""

    def __init__(self, world: World, count: int) -> None:
        self.came: list[blocking.Client] = []
        self.refused: list[errors.GaoError] = []
        for _ in range(count):
            try:
                self.came.append(blocking.connect(world.daemons.home, start=False))
            except errors.GaoError as exc:
                self.refused.append(exc)

    def leave(self) -> None:
        for each in self.came:
            each.close()


def fill(world: World, client: Client) -> dict[str, dict[str, Any]]:
    """Make as many VMs as the daemon takes; it refuses the last one."""
    for number in range(LIMIT):
        result = client.call("vm.up", world.up_params(f"vm{number}"))
        if "vm" not in result:
            assert result["data"]["code"] == "descriptors_scarce", result
            assert "64 descriptors" in result["message"]
            break
    vms = {vm["name"]: vm for vm in client.call("vm.list")["vms"]}
    return {name: vm for name, vm in vms.items() if vm["state"] == "running"}


def test_stop_and_destroy_work_when_none_are_left_for_others(few: World) -> None:
    few.code.install(daemon__lifecycle__supervisor=("RECONCILE_S = 5.0", "RECONCILE_S = 0.2"))
    daemon = few.daemons.start()
    client = few.daemons.client()
    running = fill(few, client)
    assert len(running) >= 3
    crowd = Crowd(few, LIMIT)
    assert crowd.refused, "every client was taken"
    assert {type(each) for each in crowd.refused} == {errors.DescriptorsScarce}, crowd.refused
    assert descriptors(daemon.pid) < LIMIT - 8
    time.sleep(3)  # the safety reconcile has looked twice
    vms = client.call("vm.list")["vms"]
    assert {vm["name"] for vm in vms if vm["state"] == "running"} == set(running)
    assert client.call("daemon.status")["drift_mended"] == 0
    first, *others = running.values()
    assert client.call("vm.destroy", {"name": first["name"]})["name"] == first["name"]
    assert not alive(first["driver_pid"])
    assert not alive(first["hypervisor_pid"])
    for vm in others:
        stopped = crowd.came[-1].call("vm.stop", {"name": vm["name"]})
        assert stopped["state"] == "stopped", stopped
        assert not alive(vm["driver_pid"])
        assert not alive(vm["hypervisor_pid"])
    crowd.leave()
    until(lambda: descriptors(daemon.pid) < LIMIT // 2)
    few.daemons.client().call("ping")


def test_refused_clients_are_logged_once_a_second(few: World) -> None:
    few.daemons.start()
    began = time.monotonic()
    crowd = Crowd(few, 3 * LIMIT)
    seconds = time.monotonic() - began
    log = (few.daemons.home / "logs" / "gaovmd.log").read_text()
    lines = [line for line in log.splitlines() if "refused" in line]
    crowd.leave()
    assert crowd.refused
    assert 1 <= len(lines) <= seconds + 1
    assert "Traceback" not in log


def test_programs_get_the_limit_that_the_daemon_was_given(world: World) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    world.daemons.limits = {resource.RLIMIT_NOFILE: (300, hard)}
    daemon = world.daemons.start()
    client = world.daemons.client()
    world.up(client, "a")
    world.code.install_version("9.9.9")
    assert client.call("daemon.upgrade", {})["new_version"] == "9.9.9"
    world.up(client, "b")
    assert _limits(daemon.pid) == (hard, hard)
    for vm in client.call("vm.list")["vms"]:
        assert _limits(vm["driver_pid"]) == (hard, hard)
        assert _limits(vm["hypervisor_pid"]) == (300, hard)


def _limits(pid: int) -> tuple[int, int]:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)
