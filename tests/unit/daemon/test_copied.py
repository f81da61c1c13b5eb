"""Files of the guest's on the host: where they are put, and that nothing leads them elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.daemon.conftest import Daemon
from tests.unit.daemon.test_approval import Project

from gaovm import errors
from gaovm.wire.driver import launch


class Copying(Project):
    """A project whose VM copies files; ``bring`` is what its driver does."""

    def wants(self, host: str, **more: Any) -> None:
        words = "".join(f", {key}: {value}" for key, value in more.items())
        self.text += f"copyToHost: [{{guest: /etc/conf, host: '{host}'{words}}}]\n"

    def bring(self, content: str) -> None:
        path = Path(launch.copy_path(str(self.own), 0))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    @property
    def own(self) -> Path:
        return self.daemon.fleet.paths.vm_dir("web-dev")


@pytest.fixture
def project(daemon: Daemon, tmp_path: Path) -> Copying:
    return Copying(daemon, tmp_path / "web")


async def test_a_file_is_there_when_up_is_done(project: Copying) -> None:
    project.wants("{{.Dir}}/copied-from-guest/a/conf")
    project.bring("one")
    await project.up()
    place = project.own / "copied-from-guest" / "a" / "conf"
    assert place.read_text() == "one"
    assert place.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in place.parent.iterdir()] == ["conf"]
    before = place.stat()
    await project.daemon.call("vm.provision", name="web-dev")
    assert place.stat().st_ino == before.st_ino  # the same content stays untouched
    project.bring("two")
    await project.daemon.call("vm.provision", name="web-dev")
    assert place.read_text() == "two"


async def test_a_place_outside_is_asked_for(project: Copying, tmp_path: Path) -> None:
    place = tmp_path / "kube" / "config"
    project.wants(str(place))
    project.bring("one")
    refused = await project.refused()
    assert f"copy to {place}" in refused.message
    assert not place.exists()
    await project.up(approve=refused.details["digest"])
    assert place.read_text() == "one"
    assert place.parent.stat().st_mode & 0o777 == 0o700


async def test_a_link_that_the_guest_made_is_not_followed(project: Copying, tmp_path: Path) -> None:
    outside = tmp_path / "ssh"
    outside.mkdir()
    keys = outside / "authorized_keys"
    keys.write_text("mine")
    out = project.directory / "out"
    out.mkdir()
    project.wants(f"{out}/authorized_keys")
    project.bring("the guest's")
    await project.up()
    out.joinpath("authorized_keys").unlink()
    out.joinpath("authorized_keys").symlink_to(keys)  # replaced, not followed
    await project.daemon.call("vm.provision", name="web-dev")
    assert not out.joinpath("authorized_keys").is_symlink()
    out.joinpath("authorized_keys").unlink()
    out.rmdir()
    out.symlink_to(outside)
    with pytest.raises(errors.ProvisionFailed, match=r"copyToHost\[0\].*nobody has approved"):
        await project.daemon.call("vm.provision", name="web-dev")
    assert keys.read_text() == "mine"
    status = await project.daemon.status()
    assert status["readiness"] == "degraded"


async def test_gaovm_s_own_directory_is_closed(project: Copying) -> None:
    project.wants(f"{project.daemon.fleet.paths.home}/vms/other/config.json")
    with pytest.raises(errors.ConfigError, match="lies in GaoVM's own directory"):
        await project.up()


async def test_a_missing_file_leaves_what_is_there(project: Copying) -> None:
    project.wants("{{.Dir}}/copied-from-guest/conf", skipIfMissing="true")
    await project.up()
    assert not (project.own / "copied-from-guest").exists()


async def test_a_file_goes_when_the_vm_stops(project: Copying) -> None:
    project.wants(f"{project.directory}/conf", deleteOnStop="true")
    project.bring("one")
    await project.up()
    assert (project.directory / "conf").exists()
    await project.daemon.call("vm.stop", name="web-dev")
    assert not (project.directory / "conf").exists()
