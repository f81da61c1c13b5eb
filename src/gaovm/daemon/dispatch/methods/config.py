"""``vm.config.*``: change a VM's config, show what waits, predict a change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon.config import changes, planning, room
from gaovm.daemon.dispatch import context
from gaovm.daemon.storage import records
from gaovm.daemon.vms import machine, project_file, status
from gaovm.model import states
from gaovm.spec import diff as differing
from gaovm.wire.control import config as wire


async def change(ctx: context.Daemon, call: context.Call, args: wire.Set) -> wire.SetResult:
    """Change the overrides, at once where possible, else at the next start.

    The change goes on when the caller goes away.
    """
    vm = ctx.find(args.name)
    if not args.changes and not args.discard:
        raise errors.InvalidParams("vm.config.set: nothing to change", field="changes")
    kept: list[str] = []

    def make() -> planning.Layers:
        layers, warnings = _layers(vm.record, args.changes, discard=args.discard)
        kept.extend(warnings)
        return layers

    work = changes.change(vm, make)
    outcome = await ctx.to_its_end(f"vm {args.name}: config", work)
    return wire.SetResult(
        vm=status.vm_status(vm),
        applied=outcome.applied,
        staged=outcome.staged,
        running=outcome.running,
        restart_required=bool(outcome.staged),
        pending_replaced=outcome.replaced and bool(outcome.staged),
        overrides=vm.record.overrides,
        warnings=(*kept, *outcome.warnings),
    )


async def diff(ctx: context.Daemon, call: context.Call, args: wire.Diff) -> wire.DiffResult:
    """Tell what the next start changes, and what the project file asks for beyond that."""
    vm = ctx.find(args.name)
    wanted: project_file.Wanted | None = None
    if args.project is not None:
        asked = msgspec.structs.replace(args.project, name=vm.name)
        wanted = await ctx.load_config(asked, ctx.fleet.paths)
    record = vm.record
    coming = record.pending or record.spec
    file: tuple[differing.Difference, ...] | None = None
    warnings: tuple[str, ...] = ()
    if wanted is not None:
        warnings = wanted.warnings
        asked_for = planning.combine(wanted.spec, record.overrides)
        file = tuple(differing.differences(coming, asked_for))
    return wire.DiffResult(
        name=record.name,
        state=vm.describe()[0],
        running=record.state.observed not in states.AT_REST,
        pending=tuple(differing.differences(record.spec, coming)),
        file=file,
        overrides=record.overrides,
        warnings=warnings,
    )


async def plan(ctx: context.Daemon, call: context.Call, args: wire.Plan) -> wire.PlanResult:
    """Tell what a ``set``, an ``up`` or a start would do; changes nothing."""
    warnings: list[str] = []
    layers = planning.Layers()
    if args.changes is None and not args.discard and args.project is not None:
        asked = msgspec.structs.replace(args.project, name=args.name)
        wanted = await ctx.load_config(asked, ctx.fleet.paths)
        warnings += wanted.warnings
        if args.name not in ctx.fleet.machines:
            return _nothing_yet(args.name, [*warnings, *room.check(wanted.spec)])
        layers = planning.Layers(base=wanted.spec, config_path=wanted.config_path)
    vm = ctx.find(args.name)
    if args.changes is not None or args.discard:
        layers, kept = _layers(vm.record, args.changes or {}, discard=args.discard)
        warnings += kept
    found = planning.work_out(vm.record, layers)
    return _foreseen(vm, found, [*warnings, *room.check(found.wanted)])


def _nothing_yet(name: str, warnings: list[str]) -> wire.PlanResult:
    return wire.PlanResult(
        name=name,
        exists=False,
        running=False,
        now=(),
        next_start=(),
        restart_required=False,
        warnings=tuple(warnings),
    )


def _foreseen(vm: machine.Machine, found: planning.Plan, warnings: list[str]) -> wire.PlanResult:
    return wire.PlanResult(
        name=vm.name,
        exists=True,
        running=found.running,
        now=(*found.now, *found.live),
        next_start=found.staged,
        restart_required=found.running and found.restart_required,
        warnings=(*warnings, *found.warnings),
    )


def _layers(
    record: records.VmRecord, wanted: Mapping[str, Any], *, discard: bool
) -> tuple[planning.Layers, list[str]]:
    present, warnings = planning.without_layer(record) if discard else (record.overrides, [])
    overrides = planning.with_changes(present, wanted)
    return planning.Layers(overrides=overrides), warnings
