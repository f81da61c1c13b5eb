"""Run every command in every unusable home: one clear line, never a traceback."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.process.cli import conftest

from gaovm import errors
from gaovm.cli import catalog
from gaovm.hostfacts import homes

PLAIN, OTHER = 65534, 12345
IS_ROOT = os.geteuid() == 0
WORDS = {
    "exec": ["exec", "--", "true"],
    "cp": ["cp", "x", "vm:"],
    "port add": ["port", "add", "80"],
    "port rm": ["port", "rm", "80"],
    "destroy": ["destroy", "-y"],
    "image build": ["image", "build", "debian:12"],
    "image pull": ["image", "pull", "/x", "--digest", "sha256:" + "ab" * 32],
    "image rm": ["image", "rm", "x"],
    "set": ["set", "cpus=1"],
    "display screenshot": ["display", "screenshot", "x.png"],
    "log-level": ["log-level", "debug"],
    "completion": ["completion", "bash"],
    "ssh-proxy": ["ssh-proxy", "web-dev"],
    "uninstall": ["uninstall", "--yes"],
    "disk create": ["disk", "create", "d", "--size", "1GiB"],
    "disk resize": ["disk", "resize", "d", "--size", "2GiB"],
    "disk import": ["disk", "import", "d", ".lima/config.yaml"],
    "disk unlock": ["disk", "unlock", "d"],
    "disk rm": ["disk", "rm", "-f", "d"],
    "lima": ["lima", "list"],
    "template show": ["template", "show", "dev"],
    "template validate": ["template", "validate", ".lima/config.yaml"],
    "template copy": ["template", "copy", "dev", "copy.yaml"],
}
#: Commands that need no home, or whose answer is that nothing is there.
FREE = {"init", "capabilities", "completion", "version", "display open", "doctor"}
#: Homes that one can read but not write, so that "the daemon does not run" is true.
READABLE = {"read-only", "below-another's"}
# Each command runs in its own child: `daemon run` executes another program.
SCRIPT = """
import json, os, sys, tempfile
words, uid, home = json.load(sys.stdin)
from gaovm import errors
from gaovm.cli import catalog, main
for name in catalog.COMMANDS:
    catalog.load(name)
os.setgroups([]) if os.geteuid() == 0 else None
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
results = {}
for name, argv in words.items():
    with tempfile.TemporaryFile() as said:
        pid = os.fork()
        if pid == 0:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.argv[1:] = argv
            main.entry()
        _, status = os.waitpid(pid, 0)
        said.seek(0)
        results[name] = [os.waitstatus_to_exitcode(status), said.read().decode()]
json.dump(results, sys.stdout)
"""


class Home(NamedTuple):
    path: Path
    said: str
    uid: int


def made(kind: str, base: Path) -> Home:
    """Make a home of this kind; say what the error is, and which user runs the command."""
    path = base / "home"
    uid = PLAIN if IS_ROOT else os.geteuid()
    if kind == "file":
        path.write_text("x")
        return Home(path, "is not a directory", uid)
    if kind == "dangling":
        path.symlink_to("/nonexistent/home")
        return Home(path, "is a link to what does not exist", uid)
    if kind == "below-another's":
        os.chown(base, 0, 0)
        return Home(path, f"{path} cannot be made: {base}: you may not write there", uid)
    path.mkdir()
    os.chown(path, uid, uid) if IS_ROOT else None
    if kind == "unreadable":
        path.chmod(0)
        return Home(path, "you may not read there (mode 0000)", uid)
    if kind == "read-only":
        path.chmod(0o500)
        return Home(path, "you may not write there (mode 0500)", uid)
    os.chown(path, OTHER, OTHER)
    if kind == "another's":
        path.chmod(0o777)
        return Home(path, f"belongs to uid {OTHER}, and you are", uid)
    if kind == "root-in-another's":
        return Home(path, f"belongs to uid {OTHER}, and you are root", 0)
    return Home(path / ".gaovm", f"would belong to root in a directory of uid {OTHER}", 0)


ANYONES = ["file", "dangling", "unreadable", "read-only"]
ROOTS = ["below-another's", "another's", "root-in-another's", "root-with-another's-HOME"]
KINDS = [*ANYONES, *ROOTS] if IS_ROOT else ANYONES
Results = dict[str, tuple[int, str]]


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """Make a directory that every user can enter.

    It does not lie in pytest's own: each pytest that starts on this machine closes those to others.
    """
    with tempfile.TemporaryDirectory(prefix="gh") as name:
        yield Path(name).resolve()


@pytest.fixture(scope="module", params=KINDS)
def tried(request: pytest.FixtureRequest, base: Path) -> Iterator[tuple[str, Home, Results]]:
    """Return what each command said in a home of one kind."""
    base = base / str(KINDS.index(request.param))
    base.mkdir()
    for directory in (base, base.parent):
        directory.chmod(0o755)
    project = base / "web"
    (project / ".lima").mkdir(parents=True)
    (project / ".lima" / "config.yaml").write_text('images: [{location: "debian:12"}]\n')
    (project / "x").write_text("")
    home = made(request.param, base)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(conftest.SRC)}
    if request.param == "root-with-another's-HOME":
        environment["HOME"] = str(home.path.parent)
    else:
        environment |= {"HOME": "/nonexistent", "GAOVM_HOME": str(home.path)}
    words = {name: WORDS.get(name, name.split()) for name in catalog.COMMANDS}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps([words, home.uid, str(home.path)]).encode(),
        stdout=subprocess.PIPE,
        cwd=project,
        env=environment,
        check=True,
        timeout=120,
    )
    yield request.param, home, json.loads(done.stdout)
    with contextlib.suppress(NotADirectoryError, FileNotFoundError):
        home.path.chmod(0o700)
        assert not (home.path / "gaovmd.lock").exists()  # no daemon was started


@pytest.mark.parametrize("command", catalog.COMMANDS)
def test_a_home_that_cannot_be_used_is_one_clear_line(
    tried: tuple[str, Home, Results], command: str
) -> None:
    kind, home, results = tried
    code, said = results[command]
    assert "Traceback" not in said and "Errno" not in said
    if command in FREE:
        return
    if kind in READABLE and command in ("daemon stop", "daemon status", "daemon upgrade"):
        assert "daemon does not run" in said or "no daemon listens" in said
        return
    reads = command in ("logs", "explain", "daemon disable") or command.startswith("template")
    if kind in READABLE and reads:
        return  # the command need not write there
    if command == "lima":  # it speaks as Lima does, with the remedy in the same line
        assert code == 1 and home.said in said and "(Hint: " in said
        assert len(said.splitlines()) == 1, said
        return
    lines = [line for line in said.splitlines() if line.startswith("gaovm")]
    assert code in (1, 3, 125, 255)  # 255: as ssh fails
    assert len(lines) == 1 and home.said in lines[0], said
    assert len(said.splitlines()) == 2, said  # the second line is the remedy


def test_doctor_says_it_too(tried: tuple[str, Home, Results]) -> None:
    _, home, results = tried
    code, said = results["doctor"]
    (line,) = [line for line in said.splitlines() if line.startswith("FAIL  home")]
    assert code == 1 and home.said in line


def test_a_home_is_absolute(gaovm: conftest.Gaovm, tmp_path: Path) -> None:
    done = gaovm("daemon", "status", env={"GAOVM_HOME": "state"})
    assert f"no daemon listens on {gaovm.project}/state/gaovmd.sock" in done.stderr.decode()
    done = gaovm("daemon", "status", env={"GAOVM_HOME": "~/state"})
    assert f"no daemon listens on {gaovm.home}/state/gaovmd.sock" in done.stderr.decode()
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'cd "$0" && rmdir "$0" && exec "$@"'
    words = ["sh", "-c", script, str(gone), *gaovm.argv("ls")]
    environment = {**gaovm.environment, "GAOVM_HOME": "state"}
    done = subprocess.run(words, env=environment, capture_output=True, timeout=30, check=False)
    assert done.returncode == 2
    assert b"GAOVM_HOME=state is relative, and the current directory is gone" in done.stderr


def test_a_daemon_whose_files_are_anothers_says_which(gaovm: conftest.Gaovm) -> None:
    (gaovm.home / "logs").write_text("in the way")
    done = gaovm("ls")
    assert done.returncode == 3
    first, *rest = done.stderr.decode().splitlines()
    assert first == f"gaovm: cannot start the daemon: File exists: {gaovm.home}/logs"
    assert rest == [f"  remedy: see who owns the files in {gaovm.home}: ls -la {gaovm.home}"]


def test_a_file_of_the_home_that_cannot_be_made_ends_the_daemon_in_one_line(
    gaovm: conftest.Gaovm,
) -> None:
    (gaovm.home / "images").write_text("in the way")
    done = gaovm("ls")
    assert done.returncode == 3
    assert done.stderr.decode().splitlines()[:2] == [
        "gaovm: the daemon did not start (exit status 1)",
        f"       gaovmd: File exists: {gaovm.home}/images",
    ]


def test_a_file_system_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mounted:
        f_flag = os.ST_RDONLY

    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    monkeypatch.setattr(os, "statvfs", lambda path: Mounted)
    homes.check(str(tmp_path), write=False)
    with pytest.raises(errors.HostError, match="file system that cannot be written"):
        homes.check(str(tmp_path), write=True)
