"""What macOS would run: the daemon and its VMs with the portable half of ``gaovm.platform``.

A Mac must also be able to load its modules without anything that only Linux has.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.process.daemon.conftest import Daemons, alive, until
from tests.process.daemon.world import World

from gaovm.platform import system

ENVIRONMENT = {system.VARIABLE: system.PORTABLE}
DISPLAY = {"gaovm": {"graphics": {"enabled": True}}}

#: Loads every module as on a Mac: what only Linux has is missing.
AS_ON_A_MAC = """
import ctypes, importlib, os, pkgutil, select, signal, socket, sys
sys.platform = "darwin"
for module, names in {
    os: ("pidfd_open", "memfd_create", "eventfd", "posix_fallocate", "O_TMPFILE", "O_PATH",
         "sched_setscheduler", "SCHED_RESET_ON_FORK", "waitid", "P_PID", "setns", "unshare"),
    select: ("epoll",),
    socket: ("MSG_CMSG_CLOEXEC", "MSG_NOSIGNAL", "SO_PEERCRED"),
}.items():
    for name in names:
        vars(module).pop(name, None)

class Library(ctypes.CDLL):
    def __getattr__(self, name):
        if name in ("prctl", "mount", "unshare", "setns", "inotify_init1", "timerfd_create"):
            raise AttributeError(name)
        return super().__getattr__(name)

ctypes.CDLL = Library
import gaovm
for package in sys.argv[1:]:
    module = importlib.import_module(f"gaovm.{package}")
    for found in pkgutil.walk_packages(module.__path__, f"gaovm.{package}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
from gaovm.platform import system
assert not system.LINUX
print(len([name for name in sys.modules if name.startswith("gaovm.")]))
"""


@pytest.mark.parametrize("package", ["cli", "client", "daemon", "driver", "platform.portable"])
def test_a_mac_loads_every_module(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_ON_A_MAC, package], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout) > 5


def test_the_doctor_promises_no_cage() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gaovm", "doctor", "--json"],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        check=False,
    )
    (cage,) = [each for each in json.loads(done.stdout)["checks"] if each["name"] == "cage"]
    assert cage["level"] == "warn"
    assert "portable half forced" in cage["found"]
    assert "all rights of their user" in cage["found"]


@pytest.fixture
def portable(world: World) -> World:
    world.daemons.env |= ENVIRONMENT
    del world.daemons.env["GAOVM_CONFINE"]  # there is no cage to switch off
    return world


def test_a_daemon_serves(daemons: Daemons) -> None:
    daemons.env = ENVIRONMENT
    process = daemons.start()
    client = daemons.client()
    status = client.call("daemon.status")
    assert (status["pid"], status["zygote_pid"]) == (process.pid, None)
    assert status["rss_bytes"] > 1 << 20
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert client.at_end()


def test_a_home_that_goes_is_noticed(daemons: Daemons) -> None:
    daemons.env = ENVIRONMENT
    process = daemons.start()
    daemons.home.rename(daemons.home.with_name("moved"))
    assert process.wait(20) == 0


def test_a_vm_from_its_start_to_its_end(portable: World) -> None:
    portable.daemons.start()
    client = portable.daemons.client()
    portable.up(client, "one", "two")
    drivers = portable.drivers(client)
    assert len(drivers) == 2
    status = client.call("vm.status", {"name": "one"})
    assert status["state"] == "running"
    assert "portable half forced" in status["confinement"]["missing"]["cage"]
    assert "error" not in client.call("vm.stop", {"name": "one"})
    until(lambda: not alive(drivers["one"]))
    assert client.call("daemon.stop") == {"stopping": True}
    assert portable.daemons.processes[0].wait(20) == 0
    until(lambda: not alive(drivers["two"]))


def open_files(pid: int) -> list[str]:
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(entry))
    return found


def test_a_screenshot_needs_no_file_of_linux(portable: World, tmp_path: Path) -> None:
    portable.daemons.env["TMPDIR"] = str(tmp_path)
    portable.daemons.start()
    client = portable.daemons.client()
    params = portable.up_params("one")
    config = {**json.loads(params["config_text"]), "vmOpts": DISPLAY}
    assert "error" not in client.call("vm.up", {**params, "config_text": json.dumps(config)})
    (driver,) = portable.drivers(client).values()
    opened = open_files(driver)
    assert [path for path in opened if path.startswith(f"{tmp_path}/screenshot.")]
    assert [path for path in opened if "memfd:" in path] == []
    for _ in range(2):
        taken = client.call("vm.display.screenshot", {"name": "one"})
        assert (taken["width"], taken["height"]) == (320, 200)
        assert len(Path(taken["path"]).read_bytes()) == taken["size_bytes"]
    assert "error" not in client.call("vm.stop", {"name": "one"})
    assert list(tmp_path.glob("screenshot.*")) == []


def test_a_driver_that_is_killed_takes_its_hypervisor_along(portable: World) -> None:
    portable.daemons.start()
    client = portable.daemons.client()
    portable.up(client, "one")
    (driver,) = portable.drivers(client).values()
    hypervisor = client.call("vm.status", {"name": "one"})["hypervisor_pid"]
    os.kill(driver, signal.SIGKILL)
    until(lambda: not alive(driver))
    until(lambda: not alive(hypervisor))


def test_an_upgrade_keeps_the_drivers_that_were_started(portable: World) -> None:
    portable.daemons.start()
    client = portable.daemons.client()
    portable.up(client, "one")
    drivers = portable.drivers(client)
    portable.code.install_version("9.9.9")
    assert client.call("daemon.upgrade")["new_version"] == "9.9.9"
    assert portable.drivers(client) == drivers
    assert "error" not in client.call("vm.stop", {"name": "one"})
    until(lambda: not alive(drivers["one"]))


def test_the_tests_of_processes_hold_for_the_portable_half() -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/aio"],
        cwd=root,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()[-4000:]
