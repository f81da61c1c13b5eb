"""Changes of a VM's config: in force at once where they can be, else at the next start.

In this order, each a step that a crash may follow:

1. What is wanted is written to the database, with the events that tell of it, in one transaction.
   From here on it will come into force, whatever happens.
2. The mirrors are written, which are only copies.
3. What the driver can change in the running VM it changes. Until that is done it stands in
   ``pending`` like everything else, so a change that fails or is cut short comes at the next start.

At a start, ``pending`` becomes ``spec`` in one transaction, before anything is made for the VM.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from gaovm import errors
from gaovm.aio import steps
from gaovm.daemon import machine
from gaovm.daemon.config import foresight, live, mirrors, room
from gaovm.daemon.storage import records
from gaovm.model import states
from gaovm.spec import diff, vm

logger = logging.getLogger(__name__)

#: What a VM that runs can take because its scripts are run again.
_SCRIPTS = ("guest.provision", "guest.probes")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a change did. ``changed``: the record is another; ``replaced``: something waited."""

    changed: bool
    applied: tuple[diff.Difference, ...]
    staged: tuple[diff.Difference, ...]
    restart_required: bool
    running: bool
    replaced: bool
    warnings: tuple[str, ...]


async def change(
    subject: machine.Machine,
    make: Callable[[], foresight.Layers],
    *,
    whole: bool = False,
) -> Outcome:
    """Bring layers into force; ``make`` is called when it is this change's turn.

    Raises:
        errors.ConfigError, errors.DiskShrink: the layers are wrong, or the VM would not fit on
            this host; nothing changed.
        errors.DiskFull, errors.StateCorrupt: the database could not be written.
    """
    async with subject.config:
        plan = foresight.work_out(subject.record, make(), whole=whole)
        fits = _check_size(subject.record, plan)
        replaced = subject.record.pending is not None
        changed = _says_something(subject, plan)
        if changed or (whole and plan.staged):
            await _record(subject, plan)
            await _mirror(subject)
        applied, staged, warnings = list(plan.now), list(plan.staged), [*plan.warnings, *fits]
        failed: list[diff.Difference] = []
        for field in plan.by_driver:
            found = [d for d in plan.live if field.names(d)]
            try:
                warnings += await _change_live(subject, field, plan)
                applied += found
            except errors.GaoError as exc:
                failed += found
                warnings.append(f"{field.word}: not changed in the running VM: {exc}")
        if failed:
            await _tell_failed(subject, failed)
        if plan.by_driver:
            await _mirror(subject)
    if plan.soon:
        name = f"vm {subject.name}: live change"
        subject.hub.background(name, _once_it_answers(subject, whole=whole))
    return Outcome(
        changed=changed,
        applied=tuple(applied),
        staged=(*staged, *failed),
        restart_required=plan.restart_required or bool(failed),
        running=plan.running,
        replaced=replaced,
        warnings=tuple(warnings),
    )


def _check_size(record: records.VmRecord, plan: foresight.Plan) -> list[str]:
    """What is to be said of another size; of one that stays its next start says it."""
    wanted, now = plan.wanted, record.pending or record.spec
    if (wanted.memory, wanted.processors) == (now.memory, now.processors):
        return []
    return room.check(wanted)


async def _once_it_answers(subject: machine.Machine, *, whole: bool) -> None:
    """Bring into a guest that boots what can be brought into one that runs."""

    def decided() -> bool:
        return not foresight.is_on_its_way(subject.record) or _gone(subject)

    await subject.until(decided)
    runs = subject.state.observed is states.Observed.RUNNING
    if runs and subject.record.pending is not None and not _gone(subject):
        await change(subject, foresight.Layers, whole=whole)


async def apply_pending(subject: machine.Machine) -> None:
    """Bring what waits into force; called at the beginning of each start, with ``serial`` held."""
    if subject.record.pending is None:
        subject.hub.background(f"vm {subject.name}: config files", check(subject))
        return
    async with subject.config:
        await _take_pending(subject)
        await _mirror(subject)


async def take_scripts(subject: machine.Machine) -> None:
    """Bring scripts and probes that wait into force in a VM that runs; for running them again."""
    async with subject.config:
        await _take_scripts(subject)
        await _mirror(subject)


@steps.step
async def _take_scripts(subject: machine.Machine) -> None:
    before, pending = subject.record.spec, subject.record.pending
    if pending is None:
        return
    spec = diff.take(before, pending, lambda field: field.path in _SCRIPTS)
    done = not diff.differing(spec, pending)
    written = subject.update(spec=spec, pending=None if done else pending)
    if found := diff.differences(before, spec):
        _tell_updated(subject, found, running=True)
    await written


async def check_all(hub: machine.Hub) -> None:
    """As ``check``, for every VM; what cannot be read or written is logged."""
    for subject in list(hub.machines.values()):
        await machine.guard(f"vm {subject.name}: config files", check(subject))


async def check(subject: machine.Machine) -> None:
    """Make the mirrors say what the database says; damaged ones are put aside and named."""
    async with subject.config:
        if _gone(subject):
            return
        await _mend(subject, mirrors.CONFIG, subject.record.spec)
        await _mend(subject, mirrors.PENDING, subject.record.pending)


def _gone(subject: machine.Machine) -> bool:
    known = subject.hub.machines.get(subject.name) is subject
    return not known or subject.record.deleting


def _says_something(subject: machine.Machine, plan: foresight.Plan) -> bool:
    """Whether the change would be seen in the record."""
    return any(getattr(subject.record, name) != value for name, value in _layers(plan).items())


def _layers(plan: foresight.Plan) -> dict[str, Any]:
    """The fields of the record that a change writes."""
    return {
        "spec": plan.spec,
        "base": plan.base,
        "overrides": plan.overrides,
        "pending": plan.pending,
        "config_path": plan.config_path,
        "approved": plan.approved,
    }


@steps.step
async def _record(subject: machine.Machine, plan: foresight.Plan) -> None:
    before = subject.record
    written = subject.update(**_layers(plan))
    # In the same turn of the loop, so in the same transaction.
    if plan.now:
        _tell_updated(subject, plan.now, running=plan.running)
    if plan.staged and (plan.whole or list(plan.staged) != _waiting(before)):
        replaced, restart = before.pending is not None, plan.restart_required
        _tell_pending(subject, plan.staged, replaced=replaced, restart=restart)
    elif before.pending is not None and plan.pending is None and plan.running:
        subject.hub.events.emit("config.pending_discarded", subject.name, {})
    await written


def _waiting(record: records.VmRecord) -> list[diff.Difference]:
    """What waits for the next start."""
    return [] if record.pending is None else diff.differences(record.spec, record.pending)


@steps.step
async def _take_pending(subject: machine.Machine) -> None:
    pending = subject.record.pending
    if pending is None:
        return
    fields = [found.field for found in _waiting(subject.record)]
    written = subject.update(spec=pending, pending=None)
    subject.hub.events.emit("config.pending_applied", subject.name, {"fields": fields})
    await written


async def _mirror(subject: machine.Machine) -> None:
    try:
        await _write_config(subject)
        if subject.record.pending is None:
            await _remove_pending(subject)
        else:
            await _write_pending(subject)
    except errors.HostError as exc:
        # The database has it; the next look at the files makes them follow.
        logger.warning("vm %s: %s", subject.name, exc, extra={"vm": subject.name})


@steps.step
async def _write_config(subject: machine.Machine) -> None:
    await _mend(subject, mirrors.CONFIG, subject.record.spec)


@steps.step
async def _write_pending(subject: machine.Machine) -> None:
    await _mend(subject, mirrors.PENDING, subject.record.pending)


@steps.step
async def _remove_pending(subject: machine.Machine) -> None:
    await _mend(subject, mirrors.PENDING, None)


async def _mend(subject: machine.Machine, name: str, spec: vm.VmSpec | None) -> None:
    """Make one mirror say what it must; a damaged one is named."""
    if _gone(subject):
        return
    path = subject.hub.paths.vm_dir(subject.name) / name
    kept = await asyncio.to_thread(mirrors.mend, path, spec)
    if kept is not None:
        damage = mirrors.damaged(path, kept)
        logger.warning("vm %s: %s", subject.name, damage, extra={"vm": subject.name})
        payload = {"file": str(path), "kept": str(kept), "message": damage.message}
        subject.hub.events.emit("config.quarantined", subject.name, payload)


@steps.step
async def _change_live(
    subject: machine.Machine, field: diff.Field, plan: foresight.Plan
) -> list[str]:
    """One field in the running VM; what went less well than it should.

    Raises:
        errors.GaoError: it could not be changed and waits for the next start.
    """
    warnings = await live.CHANGES[field.path](subject, plan.wanted)
    record = subject.record
    if record.pending is not None:  # else a start that came meanwhile has taken it
        spec = diff.with_values(record.spec, {field.path: diff.value(plan.wanted, field.path)})
        done = not diff.differing(spec, record.pending)
        written = subject.update(spec=spec, pending=None if done else record.pending)
        found = diff.differences(record.spec, spec)
        _tell_updated(subject, found, running=True)
        await written
    return warnings


@steps.step
async def _tell_failed(subject: machine.Machine, failed: list[diff.Difference]) -> None:
    _tell_pending(subject, failed, replaced=False)


def _tell_updated(
    subject: machine.Machine, found: Iterable[diff.Difference], *, running: bool
) -> None:
    payload: dict[str, Any] = {
        "fields": [difference.field for difference in found],
        "restart_required": any(difference.restart for difference in found),
        "applied": True,
        "while_running": running,
    }
    subject.hub.events.emit("config.updated", subject.name, payload)


def _tell_pending(
    subject: machine.Machine,
    found: Iterable[diff.Difference],
    *,
    replaced: bool,
    restart: bool = True,
) -> None:
    kind = "event.pending_config_replaced" if replaced else "event.pending_config_written"
    fields = [difference.field for difference in found]
    subject.hub.events.emit(kind, subject.name, {"fields": fields, "restart_required": restart})
