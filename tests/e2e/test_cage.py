"""A real VM's hypervisor is in its cage, and the kernel confirms what status says of it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from tests.e2e.world import World

NAMESPACES = ("mnt", "pid", "ipc", "uts", "net")


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.skipif(os.geteuid() != 0, reason="as root each VM has a uid of its own")
def test_qemu_has_the_least_it_needs(world: World, vm: Path) -> None:
    known = world.json("status", cwd=vm)
    pid = known["hypervisor_pid"]
    seen = _status(pid)
    cage = known["confinement"]
    assert set(seen["Uid"].split()) == {str(cage["uid"])}
    assert cage["uid"] >= 1879048192
    assert seen["Groups"] == ""
    assert {seen[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (seen["NoNewPrivs"], seen["Seccomp"]) == ("1", "2")
    assert seen["NSpid"].split() == [str(pid), "1"]
    for kind in NAMESPACES:
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind
    root = Path(f"/proc/{pid}/root")
    assert {path.name for path in root.iterdir()} <= {
        *("dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "usr")
    }
    assert not (root / "usr" / "bin" / "sh").exists()
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert {word.partition(b"=")[0] for word in environment if word} == {b"PATH", b"LC_ALL"}
    assert str(world.home) not in Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    for words in ("empty root", "no network", "no capabilities", "Landlock"):
        assert words in cage["in_force"], cage
    text = world.run("status", cwd=vm).stdout.decode()
    assert f"cage         user id {cage['uid']}, " in text
    assert b" cage " in world.run("doctor", check=None).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root has little to drop")
def test_the_driver_and_the_network_have_the_least_they_need(world: World, vm: Path) -> None:
    known = world.json("status", cwd=vm)
    cage, driver = known["confinement"], known["driver_pid"]
    seen = _status(driver)
    assert (seen["CapEff"], seen["CapBnd"]) == ("0000000000000420",) * 2  # kill, net_bind_service
    assert seen["NoNewPrivs"] == "1"
    assert "driver without rights and files" in cage["in_force"]
    [carrier] = _carriers(driver)
    uid = int(_status(carrier)["Uid"].split()[0])
    assert (uid // 65536, uid != cage["uid"]) == (cage["uid"] // 65536, True)
    os.kill(carrier, signal.SIGKILL)
    end = time.monotonic() + 60
    # it is started again, although the driver itself no longer could
    while not _carriers(driver) - {carrier} or world.json("status", cwd=vm)["network"]["problem"]:
        assert time.monotonic() < end
        time.sleep(0.2)


def _carriers(driver: int) -> set[int]:
    """Return the processes that carry the network of a driver's VM."""
    found = set()
    for pid in Path(f"/proc/{driver}/task/{driver}/children").read_text().split():
        with contextlib.suppress(OSError):  # it has ended
            if b"netfilter.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(int(pid))
    return found


def test_files_are_descriptors_that_explain_names(world: World, vm: Path) -> None:
    explained = world.json("explain", cwd=vm)
    files = {file["fd"]: Path(file["path"]) for file in explained["files"]}
    assert set(files) == {"kernel", "initrd", "disk", "base"}
    pid = world.json("status", cwd=vm)["hypervisor_pid"]
    opened = {os.path.realpath(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    assert {str(files["disk"]), str(files["base"])} <= opened
    text = world.run("explain", cwd=vm).stdout.decode()
    assert f"# <fd:disk> is {files['disk']}, read and written" in text


def test_a_vm_goes_from_confined_to_unconfined_and_back(fresh: World) -> None:
    project = fresh.project("twice")
    fresh.run("up", "--wait=agent", cwd=project)
    fresh.run("exec", "--", "sh", "-c", "echo kept >/kept; sync", cwd=project)
    owner = (Path(fresh.json("status", cwd=project)["dir"]) / "disk.qcow2").stat().st_uid
    assert owner == os.geteuid()
    fresh.run("stop", cwd=project)
    fresh.stop()
    fresh.env["GAOVM_CONFINE"] = "off"
    done = fresh.run("up", "--wait=agent", cwd=project)
    assert b"no cage" in done.stderr + done.stdout
    assert fresh.run("exec", "--", "cat", "/kept", cwd=project).stdout == b"kept\n"
    known = fresh.json("status", cwd=project)
    assert known["confinement"]["in_force"] == []
    assert "debugging only" in fresh.run("status", cwd=project).stdout.decode()
    assert b"GAOVM_CONFINE=off" in fresh.run("doctor", check=None).stdout
    fresh.run("stop", cwd=project)
    fresh.stop()
    del fresh.env["GAOVM_CONFINE"]
    fresh.run("up", "--wait=agent", cwd=project)
    assert fresh.run("exec", "--", "cat", "/kept", cwd=project).stdout == b"kept\n"
    assert fresh.json("status", cwd=project)["confinement"]["in_force"]
    fresh.run("destroy", "-y", cwd=project)
