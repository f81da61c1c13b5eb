"""``config.json`` and ``pending_config.json``: copies of a VM's config in the database.

The database is the authority. The files serve people, and programs that look at a VM's directory.
The daemon writes each file whole or not at all, with a digest. It checks them when it starts and at
each start of the VM, and rewrites those that differ from the database. If a digest is wrong, the
file was torn or edited: the daemon renames it and never overwrites it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from gaovm import errors
from gaovm.aio import files
from gaovm.daemon.storage import quarantine
from gaovm.spec import vm

CONFIG = "config.json"
PENDING = "pending_config.json"


def write(path: Path, spec: vm.VmSpec) -> None:
    """Replace the file, durably.

    Raises:
        errors.HostError: it cannot be written; the old file is unchanged.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    files.write_atomic(path, encode(spec))


def remove(path: Path) -> None:
    """Remove the file, durably; a missing file is fine.

    Raises:
        errors.HostError: it cannot be removed.
    """
    try:
        path.unlink()
        files.sync_directory(path.parent)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise files.errors_of(exc, f"cannot remove {path}") from exc


def mend(path: Path, wanted: vm.VmSpec | None) -> Path | None:
    """Make the file match what is wanted (None: no file). Only reads if nothing has to change.

    Returns the new path of a damaged file.

    Raises:
        errors.HostError: it cannot be read or written.
    """
    kept: Path | None = None
    try:
        found: bytes | None = quarantine.read(path, _whole)
    except errors.NotFound:
        found = None
    except errors.StateCorrupt as exc:
        found, kept = None, Path(exc.details["quarantined"])
    if found == (None if wanted is None else encode(wanted)):
        return kept
    if wanted is not None:
        write(path, wanted)
    else:
        remove(path)
    return kept


def encode(spec: vm.VmSpec) -> bytes:
    """Return the content of a file, with a line feed at its end."""
    data = vm.to_builtins(spec)
    text = msgspec.json.encode({"format": 1, "digest": _digest(data), "spec": data})
    return msgspec.json.format(text, indent=2) + b"\n"


def _whole(content: bytes) -> bytes:
    """Return the content if a daemon wrote it so."""
    data = msgspec.json.decode(content)
    if not isinstance(data, dict) or data.get("digest") != _digest(data.get("spec")):
        raise ValueError("its digest is wrong")
    return content


def _digest(data: Any) -> str:
    return "sha256:" + hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()


def damaged(path: Path, kept: Path) -> errors.StateCorrupt:
    """Return the error that tells a user about a damaged file."""
    return errors.StateCorrupt(
        f"{path} was damaged; the daemon moved it to {kept.name} and wrote it again",
        remedy="change the project file or what is set over it, not this file",
        details={"file": str(path), "quarantined": str(kept)},
    )
