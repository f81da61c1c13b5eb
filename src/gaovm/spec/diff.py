"""Find the differences between two specs of a VM, and when each of them can take effect.

``FIELDS`` is the one table of this: a test walks every field of ``VmSpec`` and fails when no row
has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from gaovm.spec.vm import VmSpec


class When(StrEnum):
    """When a change of a field can take effect."""

    START = "start"  # at the next start: the field is part of the boot
    DRIVER = "driver"  # at once: the driver changes the running VM
    DAEMON = "daemon"  # at once: only the daemon uses the field
    NEVER = "never"  # the field is part of the VM's identity


class Field(NamedTuple):
    """A part of the spec: its path, the users' word for it, and when a change takes effect."""

    path: str
    word: str
    when: When

    def names(self, found: Difference) -> bool:
        """Return whether a difference belongs to this field."""
        return found.field == self.word or found.field.startswith(self.word + ".")


_PLAIN = (
    ("name", "name", When.NEVER),
    ("processors.count", "cpus", When.START),
    ("processors.model", "cpuType", When.START),
    ("processors.nested", "nestedVirtualization", When.START),
    ("memory.size_bytes", "memory", When.START),
    ("disk.size_bytes", "disk", When.DRIVER),
    ("additional_disks", "additionalDisks", When.START),
    ("image", "images", When.START),
    ("boot.backend", "vmType", When.START),
    ("boot.minimum_version", "minimumVersion", When.START),
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
    ("network.host_ports", "hostAccess.ports", When.START),
    ("network.rules", "portForwards", When.DRIVER),
    ("network.ports", "portForwards.static", When.DRIVER),
    ("network.sockets", "portForwards.sockets", When.START),
    ("shares", "mounts", When.START),
    ("guest.user", "user", When.START),
    ("guest.hostname", "hostname", When.START),
    ("guest.env", "env", When.DRIVER),
    ("guest.provision", "provision", When.START),
    ("guest.probes", "probes", When.START),
    ("guest.timezone", "timezone", When.DRIVER),
    ("guest.hosts", "hostResolver.hosts", When.DRIVER),
    ("guest.servers", "dns", When.START),
    ("guest.trust.certificates", "caCerts", When.START),
    ("guest.trust.remove_defaults", "caCerts.removeDefaults", When.START),
    ("guest.upgrade_packages", "upgradePackages", When.START),
    ("guest.copies", "copyToHost", When.START),
    ("guest.plain", "plain", When.START),
    ("ssh.load_public_keys", "ssh.loadDotSSHPubKeys", When.DAEMON),
    ("ssh.forward_agent", "ssh.forwardAgent", When.DAEMON),
    ("ssh.forward_x11", "ssh.forwardX11", When.DAEMON),
    ("ssh.forward_x11_trusted", "ssh.forwardX11Trusted", When.DAEMON),
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
    ("supervision.set_up.boot_s", "setUp.boot", When.START),
    ("supervision.set_up.script_s", "setUp.script", When.START),
    ("supervision.set_up.probe_s", "setUp.probe", When.START),
    ("supervision.autostart", "autostart", When.DAEMON),
    ("message", "message", When.DAEMON),
)
#: The one table, in the order in which front ends show differences.
FIELDS: tuple[Field, ...] = tuple(Field(*row) for row in _PLAIN)


class Difference(
    msgspec.Struct, frozen=True, kw_only=True, rename={"before": "from", "after": "to"}
):
    """One field that differs. Values are JSON data: bytes, seconds, numbers, words, lists.

    ``restart``: a running VM takes the change at its next start; ``live``: it takes it at once.
    """

    field: str
    before: Any
    after: Any
    restart: bool
    live: bool


def differences(before: VmSpec, after: VmSpec) -> list[Difference]:
    """Return every field that differs; the position in the project file does not count."""
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
    """Return the rows of the table in which two specs of one VM differ."""
    if before == after:
        return []
    found = []
    for field in FIELDS:
        old, new = value(before, field.path), value(after, field.path)
        if field.when is not When.NEVER and old != new and _shown(old) != _shown(new):
            found.append(field)
    return found


def take(onto: VmSpec, source: VmSpec, wanted: Callable[[Field], bool]) -> VmSpec:
    """Return ``onto`` with those fields of ``source`` that ``wanted`` selects."""
    return with_values(
        onto, {f.path: value(source, f.path) for f in FIELDS if f.path != "name" and wanted(f)}
    )


def with_values(spec: VmSpec, values: dict[str, Any]) -> VmSpec:
    """Return the spec with ``values``, given by path."""
    for path, new in values.items():
        spec = _replaced(spec, path.split("."), new)
    return spec


def value(spec: VmSpec, path: str) -> Any:
    """Return the part of a spec at a path of the table."""
    found: Any = spec
    for name in path.split("."):
        found = getattr(found, name)
    return found


def of_words(words: Iterable[str]) -> dict[str, Field]:
    """Return the rows for the users' words, by word."""
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
    """Return a part as JSON data, without the positions in the file that ports and mounts hold."""
    plain = msgspec.to_builtins(part)
    if isinstance(plain, list | tuple):
        return [
            {key: item for key, item in entry.items() if key != "field"}
            if isinstance(entry, dict)
            else entry
            for entry in plain
        ]
    return plain
