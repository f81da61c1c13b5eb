"""Where a client finds the daemon of a home; ``docs/state-dir.md`` describes each file."""
# pathlib costs 5 ms, and this module is on the path of every command
# ruff: noqa: PTH111, PTH118, PTH100

from __future__ import annotations

import os

from gaovm import errors


def home() -> str:
    """Return the home of this process: ``$GAOVM_HOME``, else ``~/.gaovm``; always absolute.

    Raises:
        errors.UsageError: the path is relative and the current directory was removed, or this user
            has no home directory.
    """
    path = os.path.expanduser(os.environ.get("GAOVM_HOME") or "~/.gaovm")
    if path.startswith("~"):
        raise errors.UsageError(
            "HOME is not set, and this user has no home directory",
            remedy="set GAOVM_HOME to a directory of your own",
        )
    try:
        return os.path.abspath(path)
    except OSError as exc:
        raise errors.UsageError(
            f"GAOVM_HOME={path} is relative, and the current directory is gone",
            remedy="set GAOVM_HOME to an absolute path",
        ) from exc


def socket(home: str) -> str:
    """Return the path of the daemon's socket."""
    return os.path.join(home, "gaovmd.sock")


def logs(home: str) -> str:
    """Return the directory of the logs."""
    return os.path.join(home, "logs")


def vm_dir(home: str, name: str) -> str:
    """Return the directory of a VM, which holds its disk and logs."""
    return os.path.join(home, "vms", name)


def daemon_log(home: str) -> str:
    """Return the path of the daemon's log, which also holds its output before logging starts."""
    return os.path.join(home, "logs", "gaovmd.log")
