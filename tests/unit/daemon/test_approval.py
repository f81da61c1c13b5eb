"""A project file gets only the host access that a person approved, whoever applies it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.daemon.conftest import Daemon, up_params

from gaovm import errors
from gaovm.daemon.vms import project_file

PLAIN = 'images: [{location: "debian:12"}]\n'


class Project:
    """A project directory with the text of its file; ``up`` applies the file."""

    def __init__(self, daemon: Daemon, directory: Path) -> None:
        self.daemon = daemon
        self.directory = directory
        self.text = PLAIN
        directory.mkdir()
        daemon.ctx.load_config = project_file.load

    async def up(self, **more: Any) -> Any:
        params = {**up_params(), "project_dir": str(self.directory), "config_text": self.text}
        return await self.daemon.call("vm.up", **{**params, **more})

    async def refused(self, **more: Any) -> errors.ApprovalNeeded:
        with pytest.raises(errors.ApprovalNeeded) as caught:
            await self.up(**more)
        return caught.value

    def mount(self, location: Path | str, *, writable: bool = False) -> None:
        word = "true" if writable else "false"
        self.text += f"mounts: [{{location: '{location}', mountPoint: /mnt/x, writable: {word}}}]\n"


@pytest.fixture
def project(daemon: Daemon, tmp_path: Path) -> Project:
    return Project(daemon, tmp_path / "web")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    return path


def reaches(daemon: Daemon) -> list[tuple[str, str, str]]:
    approved = daemon.stored()["web-dev"].approved
    assert approved is not None
    return [(each.kind, each.what, each.mode) for each in approved.reaches]


async def test_a_plain_file_and_its_changes_need_no_approval(
    daemon: Daemon, project: Project
) -> None:
    await project.up()
    assert reaches(daemon) == [("mount", ".", "writable")]
    for more in ("cpus: 3\n", "portForwards: [{guestPort: 80, hostPort: 0}]\n", "env: {A: b}\n"):
        project.text += more
        await project.up()
    (project.directory / "data").mkdir()
    project.mount(project.directory / "data", writable=True)
    await project.up()


async def test_a_first_file_with_host_access_needs_approval_and_creates_nothing(
    daemon: Daemon, project: Project, outside: Path
) -> None:
    project.mount(outside)
    error = await project.refused()
    widening = {"kind": "mount", "what": str(outside), "before": None, "after": "read-only"}
    assert error.details["widenings"] == [widening]
    assert error.details["first"] is True
    assert f"mount {outside} (read-only)" in error.message
    assert daemon.stored() == {} and daemon.fleet.machines == {}
    await project.refused(approve="sha256:0")
    made = await project.up(approve=error.details["digest"])
    assert made["created"] is True
    await project.up()
    await daemon.call("vm.restart", name="web-dev", wait="ready")
    await project.up()


async def test_a_guest_that_edits_the_file_gets_nothing(
    daemon: Daemon, project: Project, outside: Path
) -> None:
    await project.up()
    before = daemon.stored()["web-dev"]
    project.mount(outside, writable=True)
    project.text += "portForwards: [{guestPort: 22, hostPort: 0, hostIP: 0.0.0.0}]\n"
    project.text += "vmOpts: {gaovm: {hostAccess: true}}\n"
    error = await project.refused()
    assert [each["kind"] for each in error.details["widenings"]] == [
        *("forward", "forward", "host access", "mount")
    ]
    assert error.details["approved_text"] == PLAIN
    await daemon.call("vm.restart", name="web-dev", wait="ready")
    await daemon.call("vm.stop", name="web-dev")
    await project.refused()
    await daemon.call("vm.start", name="web-dev", wait="ready")
    after = daemon.stored()["web-dev"]
    assert (after.spec, after.base, after.pending) == (before.spec, before.base, None)
    await project.up(approve=error.details["digest"])
    await project.up()


async def test_an_approval_covers_one_text_and_its_resolved_paths(
    daemon: Daemon, project: Project, outside: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(outside)
    project.mount(link)
    error = await project.refused()
    link.unlink()
    link.symlink_to("/etc")
    again = await project.refused(approve=error.details["digest"])
    assert again.details["widenings"][0]["what"] == "/etc"
    assert again.details["digest"] != error.details["digest"]
    project.text += "cpus: 3\n"
    await project.refused(approve=again.details["digest"])


async def test_access_that_was_given_up_needs_approval_again(
    daemon: Daemon, project: Project, outside: Path
) -> None:
    project.mount(outside)
    error = await project.refused()
    await project.up(approve=error.details["digest"])
    wide, project.text = project.text, PLAIN
    await project.up()
    project.text = wide
    await project.refused()


async def test_setting_a_value_by_command_approves_it(daemon: Daemon, project: Project) -> None:
    await project.up()
    await daemon.call("vm.config.set", name="web-dev", changes={"hostAccess": "true"})
    await project.up()
    await daemon.call("vm.restart", name="web-dev", wait="ready")
    assert daemon.stored()["web-dev"].spec.network.host_access is True
    project.text += "vmOpts: {gaovm: {hostAccess: true}}\n"
    await project.refused()


@pytest.mark.parametrize("way", ["vm.start", "vm.restart", "up", "supervisor"])
async def test_a_link_that_changed_since_approval_is_not_followed(
    daemon: Daemon, project: Project, way: str
) -> None:
    data = project.directory / "data"
    data.mkdir()
    project.mount(data)
    await project.up()
    data.rmdir()
    data.symlink_to("/etc")
    if way == "supervisor":
        vm = daemon.fleet.machines["web-dev"]
        daemon.driver.die(-9)
        await vm.until(lambda: vm.restart is not None)
        assert vm.restart is not None
        daemon.supervisor.arm(vm, 0.0)

        def refused() -> bool:
            failure = vm.record.last_error
            return failure is not None and failure.code == errors.ApprovalNeeded.code

        await vm.until(refused)
        await daemon.call("vm.stop", name="web-dev")
    elif way == "up":
        await daemon.call("vm.stop", name="web-dev")
        error = await project.refused()
        assert error.details["widenings"][0]["what"] == "/etc"
    else:
        if way == "vm.start":
            await daemon.call("vm.stop", name="web-dev")
        with pytest.raises(errors.ApprovalNeeded, match=r"mount /etc \(read-only\)"):
            await daemon.call(way, name="web-dev", wait="ready")
    assert len(daemon.launcher.launched) == 1, "no driver may get the changed link"


async def test_a_vm_from_before_approvals_counts_as_approved(
    daemon: Daemon, project: Project, outside: Path
) -> None:
    project.mount(outside)
    error = await project.refused()
    await project.up(approve=error.details["digest"])
    vm = daemon.fleet.machines["web-dev"]
    vm.record = msgspec.structs.replace(vm.record, approved=None)
    await daemon.call("vm.restart", name="web-dev", wait="ready")
    project.text = project.text.replace("writable: false", "writable: true")
    error = await project.refused()
    assert error.details["widenings"][0]["before"] == "read-only"
    project.text = project.text.replace("writable: true", "writable: false")
    await project.up()
    assert len(reaches(daemon)) == 2


async def test_destroying_the_vm_deletes_the_approved_text(
    daemon: Daemon, project: Project
) -> None:
    await project.up()
    approved = daemon.stored()["web-dev"].approved
    assert approved is not None
    assert await daemon.database.approved_text("web-dev", approved.digest) == PLAIN
    await daemon.call("vm.destroy", name="web-dev")
    assert await daemon.database.approved_text("web-dev", approved.digest) is None


async def test_two_ups_of_a_changed_file_are_both_refused(
    daemon: Daemon, project: Project, outside: Path
) -> None:
    project.mount(outside)
    both = await asyncio.gather(project.up(), project.up(), return_exceptions=True)
    assert [type(each) for each in both] == [errors.ApprovalNeeded] * 2


async def test_a_guest_cannot_have_a_file_of_the_host_read_to_it(
    daemon: Daemon, project: Project, outside: Path
) -> None:
    """A script or base from outside the project is asked about, also behind a link in it."""
    secret = outside / "id_rsa"
    secret.write_text("a secret\n")
    (project.directory / "link.sh").symlink_to(secret)
    project.text += f"provision: [{{file: {project.directory}/link.sh}}]\n"
    error = await project.refused()
    widening = {"kind": "file", "what": str(secret), "before": None, "after": ""}
    assert error.details["widenings"] == [widening]
    await project.up(approve=error.details["digest"])
    await project.up()
    assert ("file", str(secret), "") in reaches(daemon)


async def test_a_base_in_the_project_asks_nobody_and_what_it_reaches_does(
    daemon: Daemon, project: Project, outside: Path
) -> None:
    base = project.directory / "base.yaml"
    base.write_text("cpus: 3\n")
    project.text += f"base: {base}\n"
    await project.up()
    base.write_text(f"mounts: [{{location: {outside}, mountPoint: /mnt/x}}]\n")
    error = await project.refused()
    assert [each["what"] for each in error.details["widenings"]] == [str(outside)]
