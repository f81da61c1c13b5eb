"""Project files are read one at a time in a thread; missing images and mounts are errors."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.unit.daemon.conftest import Daemon, up_params
from tests.unit.project import test_mutations

from gaovm import errors
from gaovm.daemon import paths
from gaovm.daemon.vms import project_file
from gaovm.hostfacts import sources
from gaovm.project import config
from gaovm.wire.control import vms

LIMIT_S = 60.0
USER = vms.Caller(name="u", uid=1000, gid=1000, home="/home/u")


def args(project: Path, text: str) -> vms.Up:
    return vms.Up(project_dir=str(project), config_path="c.yaml", config_text=text, user=USER)


async def test_the_loop_continues_while_a_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, went_on = threading.Event(), threading.Event()
    load = config.load

    def slow(*given: Any, **named: Any) -> config.Loaded:
        begun.set()
        assert went_on.wait(LIMIT_S)
        return load(*given, **named)

    monkeypatch.setattr(config, "load", slow)
    where = paths.Paths(tmp_path / "home")
    text = "images: [{location: 'debian:12'}]\n"
    first = asyncio.create_task(project_file.load(args(tmp_path, text), where))
    second = asyncio.create_task(project_file.load(args(tmp_path, "cpus: x\n"), where))
    assert await asyncio.to_thread(begun.wait, LIMIT_S)
    went_on.set()
    assert (await first).spec.image.location == "debian:12"
    with pytest.raises(errors.ConfigError, match=r"c.yaml:1: cpus: expected a whole number"):
        await second


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("images: [{location: 'debian:9'}]", errors.ImageUnknown, "unknown image 'debian:9'"),
        (
            f"images: [{{location: 'debian:12', digest: 'sha256:{64 * '0'}'}}]",
            errors.ConfigError,
            "is built on this machine",
        ),
        (
            "images: [{location: 'debian:12'}]\nmounts: [{location: /nowhere/at/all}]",
            errors.MountMissing,
            r"c.yaml:2: mounts\[0\].location: /nowhere/at/all is no directory",
        ),
    ],
)
async def test_a_missing_image_or_mount_is_refused_with_its_line(
    tmp_path: Path, text: str, kind: type[errors.GaoError], expected: str
) -> None:
    with pytest.raises(kind, match=expected):
        await project_file.load(args(tmp_path, text), paths.Paths(tmp_path / "home"))


@pytest.mark.parametrize("location", ["home", "home/vms/web-dev", "link"])
async def test_gaovms_own_directory_cannot_be_mounted(tmp_path: Path, location: str) -> None:
    where = paths.Paths(tmp_path / "home")
    (where.home / "vms" / "web-dev").mkdir(parents=True)
    (tmp_path / "link").symlink_to("home/vms")
    text = f"images: [{{location: 'debian:12'}}]\nmounts: [{{location: {tmp_path / location}}}]\n"
    with pytest.raises(errors.MountRefused, match=r"c.yaml:2: mounts\[0\].location: .* own"):
        await project_file.load(args(tmp_path, text), where)


async def test_a_file_and_its_bases_are_read(tmp_path: Path) -> None:
    where = paths.Paths(tmp_path / "home")
    project = tmp_path / "web"
    project.mkdir()
    (project / "a.yaml").write_text("base: b.yaml\nprovision: [{file: x.sh}]\n")
    (project / "b.yaml").write_text("cpus: 3\nbase: template:minimal\n")
    (project / "x.sh").write_text("#!/bin/sh\n")
    wanted = await project_file.load(args(project, "base: a.yaml\n"), where)
    assert (wanted.spec.processors.count, wanted.spec.image.location) == (3, "debian:12")
    assert wanted.spec.guest.provision[0].script == "#!/bin/sh\n"
    assert wanted.outside == ()
    (project / "b.yaml").write_text("cpus: x\n")
    with pytest.raises(errors.ConfigError, match=rf"{project}/b.yaml:1: cpus: expected a whole"):
        await project_file.load(args(project, "base: a.yaml\n"), where)


async def test_a_base_that_does_not_answer_holds_only_who_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file on a file system that is gone: others' files are read meanwhile."""
    gone = threading.Event()
    fetch = sources.Gathered.fetch

    def slow(self: sources.Gathered) -> None:
        assert gone.wait(LIMIT_S)
        fetch(self)

    monkeypatch.setattr(sources.Gathered, "fetch", slow)
    where = paths.Paths(tmp_path / "home")
    waiting = asyncio.create_task(project_file.load(args(tmp_path, "base: /nfs/x.yaml\n"), where))
    found = await project_file.load(args(tmp_path, "images: [{location: 'debian:12'}]\n"), where)
    assert found.spec.image.location == "debian:12"
    assert not waiting.done()
    gone.set()
    with pytest.raises(errors.ConfigError, match="cannot embed `/nfs/x"):
        await waiting


async def test_a_file_with_a_mistake_creates_nothing(daemon: Daemon, tmp_path: Path) -> None:
    """Every file of the list of mistakes, through the daemon's own way in."""
    daemon.ctx.load_config = project_file.load
    project = tmp_path / "web"
    project.mkdir()
    for mistake in test_mutations.TABLE:
        params = {**up_params(), "project_dir": str(project), "config_text": mistake.text()}
        with pytest.raises(errors.ConfigError):
            await daemon.call("vm.up", **params)
    assert daemon.stored() == {} and daemon.fleet.machines == {}
    assert list(project.iterdir()) == []
