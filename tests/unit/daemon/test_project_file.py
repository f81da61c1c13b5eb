"""Project files are read one at a time in a thread; missing images and mounts are errors."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from gaovm import errors
from gaovm.daemon import paths
from gaovm.daemon.vms import project_file
from gaovm.project import config
from gaovm.wire.control import vms

LIMIT_S = 20.0
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
        ("images: [{location: /a/b}]", errors.ImageUnknown, r"c.yaml:1: images\[0\]: /a/b has no"),
        ("images: [{location: 'debian:9'}]", errors.ImageUnknown, "unknown image 'debian:9'"),
        (
            f"images: [{{location: /a/b, digest: 'sha256:{64 * '0'}', kernel: {{location: /k}}}}]",
            errors.ImageUnknown,
            r"c.yaml:1: images\[0\].kernel: /k has no digest",
        ),
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
