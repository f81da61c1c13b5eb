"""The whole config of each instance as JSON, from a cache while its files stay as they are.

Reading YAML costs 30 ms and more, so what came of it is kept in ``$GAOVM_HOME/lima-configs.json``
with time and size of every file that was read. ``list --json`` loads this module, and ``loading``
only after a change.
"""
# pathlib costs 5 ms, and this module is on the path of `list --json`
# ruff: noqa: PTH116, PTH118, PTH105, PTH108

from __future__ import annotations

import json
import os

from gaovm.cli.lima import instances
from gaovm.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    #: Path, time of change in nanoseconds, size; both -1: there is no such file.
    Stamp = list[Any]

CACHE = "lima-configs.json"
_LIMIT = 16 << 20
#: What the config shows of a VM beyond its file.
_FACTS = ("config_path", "vm_type", "arch", "cpus", "memory_bytes", "disk_bytes", "user")


def of(vms: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any] | None]:
    """Return the config of each VM by the VM's name; None where its file cannot be read."""
    known = _read()
    kept: dict[str, Any] = {}
    found: dict[str, Mapping[str, Any] | None] = {}
    changed = False
    for vm in vms:
        name, facts = str(vm["name"]), [vm.get(fact) for fact in _FACTS]
        entry: Any = known.get(name)
        if not _is_good(entry, facts):
            entry = _load(vm, facts)
            changed = True
        kept[name] = entry
        found[name] = entry["config"]
    if changed:
        # the others stay: this list may be of one LIMA_HOME only
        others = {name: entry for name, entry in known.items() if _is_there(entry)}
        _write({**others, **kept})
    return found


def _is_there(entry: Any) -> bool:
    """Tell whether the file of an entry still exists; else the VM is probably gone too."""
    facts = entry.get("facts") if isinstance(entry, dict) else None
    return bool(facts) and isinstance(facts, list) and stamp(str(facts[0]))[1] != -1


def _is_good(entry: Any, facts: list[Any]) -> bool:
    """Tell whether an entry of the cache still holds. Anything may stand in the file."""
    if not isinstance(entry, dict) or entry.get("facts") != facts:
        return False
    stamps = entry.get("files")
    if not isinstance(stamps, list) or not stamps or "config" not in entry:
        return False
    return all(
        isinstance(each, list) and len(each) == 3 and each == stamp(str(each[0])) for each in stamps
    )


def stamp(path: str) -> Stamp:
    """Return a file's path, time and size."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return [path, -1, -1]
    return [path, found.st_mtime_ns, found.st_size]


def _load(vm: Mapping[str, Any], facts: list[Any]) -> dict[str, Any]:
    from gaovm.cli.lima import loading

    config, files = loading.load(vm)
    return {"facts": facts, "files": [stamp(path) for path in files], "config": config}


def _path() -> str:
    return os.path.join(paths.home(), CACHE)


def _read() -> dict[str, Any]:
    try:
        with open(_path(), "rb") as file:
            data = json.loads(file.read(_LIMIT))
    except (OSError, ValueError, RecursionError):
        return {}
    good = isinstance(data, dict) and data.get("version") == instances.LIMA_VERSION
    entries = data.get("entries") if good else None
    return entries if isinstance(entries, dict) else {}


def _write(entries: Mapping[str, Any]) -> None:
    """Replace the cache; a list must not fail because it cannot be kept."""
    path = _path()
    new = f"{path}.{os.getpid()}"
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump({"version": instances.LIMA_VERSION, "entries": entries}, file)
        os.replace(new, path)
    except OSError:
        try:
            os.unlink(new)
        except OSError:
            return
