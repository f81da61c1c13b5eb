"""The places of all files of one ``$GAOVM_HOME``; ``docs/state-dir.md`` describes each file."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from gaovm import errors
from gaovm.hostfacts import homes

_RUN_ID = re.compile(r"[0-9a-f]{8}")


class Paths:
    """The files and directories below one home. Building it touches nothing."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.socket = home / "gaovmd.sock"
        self.lock = home / "gaovmd.lock"
        self.database = home / "state.db"
        self.logs = home / "logs"
        self.log = self.logs / "gaovmd.log"
        self.zygote_log = self.logs / "zygote.log"
        self.images = home / "images"
        self.vms = home / "vms"
        self.disks = home / "disks"
        self.run = home / "run"

    def make(self) -> None:
        """Create the directories, private to the user (0700), also when they exist already."""
        for path in (self.home, self.logs, self.images, self.vms, self.disks, self.run):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.chmod(0o700)

    def vm_dir(self, name: str) -> Path:
        """The directory of a VM: disk, logs, lock."""
        return self.vms / name

    def run_dir(self, run_id: str) -> Path:
        """The directory of a VM's sockets; short, because a socket path holds 107 bytes."""
        return self.run / run_id

    def driver_socket(self, run_id: str) -> Path:
        """Where the driver of a VM takes sessions."""
        return self.run_dir(run_id) / "driver.sock"

    def driver_log(self, name: str) -> Path:
        """What the driver of a VM logs."""
        return self.vm_dir(name) / "driver.log"

    def serial_log(self, name: str) -> Path:
        """What the guest writes to its console."""
        return self.vm_dir(name) / "serial.log"


def from_environment() -> Paths:
    """The home of this process: ``$GAOVM_HOME``, else ``~/.gaovm``; absolute.

    Raises:
        errors.UsageError: this user has no home directory.
        errors.HostError: the home cannot be used, see ``homes.check``.
    """
    try:
        home = Path(os.environ.get("GAOVM_HOME") or "~/.gaovm").expanduser()
    except RuntimeError as exc:
        raise errors.UsageError(
            "HOME is not set, and this user has no home directory",
            remedy="set GAOVM_HOME to a directory of your own",
        ) from exc
    homes.check(str(home.absolute()), write=True)
    return Paths(home.absolute())


def remove_sockets(directory: Path) -> None:
    """Remove the sockets that ended processes left in a run directory."""
    with contextlib.suppress(FileNotFoundError):
        for path in directory.iterdir():
            if path.is_socket():
                path.unlink(missing_ok=True)


def is_run_id(text: str) -> bool:
    """Whether a name below ``run/`` is one that the daemon made."""
    return _RUN_ID.fullmatch(text) is not None


def new_run_id(taken: set[str]) -> str:
    """A fresh name below ``run/``: 8 hex digits."""
    while True:
        run_id = os.urandom(4).hex()
        if run_id not in taken:
            return run_id


def cache_directory() -> Path:
    """``$GAOVM_CACHE``, else ``~/.cache/gaovm``."""
    given = os.environ.get("GAOVM_CACHE")
    return Path(given).absolute() if given else Path.home() / ".cache" / "gaovm"
