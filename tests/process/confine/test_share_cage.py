"""What a virtiofs share's server can do in its cage; a program in its place tries everything."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaovm.builder.choices import Choice
from gaovm.builder.document import ShareDevice
from gaovm.builder.qemu.document import Document
from gaovm.platform.confine import abilities, place
from gaovm.platform.confine.cage import Cage, Ids
from gaovm.vmmanager.qemu import cage as policy
from gaovm.vmmanager.qemu import share_guard

PYTHON = os.path.realpath(sys.executable)
OWNER = 54322
IDS = Ids(1879048192 + 65536 * 7, 65536)
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or bool(abilities.find().namespaces),
    reason="root and namespaces are needed",
)

PROGRAM = """
import json, os, sys
share, home, outside = sys.argv[1:]
result = {"uid": os.getuid(), "home": os.listdir(home), "share": sorted(os.listdir(share))}
def attempt(name, work):
    try:
        work()
        result[name] = None
    except OSError as exc:
        result[name] = exc.strerror
def make(name, uid):
    path = f"{share}/{name}"
    open(path, "w").close()
    os.chown(path, uid, uid)
for uid in (0, 5, 54322):
    attempt(f"owner {uid}", lambda: make(f"by-{uid}", uid))
attempt("another", lambda: open(f"{share}/another", "a").close())
attempt("outside", lambda: os.listdir(outside))
attempt("shadow", lambda: open("/etc/shadow").close())
attempt("set-id", lambda: os.chmod(f"{share}/by-0", 0o4755))
attempt("write home", lambda: open(f"{home}/x", "w").close())
attempt("chroot", lambda: os.chroot(share))
print(json.dumps(result))
"""


@pytest.fixture
def base() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="gs", dir="/tmp"))
    yield path
    shutil.rmtree(path)


def cage_of(base: Path, *, writable: bool = True) -> Cage:
    """Return the cage of the server of ``base/share``, which contains GaoVM's own directory."""
    share, home = base / "share", base / "share" / "deep" / "home"
    home.mkdir(parents=True)
    (home / "gaovmd.sock").touch()
    for path in (share, share / "deep"):
        os.chown(path, OWNER, OWNER)
    another = share / "another"
    another.touch()
    os.chown(another, OWNER + 1, OWNER + 1)
    another.chmod(0o600)
    os.chown(base, OWNER, OWNER)
    return server(share, home, writable=writable)


def server(share: Path, home: Path, *, writable: bool) -> Cage:
    device = ShareDevice(
        tag="t",
        type="virtiofs",
        reason="",
        location=str(share),
        mount_point="/mnt",
        writable=writable,
        fd="share0",
    )
    return policy.make_server(PYTHON, device, document(device), policy.Own(home), IDS, root=True)


def document(device: ShareDevice) -> Document:
    choice = Choice(name="tcg", reason="")
    return Document(
        argv=("qemu",),
        files=(),
        slots=(),
        machine=choice,
        accelerator=choice,
        network=choice,
        shares=(device,),
        kernel_arguments="",
        memory_bytes=256 << 20,
        processors=1,
    )


def run(cage: Cage, base: Path) -> dict[str, object]:
    """Return what the program says that it could do."""
    share = base / "share"
    return run_on(cage, share, share / "deep" / "home", base)


def run_on(cage: Cage, share: Path, home: Path, outside: Path) -> dict[str, object]:
    made = place.Place(cage, abilities.find(), "test-share")
    reading, writing = os.pipe()
    argv = [PYTHON, "-I", "-S", "-c", PROGRAM, str(share), str(home), str(outside)]
    try:
        last = share_guard.inside_a_cage()
        pid = made.start(argv, {}, output=writing, pass_fds=(), last=last)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read().decode()
        os.waitpid(pid, 0)
    finally:
        made.close()
    assert said.startswith("{"), said
    found: dict[str, object] = json.loads(said)
    return found


def test_the_owner_is_itself_and_all_else_is_of_the_vms_ids(base: Path) -> None:
    found = run(cage_of(base), base)
    assert found["uid"] == 0
    assert [found[f"owner {uid}"] for uid in (0, 5, OWNER)] == [None] * 3
    owners = [(base / "share" / f"by-{uid}").stat().st_uid for uid in (0, 5, OWNER)]
    assert owners == [IDS.first, IDS.first + 5, OWNER]


def test_the_state_directory_is_hidden_and_nothing_else_is_there(base: Path) -> None:
    found = run(cage_of(base), base)
    assert found["home"] == []
    assert found["write home"] is not None
    assert "deep" in str(found["share"])
    assert found["outside"] is None or found["outside"] == "Permission denied"
    for name in ("another", "shadow", "set-id"):
        assert found[name] is not None, name
    assert os.listdir(base / "share" / "deep" / "home") == ["gaovmd.sock"]
    modes = [path.stat().st_mode for path in (base / "share").iterdir()]
    assert not any(mode & (stat.S_ISUID | stat.S_ISGID) for mode in modes)
    assert found["chroot"] is None  # virtiofsd's own first step


def test_a_share_that_is_only_read_cannot_be_written(base: Path) -> None:
    found = run(cage_of(base, writable=False), base)
    assert found["owner 0"] == "Read-only file system"


@pytest.mark.parametrize("share", ["/usr", "/usr/lib/python3"])
def test_a_share_around_the_programs_own_files_or_in_them(base: Path, share: str) -> None:
    found = run_on(server(Path(share), base, writable=False), Path(share), Path(share), base)
    assert found["share"] == sorted(os.listdir(share))
    assert found["owner 0"] == "Read-only file system"
