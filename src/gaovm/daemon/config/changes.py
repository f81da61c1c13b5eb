"""Change a VM's config: at once where that is possible, else at the next start.

A change has these steps, in this order; a crash may come after each:

1. The daemon writes what is wanted to the database, with the events that report it, in one
   transaction. From here on the change will come into force, whatever happens.
2. It writes the copies on disk.
3. The driver changes what it can in the running VM. Until it has done so, this part is in
   ``pending`` like everything else: a change that fails or is interrupted comes at the next start.

At a start, ``pending`` becomes ``spec`` in one transaction, before anything is made for the VM.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from gaovm import errors
from gaovm.aio import steps, tasks
from gaovm.daemon.config import copies, live, planning, room
from gaovm.daemon.storage import records
from gaovm.daemon.vms import machine
from gaovm.daemon.vms.fleet import Fleet
from gaovm.model import states
from gaovm.spec import diff
from gaovm.spec.vm import VmSpec
from gaovm.wire.control import payloads

logger = logging.getLogger(__name__)

#: A running VM can take these, because its scripts are run again.
_SCRIPTS = (
    "guest.provision",
    "guest.probes",
    "guest.copies",
    "supervision.set_up.boot_s",
    "supervision.set_up.script_s",
    "supervision.set_up.probe_s",
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a change did. ``changed``: the record differs; ``replaced``: another one waited."""

    changed: bool
    applied: tuple[diff.Difference, ...]
    staged: tuple[diff.Difference, ...]
    restart_required: bool
    running: bool
    replaced: bool
    warnings: tuple[str, ...]


async def change(
    vm: machine.Machine,
    make: Callable[[], planning.Layers],
    *,
    whole: bool = False,
) -> Outcome:
    """Bring layers into force; calls ``make`` when it is this change's turn.

    Raises:
        errors.ConfigError, errors.DiskShrink: the layers are wrong, or the VM would not fit on
            this host; nothing changed.
        errors.DiskFull, errors.StateCorrupt: the database could not be written.
    """
    async with vm.config:
        plan = planning.work_out(vm.record, make(), whole=whole)
        fits = _check_size(vm.record, plan)
        replaced = vm.record.pending is not None
        changed = _says_something(vm, plan)
        if changed or (whole and plan.staged):
            await _record(vm, plan)
            await _write_copies(vm)
        applied, staged, warnings = list(plan.now), list(plan.staged), [*plan.warnings, *fits]
        failed: list[diff.Difference] = []
        for field in plan.by_driver:
            found = [d for d in plan.live if field.names(d)]
            try:
                warnings += await _change_live(vm, field, plan)
                applied += found
            except errors.GaoError as exc:
                failed += found
                warnings.append(f"{field.word}: not changed in the running VM: {exc}")
        if failed:
            await _tell_failed(vm, failed)
        if plan.by_driver:
            await _write_copies(vm)
    if plan.soon:
        name = f"vm {vm.name}: live change"
        vm.fleet.background(name, _once_it_answers(vm, whole=whole))
    return Outcome(
        changed=changed,
        applied=tuple(applied),
        staged=(*staged, *failed),
        restart_required=plan.restart_required or bool(failed),
        running=plan.running,
        replaced=replaced,
        warnings=tuple(warnings),
    )


def _check_size(record: records.VmRecord, plan: planning.Plan) -> list[str]:
    """Return warnings about a new size; an unchanged size is checked at the VM's next start."""
    wanted, now = plan.wanted, record.pending or record.spec
    if (wanted.memory, wanted.processors) == (now.memory, now.processors):
        return []
    return room.check(wanted)


async def _once_it_answers(vm: machine.Machine, *, whole: bool) -> None:
    """Once a booting guest answers, bring into it what a running guest can take."""

    def decided() -> bool:
        return not planning.is_on_its_way(vm.record) or _gone(vm)

    await vm.until(decided)
    runs = vm.state.observed is states.Observed.RUNNING
    if runs and vm.record.pending is not None and not _gone(vm):
        await change(vm, planning.Layers, whole=whole)


async def apply_pending(vm: machine.Machine) -> None:
    """Bring what waits into force; called at the beginning of each start, with ``serial`` held."""
    if vm.record.pending is None:
        vm.fleet.background(f"vm {vm.name}: config files", check(vm))
        return
    async with vm.config:
        await _take_pending(vm)
        await _write_copies(vm)


async def take_scripts(vm: machine.Machine) -> None:
    """Bring waiting scripts and probes into force in a running VM, in order to run them again."""
    async with vm.config:
        await _take_scripts(vm)
        await _write_copies(vm)


@steps.step
async def _take_scripts(vm: machine.Machine) -> None:
    before, pending = vm.record.spec, vm.record.pending
    if pending is None:
        return
    spec = diff.take(before, pending, lambda field: field.path in _SCRIPTS)
    done = not diff.differing(spec, pending)
    written = vm.update(spec=spec, pending=None if done else pending)
    if found := diff.differences(before, spec):
        _tell_updated(vm, found, running=True)
    await written


async def check_all(fleet: Fleet) -> None:
    """Call ``check`` for every VM; log what cannot be read or written."""
    for vm in list(fleet.machines.values()):
        await tasks.guard(f"vm {vm.name}: config files", check(vm))


async def check(vm: machine.Machine) -> None:
    """Make the copies match the database; put damaged ones aside and report them."""
    async with vm.config:
        if _gone(vm):
            return
        await _mend(vm, copies.CONFIG, vm.record.spec)
        await _mend(vm, copies.PENDING, vm.record.pending)


def _gone(vm: machine.Machine) -> bool:
    known = vm.fleet.knows(vm)
    return not known or vm.record.deleting


def _says_something(vm: machine.Machine, plan: planning.Plan) -> bool:
    """Whether the record would show the change."""
    return any(getattr(vm.record, name) != value for name, value in _layers(plan).items())


def _layers(plan: planning.Plan) -> dict[str, Any]:
    """Return the fields of the record that a change writes."""
    return {
        "spec": plan.spec,
        "base": plan.base,
        "overrides": plan.overrides,
        "pending": plan.pending,
        "config_path": plan.config_path,
        "approved": plan.approved,
    }


@steps.step
async def _record(vm: machine.Machine, plan: planning.Plan) -> None:
    before = vm.record
    written = vm.update(**_layers(plan))
    # In the same turn of the loop, and therefore in the same transaction.
    if plan.now:
        _tell_updated(vm, plan.now, running=plan.running)
    if plan.staged and (plan.whole or list(plan.staged) != _waiting(before)):
        replaced, restart = before.pending is not None, plan.restart_required
        _tell_pending(vm, plan.staged, replaced=replaced, restart=restart)
    elif before.pending is not None and plan.pending is None and plan.running:
        vm.fleet.events.tell(vm.name, payloads.ConfigDiscarded())
    await written


def _waiting(record: records.VmRecord) -> list[diff.Difference]:
    """Return the differences that wait for the next start."""
    return [] if record.pending is None else diff.differences(record.spec, record.pending)


@steps.step
async def _take_pending(vm: machine.Machine) -> None:
    pending = vm.record.pending
    if pending is None:
        return
    fields = tuple(found.field for found in _waiting(vm.record))
    written = vm.update(spec=pending, pending=None)
    vm.fleet.events.tell(vm.name, payloads.ConfigApplied(fields=fields))
    await written


async def _write_copies(vm: machine.Machine) -> None:
    try:
        await _write_config(vm)
        if vm.record.pending is None:
            await _remove_pending(vm)
        else:
            await _write_pending(vm)
    except errors.HostError as exc:
        # The database has the change; the next check of the files corrects them.
        logger.warning("vm %s: %s", vm.name, exc, extra={"vm": vm.name})


@steps.step
async def _write_config(vm: machine.Machine) -> None:
    await _mend(vm, copies.CONFIG, vm.record.spec)


@steps.step
async def _write_pending(vm: machine.Machine) -> None:
    await _mend(vm, copies.PENDING, vm.record.pending)


@steps.step
async def _remove_pending(vm: machine.Machine) -> None:
    await _mend(vm, copies.PENDING, None)


async def _mend(vm: machine.Machine, name: str, spec: VmSpec | None) -> None:
    """Make one copy match the database; report a damaged one."""
    if _gone(vm):
        return
    path = vm.fleet.paths.vm_dir(vm.name) / name
    kept = await asyncio.to_thread(copies.mend, path, spec)
    if kept is not None:
        damage = copies.damaged(path, kept)
        logger.warning("vm %s: %s", vm.name, damage, extra={"vm": vm.name})
        payload = payloads.ConfigQuarantined(file=str(path), kept=str(kept), message=damage.message)
        vm.fleet.events.tell(vm.name, payload)


@steps.step
async def _change_live(vm: machine.Machine, field: diff.Field, plan: planning.Plan) -> list[str]:
    """Change one field in the running VM; return warnings.

    Raises:
        errors.GaoError: it could not be changed and waits for the next start.
    """
    warnings = await live.CHANGES[field.path](vm, plan.wanted)
    record = vm.record
    if record.pending is not None:  # else a start came meanwhile and has applied it
        spec = diff.with_values(record.spec, {field.path: diff.value(plan.wanted, field.path)})
        done = not diff.differing(spec, record.pending)
        written = vm.update(spec=spec, pending=None if done else record.pending)
        found = diff.differences(record.spec, spec)
        _tell_updated(vm, found, running=True)
        await written
    return warnings


@steps.step
async def _tell_failed(vm: machine.Machine, failed: list[diff.Difference]) -> None:
    _tell_pending(vm, failed, replaced=False)


def _tell_updated(vm: machine.Machine, found: Iterable[diff.Difference], *, running: bool) -> None:
    payload = payloads.ConfigUpdated(
        fields=tuple(difference.field for difference in found),
        restart_required=any(difference.restart for difference in found),
        applied=True,
        while_running=running,
    )
    vm.fleet.events.tell(vm.name, payload)


def _tell_pending(
    vm: machine.Machine,
    found: Iterable[diff.Difference],
    *,
    replaced: bool,
    restart: bool = True,
) -> None:
    payload = payloads.ConfigStaged(
        fields=tuple(difference.field for difference in found),
        replaced=replaced,
        restart_required=restart,
    )
    vm.fleet.events.tell(vm.name, payload)
