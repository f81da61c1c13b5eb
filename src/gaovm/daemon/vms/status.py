"""VmStatus: what clients see of a machine, made from memory alone."""

from __future__ import annotations

from typing import Any

import msgspec

from gaovm.daemon import timestamps
from gaovm.daemon.storage import records
from gaovm.daemon.vms import machine, ports
from gaovm.model import states
from gaovm.spec import diff


def vm_status(vm: machine.Machine) -> dict[str, Any]:
    """The VmStatus of ``docs/reference/control-protocol.md``."""
    record, spec, where = vm.record, vm.record.spec, vm.fleet.paths
    word, detail = vm.describe()
    user = spec.guest.user
    running = record.state.observed is states.Observed.RUNNING
    return {
        "name": record.name,
        "project": record.project,
        "state": word,
        "detail": detail,
        "desired": record.state.desired,
        "observed": record.state.observed,
        "readiness": record.state.readiness,
        "first_up": record.state.first_up,
        "paused": vm.paused,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "vm_type": "qemu",
        "arch": spec.boot.arch,
        "cpus": spec.processors.count,
        "memory_bytes": spec.memory.size_bytes,
        "disk_bytes": spec.disk.size_bytes,
        "image": _image(record),
        "machine": record.facts.machine or None,
        "accelerator": record.facts.accelerator,
        "mounts": _mounts(record),
        "ports": port_statuses(record, running=running),
        "network": _network(record),
        "confinement": record.facts.confinement,
        "user": {"name": user.name, "uid": user.uid, "gid": user.gid, "home": user.home},
        "driver_pid": vm.driver.pid if vm.driver else None,
        "hypervisor_pid": vm.hypervisor_pid if running else None,
        "boot": {**record.facts.boot, **vm.timings} if running and record.facts.boot else None,
        "restarts": _restarts(record),
        "last_error": msgspec.to_builtins(record.last_error),
        "dir": str(where.vm_dir(record.name)),
        "run_dir": str(where.run_dir(record.run_id)),
        "logs": {
            "serial": str(where.serial_log(record.name)),
            "driver": str(where.driver_log(record.name)),
        },
        "message": spec.message,
        "pending": _pending(record),
        "overrides": record.overrides,
    }


def _restarts(record: records.VmRecord) -> dict[str, Any]:
    wanted, history = record.spec.supervision.restart, record.restarts
    return {
        "policy": wanted.policy,
        "attempts": history.attempts,
        "max_attempts": wanted.max_attempts,
        "due_at": None if history.due_at is None else timestamps.of(history.due_at),
    }


def _pending(record: records.VmRecord) -> list[dict[str, Any]]:
    """What the next start changes."""
    if record.pending is None:
        return []
    found = diff.differences(record.spec, record.pending)
    return [msgspec.to_builtins(difference) for difference in found]


def _image(record: records.VmRecord) -> dict[str, Any]:
    if record.image is not None:
        return {
            "name": record.image.name,
            "digest": record.image.digest,
            "kernel": record.image.kernel,
        }
    wanted = record.spec.image
    return {"name": wanted.location, "digest": wanted.digest, "kernel": record.spec.boot.kernel}


def _mounts(record: records.VmRecord) -> list[dict[str, Any]]:
    if record.facts.mounts:
        return list(record.facts.mounts)
    return [
        {
            "location": share.location,
            "mount_point": share.mount_point,
            "type": share.type,
            "reason": "decided at the first start",
            "writable": share.writable,
        }
        for share in record.spec.shares
    ]


def _network(record: records.VmRecord) -> dict[str, Any]:
    """What carries the guest's network, and whether the host is open to it on purpose."""
    known = record.facts.network or {"type": None, "reason": "decided at the first start"}
    return {"problem": None, **known, "host_access": record.spec.network.host_access}


def warnings(record: records.VmRecord) -> list[str]:
    """What of this VM, as it was started, is not as safe or as whole as it should be."""
    known, found = _network(record), []
    if known["type"] == "slirp" and not known["host_access"]:
        found.append(
            "this VM reaches servers on the host's 127.0.0.1, by 10.0.2.2: "
            f"{known['reason']}; a check of this host says more"
        )
    missing = (record.facts.confinement or {}).get("missing") or {}
    found += [
        f"the VM's hypervisor has no {what} around it: {missing[what]}; "
        "a check of this host says more"
        for what in ("cage", "namespaces")
        if what in missing
    ]
    if record.state.observed is states.Observed.RUNNING and known["problem"]:
        found.append(str(known["problem"]))
    for port, entry in ports.bound(record):
        if entry.get("lost_host_port"):
            found.append(
                f"host port {entry['lost_host_port']} of guest port {port.guest_port} is taken by "
                f"somebody else; it is {entry['host_port']} now"
            )
    return found


def port_statuses(record: records.VmRecord, *, running: bool) -> list[dict[str, Any]]:
    """PortStatus of every forward; while running as the driver reported them."""
    fixed = len(record.spec.network.ports)
    result = []
    for index, (port, entry) in enumerate(ports.bound(record)):
        known = entry if running else {}
        result.append(
            {
                "guest_ip": port.guest_ip,
                "guest_port": port.guest_port,
                "host_ip": port.host_ip,
                # of one that is stopped: what the next start tries first
                "host_port": entry.get("host_port", port.host_port),
                "source": "config" if index < fixed else "added",
                "state": "forwarded" if known else "stopped",
            }
        )
    return result
