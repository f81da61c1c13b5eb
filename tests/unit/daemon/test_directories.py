"""A VM belongs to its directory, even if it is moved, copied, replaced or shares its name."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.daemon.conftest import Daemon, up_params

from gaovm import errors
from gaovm.daemon.storage import records
from gaovm.daemon.vms import directories, project_file

PLAIN = 'images: [{location: "debian:12"}]\n'


def project(base: Path, name: str = "web", text: str = PLAIN) -> Path:
    path = base / name
    (path / ".lima").mkdir(parents=True)
    (path / ".lima" / "config.yaml").write_text(text)
    return path


@pytest.fixture(autouse=True)
def reads_files(daemon: Daemon) -> None:
    daemon.ctx.load_config = project_file.load


async def up(daemon: Daemon, path: Path, **more: Any) -> Any:
    text = (path / ".lima" / "config.yaml").read_text()
    params = {**up_params(), "project_dir": str(path), "config_text": text}
    return await daemon.call("vm.up", **{**params, **more})


async def found(daemon: Daemon, path: Path) -> str:
    """Return the VM that a command in this directory addresses."""
    status = await daemon.call("vm.status", name="web-dev", of_project=str(path))
    return str(status["name"])


async def stored(daemon: Daemon, name: str = "web-dev") -> records.VmRecord:
    """Return the row on disk after all pending writes."""
    await daemon.database.flush()
    return daemon.stored()[name]


async def none(daemon: Daemon, path: Path) -> errors.VmNotFound:
    with pytest.raises(errors.VmNotFound) as caught:
        await found(daemon, path)
    return caught.value


async def test_two_directories_with_the_same_name_get_two_vms(
    daemon: Daemon, tmp_path: Path
) -> None:
    one, two = project(tmp_path / "a"), project(tmp_path / "b")
    assert (await up(daemon, one))["warnings"] == []
    made = await up(daemon, two)
    assert made["vm"]["name"] == "web-2-dev"
    assert made["warnings"] == [f"web-dev is the VM of {one}; this directory's is called web-2-dev"]
    again = await up(daemon, two)
    assert (again["vm"]["name"], again["warnings"]) == ("web-2-dev", [])
    assert (await found(daemon, one), await found(daemon, two)) == ("web-dev", "web-2-dev")
    assert (await up(daemon, project(tmp_path / "c")))["vm"]["name"] == "web-3-dev"
    await daemon.call("vm.destroy", name="web-dev", of_project=str(two))
    assert sorted(daemon.fleet.machines) == ["web-3-dev", "web-dev"]


async def test_two_first_ups_at_once_get_two_names(daemon: Daemon, tmp_path: Path) -> None:
    paths = [project(tmp_path / letter) for letter in "abcd"]
    made = await asyncio.gather(*(up(daemon, path) for path in paths))
    names = [each["vm"]["name"] for each in made]
    assert sorted(names) == ["web-2-dev", "web-3-dev", "web-4-dev", "web-dev"]
    assert [await found(daemon, path) for path in paths] == names


async def test_a_moved_directory_keeps_its_vm(daemon: Daemon, tmp_path: Path) -> None:
    old = project(tmp_path / "a")
    await up(daemon, old)
    new = tmp_path / "elsewhere"
    old.rename(new)
    assert await found(daemon, new) == "web-dev"
    assert (await stored(daemon)).project == str(new)
    result = await up(daemon, new)
    assert (result["created"], result["vm"]["name"]) == (False, "web-dev")
    other = project(tmp_path / "a")  # takes the old path, and maybe a reused inode
    await none(daemon, other)
    assert (await up(daemon, other))["vm"]["name"] == "web-2-dev"
    assert await found(daemon, new) == "web-dev"


async def test_a_moved_directory_keeps_its_vm_after_another_took_its_path(
    daemon: Daemon, tmp_path: Path
) -> None:
    old = project(tmp_path / "a")
    await up(daemon, old)
    moved = tmp_path / "moved"
    old.rename(moved)
    new = project(tmp_path / "a")
    error = await none(daemon, new)
    assert "web-dev" not in f"{error.message} {error.remedy}"
    assert (await up(daemon, new))["vm"]["name"] == "web-2-dev"
    assert await found(daemon, moved) == "web-dev"


async def test_a_copied_directory_gets_its_own_vm(daemon: Daemon, tmp_path: Path) -> None:
    first = project(tmp_path / "a")
    await up(daemon, first)
    copy = tmp_path / "b" / "web"
    shutil.copytree(first, copy)
    await none(daemon, copy)
    assert (await up(daemon, copy))["vm"]["name"] == "web-2-dev"
    marks = [(path / ".lima" / "gaovm-id").read_text() for path in (first, copy)]
    assert marks[0] != marks[1]
    shutil.rmtree(first)
    assert await found(daemon, copy) == "web-2-dev"


async def test_a_reused_inode_is_not_taken_for_a_move(daemon: Daemon, tmp_path: Path) -> None:
    first = project(tmp_path / "a")
    await up(daemon, first)
    vm = daemon.fleet.machines["web-dev"]
    other = project(tmp_path / "b")
    now = directories.identify(str(other))
    assert now is not None and vm.record.directory is not None
    given_again = msgspec.structs.replace(now, mark=vm.record.directory.mark)
    vm.update(directory=given_again)
    shutil.rmtree(first)
    await none(daemon, other)
    (other / ".lima" / "gaovm-id").write_text("0" * 32 + "\n")
    await none(daemon, other)
    (other / ".lima" / "gaovm-id").write_text(f"{given_again.mark}\n")
    assert await found(daemon, other) == "web-dev"


async def test_a_guest_that_copies_another_directorys_mark_gains_nothing(
    daemon: Daemon, tmp_path: Path
) -> None:
    one, two = project(tmp_path / "a"), project(tmp_path / "b")
    await up(daemon, one)
    await up(daemon, two)
    shutil.copy(one / ".lima" / "gaovm-id", two / ".lima" / "gaovm-id")
    assert await found(daemon, two) == "web-2-dev"
    shutil.rmtree(one)
    assert await found(daemon, two) == "web-2-dev"
    for kind in (os.mkfifo, os.mkdir, lambda path: os.symlink("/etc/hostname", path)):
        mark = two / ".lima" / "gaovm-id"
        mark.unlink() if not mark.is_dir() else mark.rmdir()
        kind(mark)
        assert await found(daemon, two) == "web-2-dev"
    mark = two / ".lima" / "gaovm-id"
    mark.unlink()
    mark.mkdir()
    before = await stored(daemon, "web-2-dev")
    await up(daemon, two)
    assert (await stored(daemon, "web-2-dev")).directory == before.directory, (
        "the VM keeps its mark"
    )


async def test_writing_the_mark_follows_no_link(daemon: Daemon, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    path = project(tmp_path / "a")
    text = (path / ".lima" / "config.yaml").read_text()
    shutil.rmtree(path / ".lima")
    (path / ".lima").symlink_to(victim)
    params = {**up_params(), "project_dir": str(path), "config_text": text}
    await daemon.call("vm.up", **params)
    assert list(victim.iterdir()) == []
    directory = (await stored(daemon)).directory
    assert directory is not None and directory.mark is None


async def test_a_new_device_number_after_a_reboot_keeps_the_vm(
    daemon: Daemon, tmp_path: Path
) -> None:
    path = project(tmp_path)
    await up(daemon, path)
    vm = daemon.fleet.machines["web-dev"]
    directory = vm.record.directory
    assert directory is not None
    vm.update(directory=msgspec.structs.replace(directory, device=directory.device + 1))
    assert await found(daemon, path) == "web-dev"
    assert (await stored(daemon)).directory == directory


async def test_another_path_to_the_same_directory_finds_its_vm(
    daemon: Daemon, tmp_path: Path
) -> None:
    path = project(tmp_path / "a")
    await up(daemon, path)
    (path / ".lima" / "gaovm-id").unlink()
    alias = tmp_path / "alias"
    alias.symlink_to(path)
    assert await found(daemon, alias) == "web-dev"
    assert (await stored(daemon)).project == str(path)


async def test_a_row_from_an_older_version_is_found_by_its_path(
    daemon: Daemon, tmp_path: Path
) -> None:
    path = project(tmp_path)
    await up(daemon, path)
    vm = daemon.fleet.machines["web-dev"]
    vm.update(directory=None, is_default=None)
    assert await found(daemon, path) == "web-dev"
    await up(daemon, path)
    record = await stored(daemon)
    assert record.directory is not None and record.is_default is True


async def test_a_given_name_takes_precedence(daemon: Daemon, tmp_path: Path) -> None:
    path = project(tmp_path)
    await up(daemon, path, name="two")
    error = await none(daemon, path)
    assert error.remedy == "it has others: give the name two"
    await up(daemon, path, env_name="three")
    assert (await up(daemon, path))["vm"]["name"] == "web-dev"
    assert await found(daemon, path) == "web-dev"
    listed = await daemon.call("vm.list", of_project=str(path))
    assert listed["here"] == ["three", "two", "web-dev"]
    with pytest.raises(errors.NameTaken, match="taken by"):
        await up(daemon, project(tmp_path / "b"), name="two")


async def test_a_name_in_the_file_names_the_directorys_vm(daemon: Daemon, tmp_path: Path) -> None:
    path = project(tmp_path, text=PLAIN + "vmOpts: {gaovm: {name: shop}}\n")
    made = await up(daemon, path)
    assert made["vm"]["name"] == "shop"
    assert await found(daemon, path) == "shop"
    assert daemon.fleet.machines["shop"].record.spec.guest.hostname == "shop"
    assert (await up(daemon, path))["created"] is False
    assert (await up(daemon, path, name="other"))["vm"]["name"] == "other"
    thief = project(tmp_path / "b", text=PLAIN + "vmOpts: {gaovm: {name: shop}}\n")
    with pytest.raises(errors.NameTaken):
        await up(daemon, thief)
    with pytest.raises(errors.ConfigError, match=r"vmOpts\.gaovm\.name"):
        await up(daemon, project(tmp_path / "c", text=PLAIN + "vmOpts: {gaovm: {name: a/b}}\n"))
    with pytest.raises(errors.ConfigError, match=r"cannot be set|unknown"):
        await daemon.call("vm.config.set", name="shop", changes={"name": "x"})


async def test_diff_and_plan_show_the_directorys_vm(daemon: Daemon, tmp_path: Path) -> None:
    one, two = project(tmp_path / "a"), project(tmp_path / "b")
    await up(daemon, one)
    of_two = {**up_params(), "project_dir": str(two), "config_text": PLAIN}
    asked: dict[str, Any] = {"name": "web-dev", "of_project": str(two), "project": of_two}
    plan = await daemon.call("vm.config.plan", **asked)
    assert (plan["name"], plan["exists"]) == ("web-2-dev", False)
    await up(daemon, two)
    for method in ("vm.config.diff", "vm.config.plan"):
        result = await daemon.call(method, **asked)
        assert result["name"] == "web-2-dev"
        assert not result.get("file") and not result.get("next_start"), result


async def test_adopt(daemon: Daemon, tmp_path: Path) -> None:
    one, two = project(tmp_path / "a"), project(tmp_path / "b", "other")
    await up(daemon, one)
    assert (await daemon.call("vm.adopt", project_dir=str(two)))["lost"] == []
    with pytest.raises(errors.NameTaken, match="which still exists"):
        await daemon.call("vm.adopt", project_dir=str(two), name="web-dev")
    shutil.rmtree(one)
    lost = (await daemon.call("vm.adopt", project_dir=str(two)))["lost"]
    assert [vm["name"] for vm in lost] == ["web-dev"]
    taken = await daemon.call("vm.adopt", project_dir=str(two), name="web-dev")
    assert taken["project"] == str(two)
    assert await found(daemon, two) == "web-dev"
    assert (await up(daemon, two))["created"] is False
    three = project(tmp_path / "c")
    await daemon.call("vm.adopt", project_dir=str(three), name="web-dev", force=True)
    assert await found(daemon, three) == "web-dev"
    await none(daemon, two)
