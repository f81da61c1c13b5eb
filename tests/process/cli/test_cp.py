"""cp against a fake driver: sides, names, what it asks of the guest."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.process.cli import conftest, fakes

from gaovm import errors


@pytest.fixture
def here(gaovm: conftest.Gaovm) -> Path:
    (gaovm.project / "a.txt").write_bytes(b"alpha")
    (gaovm.project / "b.txt").write_bytes(b"beta")
    return gaovm.project


def _names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames()


def test_into_the_vm(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver, here: Path
) -> None:
    done = gaovm("cp", "a.txt", "vm:/tmp/x", "--user", "root")
    assert (done.returncode, done.stderr) == (0, b"")
    asked = {"name": "web-dev", "of_project": str(here), "kind": "copy"}
    assert daemon.params("vm.session") == asked
    ((kind, start, data),) = driver.copies
    assert (kind, start["path"], start["user"], start["name"]) == (
        "copy-in",
        "/tmp/x",
        "root",
        "a.txt",
    )
    assert _names(data) == ["FILE"]


def test_many_sources_need_a_directory(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver, here: Path
) -> None:
    assert gaovm("cp", "a.txt", "b.txt", "web2:data").returncode == 0
    assert [start["path"] for _, start, _ in driver.copies] == ["data/", "data/"]
    assert daemon.params("vm.session")["name"] == "web2"
    done = gaovm("cp", "vm:/a", "vm:/b", "nowhere")
    assert done.returncode == 2 and b"must be a directory" in done.stderr


def test_out_of_the_vm(gaovm: conftest.Gaovm, driver: fakes.FakeDriver, here: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("FILE")
        entry.size = 5
        archive.addfile(entry, io.BytesIO(b"hello"))
    driver.tar = packed.getvalue()
    assert gaovm("cp", "vm:/etc/motd", ".").returncode == 0
    assert (here / "motd").read_bytes() == b"hello"
    assert driver.copies[0][1]["path"] == "/etc/motd"


def test_failures_name_the_path(
    gaovm: conftest.Gaovm, driver: fakes.FakeDriver, here: Path
) -> None:
    driver.refuse = {"code": "not-found", "message": "no such file"}
    done = gaovm("cp", "vm:/no/such", "y")
    assert done.returncode == 1
    assert done.stderr == b"gaovm: /no/such: no such file\n"
    assert not (here / "y").exists()
    done = gaovm("cp", "missing", "vm:/tmp/")
    assert done.returncode == 1 and b"missing" in done.stderr
    assert gaovm("cp", "a.txt", "b.txt").returncode == 2
    assert gaovm("cp", "a.txt").returncode == 2
    assert gaovm("cp", "a.txt", "no_-name:x").returncode == 2
    assert b"an empty path" in gaovm("cp", "", "vm:/tmp/").stderr


def test_from_one_vm_into_another(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, kind in ((".", tarfile.DIRTYPE), ("a", tarfile.REGTYPE), ("n", tarfile.CHRTYPE)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = kind, 0o6755
            archive.addfile(entry)
    driver.tar = packed.getvalue()
    done = gaovm("cp", "-r", "web:/srv/data", "db:/srv/", "-u", "root")
    assert (done.returncode, done.stderr) == (0, b"left out: n: a device\n")
    asked = [params["name"] for method, params in daemon.calls if method == "vm.session"]
    assert asked == ["web", "db"]
    (out, start, _), (into, begun, data) = sorted(driver.copies, reverse=True)
    assert (out, start["path"], start["user"]) == ("copy-out", "/srv/data", "root")
    assert (into, begun["path"], begun["name"]) == ("copy-in", "/srv/", "data")
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert [(entry.name, entry.mode) for entry in archive] == [(".", 0o755), ("a", 0o755)]


def test_what_a_guest_cannot_have_meant_reaches_no_other(
    gaovm: conftest.Gaovm, driver: fakes.FakeDriver
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in (".", "../evil"):
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
    driver.tar = packed.getvalue()
    done = gaovm("cp", "web:/srv/data", "db:/srv/")
    assert done.returncode == 1 and b"unsafe name" in done.stderr
    assert b"evil" not in b"".join(data for _, _, data in driver.copies)
    assert gaovm("cp", "web:.", "db:/srv/").returncode == 2


def test_a_vm_that_is_not_there_brings_up_no_option_that_cp_lacks(
    gaovm: conftest.Gaovm, daemon: fakes.FakeDaemon, here: Path
) -> None:
    def unknown(params: dict[str, Any], call: fakes.Call) -> Any:
        raise errors.VmNotFound("there is no VM 'nosuch'")

    daemon.handlers["vm.session"] = unknown
    daemon.handlers["vm.list"] = lambda params, call: {"vms": [], "here": ["mine"]}
    told = gaovm("cp", "nosuch:/x", ".").stderr
    assert b"this project's VM is called mine" in told and b"--name" not in told
