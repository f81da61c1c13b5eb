"""What differs between two specs of a VM, and when each difference can take effect.

``FIELDS`` is the one table of that: a test walks every field of ``VmSpec`` and fails when one
stands in no row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from gaovm.spec.vm import VmSpec


class When(StrEnum):
    """When a change of a field can take effect."""

    START = "start"  # part of what is booted: at the next start
    DRIVER = "driver"  # by the driver, in the VM that runs
    DAEMON = "daemon"  # at once: only the daemon looks at it
    NEVER = "never"  # it is what the VM is


class Field(NamedTuple):
    """A part of the spec: its path, the word that users have for it, and when it changes."""

    path: str
    word: str
    when: When

    def names(self, found: Difference) -> bool:
        """Whether a difference is one of this field."""
        return found.field == self.word or found.field.startswith(self.word + ".")


_PLAIN = (
    ("name", "name", When.NEVER),
    ("processors.count", "cpus", When.START),
    ("memory.size_bytes", "memory", When.START),
    ("disk.size_bytes", "disk", When.DRIVER),
    ("image", "images", When.START),
    ("boot.backend", "vmType", When.START),
    ("boot.arch", "arch", When.START),
    ("boot.machine", "machine", When.START),
    ("boot.accelerator", "accel", When.START),
    ("boot.kernel", "kernel", When.START),
    ("boot.extra_arguments", "cmdline", When.START),
    ("graphics.enabled", "graphics.enabled", When.START),
    ("graphics.width", "graphics.width", When.START),
    ("graphics.height", "graphics.height", When.START),
    ("network.mode", "network", When.START),
    ("network.host_access", "hostAccess", When.START),
    ("network.ports", "portForwards", When.DRIVER),
    ("shares", "mounts", When.START),
    ("guest.user", "user", When.START),
    ("guest.hostname", "hostname", When.START),
    ("guest.env", "env", When.DRIVER),
    ("guest.provision", "provision", When.START),
    ("guest.probes", "probes", When.START),
    ("supervision.restart.policy", "restart.policy", When.DAEMON),
    ("supervision.restart.max_attempts", "restart.maxAttempts", When.DAEMON),
    ("supervision.restart.max_delay_s", "restart.maxDelay", When.DAEMON),
    ("supervision.restart.stable_s", "restart.stableAfter", When.DAEMON),
    ("supervision.watchdog.device", "watchdog.device", When.START),
    ("supervision.watchdog.timeout_s", "watchdog.timeout", When.START),
    ("supervision.watchdog.heartbeat", "watchdog.heartbeat", When.START),
    ("supervision.watchdog.on_hang", "watchdog.onHang", When.DRIVER),
    ("supervision.stop.grace_s", "stop.grace", When.DAEMON),
    ("supervision.stop.force_s", "stop.force", When.DAEMON),
    ("supervision.autostart", "autostart", When.DAEMON),
    ("message", "message", When.DAEMON),
)
#: The one table, in the order in which differences are shown.
FIELDS: tuple[Field, ...] = tuple(Field(*row) for row in _PLAIN)


class Difference(
    msgspec.Struct, frozen=True, kw_only=True, rename={"before": "from", "after": "to"}
):
    """One field that differs. Values are JSON data: bytes, seconds, numbers, words, lists.

    ``restart``: it waits for the next start of a VM that runs; ``live``: it does not.
    """

    field: str
    before: Any
    after: Any
    restart: bool
    live: bool


def differences(before: VmSpec, after: VmSpec) -> list[Difference]:
    """Every field that differs; where in a file something stands is no difference."""
    found: list[Difference] = []
    for field in differing(before, after):
        old, new = _shown(value(before, field.path)), _shown(value(after, field.path))
        live = field.when is not When.START
        if field.path == "guest.env":
            found += [
                _difference(f"env.{name}", old.get(name), new.get(name), live=live)
                for name in sorted({*old, *new})
                if old.get(name) != new.get(name)
            ]
        else:
            found.append(_difference(field.word, old, new, live=live))
    return found


def differing(before: VmSpec, after: VmSpec) -> list[Field]:
    """The rows of the table in which two specs of one VM differ."""
    if before == after:
        return []
    found = []
    for field in FIELDS:
        old, new = value(before, field.path), value(after, field.path)
        if field.when is not When.NEVER and old != new and _shown(old) != _shown(new):
            found.append(field)
    return found


def take(onto: VmSpec, source: VmSpec, wanted: Callable[[Field], bool]) -> VmSpec:
    """``onto`` with the fields of ``source`` for which ``wanted`` says so."""
    return with_values(
        onto, {f.path: value(source, f.path) for f in FIELDS if f.path != "name" and wanted(f)}
    )


def with_values(spec: VmSpec, values: dict[str, Any]) -> VmSpec:
    """The spec with other values, by path."""
    for path, new in values.items():
        spec = _replaced(spec, path.split("."), new)
    return spec


def value(spec: VmSpec, path: str) -> Any:
    """The part of a spec that stands at a path of the table."""
    found: Any = spec
    for name in path.split("."):
        found = getattr(found, name)
    return found


def of_words(words: Iterable[str]) -> dict[str, Field]:
    """The rows of the words that users have, by word."""
    known = {field.word: field for field in FIELDS}
    return {word: known[word] for word in words}


def _replaced(struct: Any, names: list[str], new: Any) -> Any:
    first, *rest = names
    if rest:
        new = _replaced(getattr(struct, first), rest, new)
    return msgspec.structs.replace(struct, **{first: new})


def _difference(word: str, before: Any, after: Any, *, live: bool) -> Difference:
    return Difference(field=word, before=before, after=after, restart=not live, live=live)


def _shown(part: Any) -> Any:
    """A part as JSON data, without the places in the file that ports and mounts carry."""
    plain = msgspec.to_builtins(part)
    if isinstance(plain, list | tuple):
        return [
            {key: item for key, item in entry.items() if key != "field"}
            if isinstance(entry, dict)
            else entry
            for entry in plain
        ]
    return plain
