"""What Lima's list shows of an instance, made from a VM's status. On the path of ``list``."""

from __future__ import annotations

import os

from gaovm.cli.lima import homes
from gaovm.project import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

RUNNING, STOPPED, BROKEN = "Running", "Stopped", "Broken"
#: The version of Lima whose commands this entry follows; a test compares it with ``versions.LIMA``.
LIMA_VERSION = "2.2.0"
_BROKEN = ("failed", "first-up-failed")
_RUNNING = ("running", "degraded", "interrupted")
_ADDRESS = "127.0.0.1"
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def status(vm: Mapping[str, Any]) -> str:
    """Return Lima's word for a VM's state; it has only three."""
    state = str(vm["state"])
    if state in _RUNNING:
        return RUNNING
    if state in _BROKEN:
        return BROKEN
    # on its way: what counts for Lima is whether processes run
    return RUNNING if vm.get("driver_pid") else STOPPED


def directory(vm: Mapping[str, Any]) -> str:
    """Return the directory that Lima's list shows: of an own instance the one in LIMA_HOME."""
    return str(vm["project"] if homes.is_own(vm) else vm["dir"])


def instance(vm: Mapping[str, Any], config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a VM as ``limactl list --json`` prints it: Lima's fields, in Lima's order.

    ``config`` is the whole config as JSON; None: it cannot be read, which ``errors`` says.
    """
    name, place, state = str(vm["name"]), directory(vm), status(vm)
    ssh = os.path.join(place, "ssh.config")  # noqa: PTH118
    found: dict[str, Any] = {
        "name": name,
        "hostname": f"lima-{names.hostname(name)}",
        "status": state,
        "dir": place,
        "vmType": vm["vm_type"],
        "arch": vm["arch"],
        "cpus": vm["cpus"],
        "memory": vm["memory_bytes"],
        "disk": vm["disk_bytes"],
        "message": vm.get("message") or "",
        "sshConfigFile": ssh if os.path.exists(ssh) else "",  # noqa: PTH110
        "hostAgentPID": vm.get("driver_pid") or 0,
        "driverPID": vm.get("hypervisor_pid") or 0,
        "errors": _errors(vm, state, config),
        "config": config or {},
        "sshAddress": _ADDRESS,
        "protected": bool(vm.get("protected")),
        "limaVersion": LIMA_VERSION,
        "param": (config or {}).get("param") or {},
    }
    kept = {key: value for key, value in found.items() if value or isinstance(value, bool)}
    return {**kept, **_deprecated()}


def orphan(name: str) -> dict[str, Any]:
    """Return an instance directory without a VM, as Lima's list shows a broken one."""
    return {
        "name": name,
        "hostname": f"lima-{names.hostname(name)}",
        "status": BROKEN,
        "dir": homes.place(name).directory,
        "errors": [f"its `create` was cut off: run `gaovm lima start {name}` or delete it"],
        "sshAddress": _ADDRESS,
        "protected": False,
        "limaVersion": LIMA_VERSION,
        **_deprecated(),
    }


def size(count: float) -> str:
    """Write a number of bytes as Lima does: four digits at most, ``4GiB``, ``1.5GiB``."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    return f"{value:.4g}{_UNITS[unit]}"


def _errors(vm: Mapping[str, Any], state: str, config: Mapping[str, Any] | None) -> list[str]:
    found = []
    if state == BROKEN:
        found.append(str((vm.get("last_error") or {}).get("message") or vm.get("detail") or state))
    if config is None:
        found.append(f"the config {vm.get('config_path')} cannot be read")
    return found


def _deprecated() -> dict[str, str]:
    """Return the fields that templates of older scripts name."""
    root = homes.root()
    return {
        "HostOS": "linux",
        "HostArch": os.uname().machine,
        "LimaHome": root,
        "IdentityFile": os.path.join(root, "_config", "user"),  # noqa: PTH118
    }
