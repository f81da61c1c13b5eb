"""What a program in QEMU's place cannot do, as root and as a plain user, on any kernel.

The function that starts QEMU starts the program, in a cage made the same way.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gaovm import errors
from gaovm.platform.confine import abilities, groups, identities, landlock, place
from gaovm.platform.confine.cage import Bind, Cage, Ids, Limits
from gaovm.vmmanager.qemu import cage as policy
from gaovm.vmmanager.qemu import lifetime

INTRUDER = Path(__file__).with_name("intruder.py")
PYTHON = os.path.realpath(sys.executable)
MIB = 1 << 20
LIMITS = Limits(256 * MIB, 2048 * MIB, 2.0, 50, 256)
PLAIN = 54321
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="root is needed to be root, and to be somebody else"
)


class Host:
    """What the intruder tries to reach."""

    def __init__(self, base: Path, uid: int) -> None:
        self.base = base
        self.disk = base / "home" / "vms" / "other" / "disk.qcow2"
        self.control = base / "home" / "gaovmd.sock"
        self.share = base / "share"
        self.readable = base / "readable"
        self.disk.parent.mkdir(parents=True)
        self.share.mkdir()
        for path in (self.disk, self.readable, self.share / "file"):
            path.write_text("text")
        self.program = base / "intruder.py"
        shutil.copy(INTRUDER, self.program)
        self._listeners = [socket.socket(socket.AF_UNIX), socket.socket()]
        self._listeners[0].bind(str(self.control))
        self._listeners[1].bind(("127.0.0.1", 0))
        for listener in self._listeners:
            listener.listen()
        self.port = self._listeners[1].getsockname()[1]
        for path in (base, *base.rglob("*")):
            os.chown(path, uid, uid)
        self.disk.chmod(0o600)
        base.chmod(0o755)
        self.share.chmod(0o777)

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()

    def cage(self, ids: Ids | None, **changes: Any) -> Cage:
        """Return QEMU's cage, but with this interpreter in QEMU's place."""
        binds = [
            Bind(PYTHON, programs=True),
            *(Bind(path, programs=True) for path in {sys.base_prefix} - {"/usr", "/"}),
            *(bind._replace(programs=True) for bind in policy._there(policy._LIBRARIES)),
            *policy._there(policy._SETTINGS),
            Bind("/dev/null", device=True),
            Bind(str(self.program)),
            Bind(str(self.readable)),
            Bind(str(self.share), writable=True),
        ]
        made = Cage(tuple(binds), LIMITS, ids=ids, links=tuple(policy._links(PYTHON)))
        return made._replace(**changes)

    def attempts(self) -> dict[str, Any]:
        return {
            "read": [str(self.disk), "/etc/shadow", str(self.readable), "/etc/passwd", "/dev/fd/0"],
            "write": [str(self.share / "new"), str(self.readable)],
            "connect": [str(self.control)],
            "port": self.port,
            "signal": os.getpid(),
        }


@pytest.fixture
def base() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="gaovm-cage.", dir="/var/tmp"))
    yield path
    shutil.rmtree(path)


async def _run(host: Host, into: place.Place, wanted: dict[str, Any]) -> tuple[int, str]:
    """Return how the intruder ended, and what it said."""
    ours, theirs = socket.socketpair()
    with ours:
        argv = (PYTHON, "-I", "-S", str(host.program), json.dumps(wanted))
        with theirs:
            running = lifetime.run(argv, {}, output=theirs.fileno(), cwd=host.base, into=into)
            child = await running.__aenter__()
        try:
            code = await child.wait()
        finally:
            await running.__aexit__(None, None, None)
        ours.settimeout(60)
        said = b""
        while data := ours.recv(65536):
            said += data
    return code, said.decode()


def _attempt(
    host: Host,
    can: abilities.Abilities,
    cage: Cage,
    wanted: dict[str, Any],
) -> tuple[int, str, place.Report]:
    into = place.Place(cage, can, "intruder")
    try:
        return *asyncio.run(_run(host, into, wanted)), into.report
    finally:
        into.close()


def as_plain_user(act: Callable[[], Any]) -> Any:
    """Return a function's result (JSON) from a process of an ordinary user."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(PLAIN, PLAIN, PLAIN)
            os.setresuid(PLAIN, PLAIN, PLAIN)
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as after any exec
            os.write(writing, json.dumps(act()).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    assert said, "the process of the plain user failed"
    return json.loads(said)


KINDS = ["root", "root without namespaces", "plain", "plain without namespaces"]


@pytest.fixture(params=KINDS)
def attempt(
    request: pytest.FixtureRequest, base: Path
) -> Iterator[Callable[..., tuple[int, str, list[Any]]]]:
    """Run the intruder as the case says."""
    kind: str = request.param
    host = Host(base, PLAIN if "plain" in kind else 0)

    def act(wanted: dict[str, Any], **changes: Any) -> tuple[int, str, list[Any]]:
        why = "the test has none" if "without" in kind else ""
        can = abilities.Abilities("root" in kind, why, landlock.version())
        lent = identities.lend("test") if can.root else None
        cage = host.cage(lent.ids if lent else None, **changes)

        def run() -> tuple[int, str, list[Any]]:
            if not can.root and not why:
                identities.own_namespace()
            code, said, report = _attempt(host, can, cage, wanted)
            return code, said, [report.uid, list(report.measures), dict(report.missing)]

        try:
            return run() if can.root else tuple(as_plain_user(run))
        finally:
            if lent is not None:
                lent.close()

    act.host = host  # type: ignore[attr-defined]
    act.kind = kind  # type: ignore[attr-defined]
    yield act
    host.close()


def test_the_host_is_out_of_reach(attempt: Any) -> None:
    host: Host = attempt.host
    code, said, report = attempt(host.attempts())
    assert code == 0, said
    got = json.loads(said)
    allowed = {f"read {host.readable}", f"write {host.share / 'new'}", "read", "read /dev/fd/0"}
    facts = ("uid", "pid", "environment", "CapEff", "CapBnd", "NoNewPrivs", "signal all")
    reached = {name for name, how in got.items() if how == "ok" and name != "signal all"}
    assert reached == allowed, got
    assert set(got) > set(facts)
    assert got["environment"] == "LC_ALL PATH"
    assert (got["CapEff"], got["NoNewPrivs"]) == ("0" * 16, "1")
    if "without" not in attempt.kind:
        assert (got["pid"], got["CapBnd"]) == ("1", "0" * 16)
        assert got["signal"] == "ESRCH"
        assert "empty root" in report[1]
    else:
        assert "namespaces" in report[2]
    uid = report[0]
    assert int(got["uid"]) == uid
    assert uid == PLAIN if "plain" in attempt.kind else uid >= 1879048192
    made = (host.share / "new").stat()
    assert made.st_uid == uid


def test_more_memory_than_given_is_not_had(attempt: Any) -> None:
    small = LIMITS._replace(memory_bytes=96 * MIB, address_bytes=600 * MIB)
    code, said, report = attempt({"memory": 800 * MIB}, limits=small)
    if code == 0:
        assert json.loads(said)["memory"] == "MemoryError"
    held = [word for word in report[1] if word.startswith("cgroup limits (memory")]
    if not held:
        assert "cgroup memory" in report[2]
        return
    # the program may map this much, but not use it: the kernel ends it
    code, said, _ = attempt({"memory": 300 * MIB}, limits=small)
    assert (code, said) == (-9, "")


def test_a_share_is_served_with_the_owners_of_its_users(base: Path) -> None:
    host = Host(base, PLAIN)
    lent = identities.lend("test")
    try:
        cage = host.cage(lent.ids, owners=((PLAIN, PLAIN),), capabilities=frozenset({0, 1, 3}))
        wanted = {"write": [str(host.share / "new"), str(host.share / "file")], "read": []}
        code, said, report = _attempt(host, abilities.find(), cage, wanted)
        assert code == 0, said
        got = json.loads(said)
        assert got["CapEff"] == "000000000000000b"
        assert {got[f"write {host.share / name}"] for name in ("new", "file")} == {"ok"}
        assert got["device"] != "ok"
        assert stat.S_ISREG((host.share / "new").stat().st_mode)
        assert (host.share / "new").stat().st_uid == report.uid
        assert report.uid in range(lent.ids.first, lent.ids.first + lent.ids.size)
    finally:
        lent.close()
        host.close()


def test_nothing_is_left_behind(base: Path) -> None:
    host = Host(base, 0)
    lent = identities.lend("test")
    before = {str(tree.own): set(os.listdir(tree.own)) for tree in groups.hierarchies()}
    fds = sorted(os.listdir("/proc/self/fd"))
    code, said, _ = _attempt(host, abilities.find(), host.cage(lent.ids), {})
    assert code == 0, said
    assert sorted(os.listdir("/proc/self/fd")) == fds
    after = {str(tree.own): set(os.listdir(tree.own)) for tree in groups.hierarchies()}
    others = {"gaovm"}  # the directory of all groups, which other processes may have made
    assert {own: names - others for own, names in after.items()} == {
        own: names - others for own, names in before.items()
    }
    ours = f"{os.getpid()}."
    assert not [path for own in after for path in Path(own).glob(f"gaovm/{ours}*")]
    lent.close()
    host.close()


def test_what_is_hidden_below_a_share_is_empty(base: Path) -> None:
    host = Host(base, 0)
    inner = host.share / "state"
    inner.mkdir()
    (inner / "secret").write_text("secret")
    lent = identities.lend("test")
    try:
        wanted = {"read": [str(inner / "secret")], "write": [str(inner / "new")]}
        cage = host.cage(lent.ids, hidden=(str(inner),))
        got = json.loads(_attempt(host, abilities.find(), cage, wanted)[1])
        assert got[f"read {inner / 'secret'}"] == "ENOENT"
        assert got[f"write {inner / 'new'}"] in ("EROFS", "EACCES")
        assert (inner / "secret").read_text() == "secret"
    finally:
        lent.close()
        host.close()


def test_a_cage_that_cannot_be_made_starts_nothing_and_says_where(base: Path) -> None:
    host = Host(base, 0)
    lent = identities.lend("test")
    try:
        cage = host.cage(lent.ids, hidden=(str(base / "nowhere"),))
        with pytest.raises(errors.HostError, match=r"cannot confine .*: mount .*nowhere"):
            _attempt(host, abilities.find(), cage, {})
        cage = host.cage(lent.ids)._replace(binds=())
        with pytest.raises(errors.ProgramMissing):
            _attempt(host, abilities.find(), cage, {})
    finally:
        lent.close()
        host.close()


def _groups_of(maker: int) -> list[Path]:
    return [
        path
        for tree in groups.hierarchies()
        for parent in (tree.own, *tree.own.parents)
        if parent.is_relative_to(tree.root)
        for path in parent.glob(f"gaovm/{maker}.*")
    ]


def test_who_is_in_it_dies_with_who_made_it(base: Path) -> None:
    host = Host(base, 0)
    lent = identities.lend("test")
    reading, writing = os.pipe()
    maker = os.fork()
    if maker == 0:
        try:
            made = place.Place(host.cage(lent.ids), abilities.find(), "intruder")
            argv = (PYTHON, "-I", "-S", "-c", "import time; time.sleep(600)")
            pid = made.start(argv, {}, output=2, pass_fds=())
            os.write(writing, str(pid).encode())
            signal.pause()
        finally:
            os._exit(1)
    inmate = int(os.read(reading, 20))
    watch = os.pidfd_open(inmate)
    os.kill(maker, signal.SIGKILL)
    os.waitpid(maker, 0)
    assert select.select([watch], [], [], 30)[0], "it lives on"
    for fd in (watch, reading, writing):
        os.close(fd)
    # its group is empty a moment after its end; another process may sweep it first
    while _groups_of(maker):
        groups.sweep()
        time.sleep(0.01)
    lent.close()
    host.close()


def test_root_without_ids_of_its_own_has_no_capabilities(base: Path) -> None:
    host = Host(base, 0)
    try:
        code, said, report = _attempt(host, abilities.find(), host.cage(None), host.attempts())
        assert code == 0, said
        got = json.loads(said)
        assert (got["uid"], got["CapEff"], got["CapBnd"]) == ("0", "0" * 16, "0" * 16)
        assert got["read /etc/shadow"] == "ENOENT"
        assert "separate user id" in report.missing
    finally:
        host.close()
