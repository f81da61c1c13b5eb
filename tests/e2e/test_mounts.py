"""Both kinds of mount, each one forced; ownership in both directions; root and a plain user."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import time
from collections import Counter
from pathlib import Path

import pytest
from bench import truth
from tests.e2e.world import CONFIG, SHORT_BOOT, World

MOUNTS = """\
mountType: "{kind}"
mounts:
  - location: "{project}"
    writable: true
  - location: "{extra}"
    mountPoint: /mnt/extra
  - location: "{around}"
    mountPoint: /mnt/around
vmOpts: {{gaovm: {{machine: {machine}, {boot}}}}}
"""


@pytest.mark.parametrize(
    ("kind", "machine"), [("9p", "q35"), ("virtiofs", "q35"), ("virtiofs", "microvm")]
)
def test_each_kind(world: World, tmp_path: Path, kind: str, machine: str) -> None:
    extra = tmp_path / "a, b \"c\" 'd'"
    extra.mkdir()
    (extra / "seen").write_text("seen")
    link = tmp_path / "l, i \"n\" 'k'"
    link.symlink_to(extra)
    project = world.home.parent / "projects" / f"mount-{kind}-{machine}"
    quoted = str(link).replace('"', '\\"')
    around = world.home.parent
    config = CONFIG + MOUNTS.format(
        kind=kind, project=project, extra=quoted, around=around, machine=machine, boot=SHORT_BOOT
    )
    world.project(project.name, config)
    asked = world.run("up", "--wait=agent", cwd=project, check=2)  # it is outside the project
    assert f"mount {extra} (read-only)".encode() in asked.stderr
    world.run("up", "--wait=agent", "--yes", cwd=project)
    try:
        status = world.json("status", cwd=project)
        mounts = status["mounts"]
        assert status["machine"] == machine
        assert {m["type"] for m in mounts} == {kind}
        assert all(m["reason"] for m in mounts)
        check_ownership(world, project)
        check_the_state_directory_is_hidden(world, project)
        out = world.run("exec", "--", "cat", "/mnt/extra/seen", cwd=project).stdout
        assert out == b"seen"
        done = world.run("exec", "--", "touch", "/mnt/extra/new", cwd=project, check=1)
        assert b"ead-only" in done.stderr
        check_nothing_gives_power(world, project)
        if kind == "virtiofs":  # QEMU's 9p makes no pipes
            assert stat.S_ISFIFO((project / "pipe").stat().st_mode)
        if machine == "q35":
            check_truth(world, project)
        if kind == "virtiofs" and machine == "q35":
            check_a_lost_server_restarts_the_vm(world, project)
    finally:
        world.run("destroy", "-y", cwd=project)


def check_truth(world: World, project: Path) -> None:
    """What one side wrote the other reads whole and at once, even while a watcher runs."""
    places = [project / "by-host", project / "by-guest"]
    for place in places:
        place.mkdir()
    guest = truth.Guest(world.command, project, world.environment())
    try:
        host, vm = (truth.Tries(guest, place, truth.SIZES) for place in places)
        found = [host.host_writes(40), vm.guest_writes(40)]
        with truth.watchers(world.command, project, world.environment(), places):
            found += [host.host_writes(40), vm.guest_writes(20)]
            large = truth.Tries(guest, places[0], (truth.LARGE,))
            found.append(large.host_writes(10))
    finally:
        guest.close()
    assert [one.wrong for one in found] == [Counter()] * 5


POWER = """\
cp /bin/true set-id
chmod 4755 set-id
mknod device b 7 0
setcap cap_net_admin+ep plain
mkfifo pipe
echo x > was-set-id
exit 0
"""


def check_nothing_gives_power(world: World, project: Path) -> None:
    """The guest's root can leave no set-id file and no device on the host, whatever it tries."""
    (project / "was-set-id").write_text("")
    (project / "was-set-id").chmod(0o4777)
    (project / "plain").write_text("")
    world.run("exec", "--user", "root", "--", "sh", "-c", POWER, cwd=project)
    for path in project.iterdir():
        mode = path.lstat().st_mode
        assert not mode & 0o6000, path
        assert not stat.S_ISBLK(mode) and not stat.S_ISCHR(mode), path
    assert (project / "set-id").stat().st_size > 0
    assert "security.capability" not in os.listxattr(project / "plain")


def _servers(project: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            line = entry.read_bytes()
            if b"virtiofsd" in line and str(project).encode() in line:
                found.append(int(entry.parent.name))
    return found


def check_a_lost_server_restarts_the_vm(world: World, project: Path) -> None:
    """A virtiofsd that dies takes its mount with it: the VM starts again, and says why."""
    before = world.json("status", cwd=project)["hypervisor_pid"]
    servers = _servers(project)
    assert servers
    for pid in servers:
        with contextlib.suppress(ProcessLookupError):  # it ends with one that was killed before
            os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 400  # it boots its whole distribution, on a machine that may be busy
    while (status := world.json("status", cwd=project))["readiness"] != "ready" or (
        status["hypervisor_pid"] == before
    ):
        assert time.monotonic() < end, status
        time.sleep(0.1)
    told = world.run("events", "--type", "driver.restart_scheduled", "--vm", status["name"])
    assert b"virtiofsd" in told.stdout
    out = world.run("exec", "--", "cat", "/mnt/extra/seen", cwd=project).stdout
    assert out == b"seen"


def check_ownership(world: World, project: Path) -> None:
    """Files made on one side have the right owner on the other, for root and for a plain user.

    The directory's owner, here root, keeps its id; everybody else has one of the VM's own ids.
    """
    script = "useradd -m -u 1777 worker 2>/dev/null; chmod 777 .; touch by-root"
    world.run("exec", "--user", "root", "--", "sh", "-c", script, cwd=project)
    world.run("exec", "--user", "worker", "--", "touch", "by-worker", cwd=project)
    assert (project / "by-root").stat().st_uid == 0
    worker = (project / "by-worker").stat().st_uid
    assert worker >= 1879048192 and (worker - 1777) % 65536 == 0
    (project / "host-root").write_text("")
    (project / "host-plain").write_text("")
    os.chown(project / "host-plain", 1777, 1777)
    names = "host-root host-plain by-root by-worker"
    out = world.run("exec", "--", "sh", "-c", f"stat -c %u {names}", cwd=project).stdout
    assert out.split() == [b"0", b"65534", b"0", b"1777"]
    world.run("exec", "--user", "worker", "--", "rm", "by-worker", cwd=project)
    assert not (project / "by-worker").exists()


def check_the_state_directory_is_hidden(world: World, project: Path) -> None:
    """A mount of a directory above it shows everything except GaoVM's own files."""
    listing = "ls -A /mnt/around/projects; echo --; ls -A /mnt/around/home"
    out = world.run("exec", "--user", "root", "--", "sh", "-c", listing, cwd=project).stdout
    shown, hidden = out.split(b"--\n")
    assert project.name.encode() in shown.split() and hidden == b""
    guards = [mount["guard"]["in_force"] for mount in world.json("status", cwd=project)["mounts"]]
    assert sum("GaoVM's own directory is hidden" in guard for guard in guards) == 1
    assert all("no set-id bits, devices or file capabilities" in guard for guard in guards)


def test_missing_mount_is_named_before_boot(world: World) -> None:
    config = CONFIG + 'mounts:\n  - location: "/no/such/place"\n'
    project = world.project("nomount", config)
    done = world.run("up", cwd=project, check=2)
    assert b"/no/such/place" in done.stderr
    assert b"mounts[0]" in done.stderr
    world.run("destroy", "-y", cwd=project, check=None)
