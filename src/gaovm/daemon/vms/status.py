"""VmStatus: what clients see of a machine, made from memory alone."""

from __future__ import annotations

import functools
from typing import TypeVar

import msgspec
from msgspec.structs import asdict

from gaovm.builder import backends
from gaovm.daemon import paths, timestamps
from gaovm.daemon.storage import records
from gaovm.daemon.vms import machine, ports
from gaovm.model import states
from gaovm.spec import diff
from gaovm.wire.control import status as wire
from gaovm.wire.control.ports import PortStatus
from gaovm.wire.driver import results

T = TypeVar("T")


def vm_status(vm: machine.Machine) -> wire.VmStatus:
    """The VM as clients see it; costs no I/O."""
    record, spec, where = vm.record, vm.record.spec, vm.fleet.paths
    word, detail = vm.describe()
    user = spec.guest.user
    running = record.state.observed is states.Observed.RUNNING
    directory, run_dir, logs = _places(where, record.name, record.run_id)
    return wire.VmStatus(
        name=record.name,
        project=record.project,
        config_path=record.config_path,
        protected=record.protected,
        state=word,
        detail=detail,
        desired=record.state.desired,
        observed=record.state.observed,
        readiness=record.state.readiness,
        first_up=record.state.first_up,
        paused=vm.paused,
        created_at=record.created_at,
        started_at=record.started_at,
        vm_type=spec.boot.backend or backends.find("").name,
        arch=spec.boot.arch,
        cpus=spec.processors.count,
        memory_bytes=spec.memory.size_bytes,
        disk_bytes=spec.disk.size_bytes,
        additional_disks=_additional_disks(vm),
        image=_image(record),
        machine=record.facts.machine or None,
        accelerator=_as(wire.Accelerator, record.facts.accelerator),
        mounts=_mounts(record),
        ports=port_statuses(record, running=running),
        network=_network(record),
        confinement=_as(wire.Confinement, record.facts.confinement),
        user=wire.User(name=user.name, uid=user.uid, gid=user.gid, home=user.home),
        ssh=msgspec.convert(spec.ssh, wire.Ssh, from_attributes=True),
        driver_pid=vm.driver.pid if vm.driver else None,
        hypervisor_pid=vm.hypervisor_pid if running else None,
        boot=_boot(vm) if running else None,
        restarts=_restarts(record),
        last_error=_as(wire.Failure, record.last_error),
        dir=directory,
        run_dir=run_dir,
        logs=logs,
        message=spec.message,
        pending=_pending(record),
        overrides=record.overrides,
        ports_problem=record.facts.ports_problem if running else None,
    )


def _additional_disks(vm: machine.Machine) -> tuple[wire.AdditionalDisk, ...]:
    known = vm.fleet.disks.records
    return tuple(
        wire.AdditionalDisk(
            name=disk.name,
            mount_point=disk.mount_point,
            size_bytes=known[disk.name].size_bytes if disk.name in known else None,
        )
        for disk in vm.record.spec.additional_disks
    )


@functools.lru_cache(maxsize=1024)
def _places(where: paths.Paths, name: str, run_id: str) -> tuple[str, str, wire.Logs]:
    """A VM's directories and logs; joining paths would be the greatest part of a status."""
    logs = wire.Logs(serial=str(where.serial_log(name)), driver=str(where.driver_log(name)))
    return str(where.vm_dir(name)), str(where.run_dir(run_id)), logs


def _as(kind: type[T], known: msgspec.Struct | None) -> T | None:
    """Turn a struct of the driver's protocol or of a record into the client's of the same noun."""
    return None if known is None else msgspec.convert(known, kind, from_attributes=True)


def _boot(vm: machine.Machine) -> wire.Boot | None:
    known = vm.record.facts.boot
    return None if known is None else msgspec.convert({**asdict(known), **vm.timings}, wire.Boot)


def _restarts(record: records.VmRecord) -> wire.Restarts:
    wanted, history = record.spec.supervision.restart, record.restarts
    return wire.Restarts(
        policy=wanted.policy,
        attempts=history.attempts,
        max_attempts=wanted.max_attempts,
        due_at=None if history.due_at is None else timestamps.of(history.due_at),
    )


def _pending(record: records.VmRecord) -> tuple[diff.Difference, ...]:
    """What the next start changes."""
    if record.pending is None:
        return ()
    return tuple(diff.differences(record.spec, record.pending))


def _image(record: records.VmRecord) -> wire.VmImage:
    image, wanted = record.image, record.spec.image
    if image is not None:
        return wire.VmImage(name=image.name, digest=image.digest, kernel=image.kernel)
    return wire.VmImage(name=wanted.location, digest=wanted.digest, kernel=record.spec.boot.kernel)


def _mounts(record: records.VmRecord) -> tuple[wire.Mount, ...]:
    if record.facts.mounts:
        return msgspec.convert(record.facts.mounts, tuple[wire.Mount, ...], from_attributes=True)
    return tuple(
        wire.Mount(
            location=share.location,
            mount_point=share.mount_point,
            type=share.type,
            reason="decided at the first start",
            writable=share.writable,
        )
        for share in record.spec.shares
    )


def _network(record: records.VmRecord) -> wire.Network:
    """Tell what carries the guest's network, and whether the config opens the host to it."""
    known = record.facts.network or results.Network(reason="decided at the first start")
    return wire.Network(
        problem=known.problem,
        type=known.type,
        reason=known.reason,
        host_access=record.spec.network.host_access,
    )


def warnings(record: records.VmRecord) -> list[str]:
    """Return warnings about this VM as it was started: what is less safe or complete than usual."""
    known, found = _network(record), []
    if known.type == "slirp" and not known.host_access:
        found.append(
            "this VM reaches servers on the host's 127.0.0.1, by 10.0.2.2: "
            f"{known.reason}; a check of this host says more"
        )
    cage = record.facts.confinement
    missing = {} if cage is None else cage.missing
    found += [
        f"the VM's hypervisor has no {what} around it: {missing[what]}; "
        "a check of this host says more"
        for what in ("cage", "namespaces")
        if what in missing
    ]
    accelerator = record.facts.accelerator
    asked = record.spec.processors.model.partition(",")[0]
    if asked == "host" and accelerator is not None and accelerator.name == "tcg":
        found.append("cpuType host needs an accelerator: the VM has what emulation offers")
    if record.state.observed is states.Observed.RUNNING and known.problem:
        found.append(known.problem)
    if record.state.observed is states.Observed.RUNNING:
        found += problems(record)
    for port, entry in ports.bound(record):
        if entry is not None and entry.lost_host_port:
            found.append(
                f"host port {entry.lost_host_port} of guest port {port.guest_port} is taken by "
                f"somebody else; it is {entry.host_port} now"
            )
    return found


def problems(record: records.VmRecord) -> list[str]:
    """Return why ports of a running VM are not forwarded, a line for each."""
    found = [
        f"{'port ' if port.guest_port else 'socket '}{port.guest_port or port.guest_socket} of the "
        f"VM is not forwarded: {port.problem}"
        for port in record.facts.ports
        if port.problem
    ]
    overall = record.facts.ports_problem
    return found if overall is None else [*found, overall]


def port_statuses(record: records.VmRecord, *, running: bool) -> tuple[PortStatus, ...]:
    """Return every forward of a VM; of a running VM as its driver has them.

    First those of ``ports.bound``, in its order.
    """
    fixed = len(record.spec.network.ports)
    always = (
        PortStatus(
            guest_ip=port.guest_ip,
            guest_port=port.guest_port,
            host_ip=port.host_ip,
            # for a stopped VM: what the next start tries first
            host_port=port.host_port if entry is None else entry.host_port,
            source="config" if index < fixed else "added",
            state="forwarded" if running and entry else "stopped",
            proto=port.proto,
        )
        for index, (port, entry) in enumerate(ports.bound(record))
    )
    return (*always, *ports.following(record, running=running))
