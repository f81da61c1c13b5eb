"""``vm.config.*``: change a VM's config, show what waits, say beforehand what would happen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon import configs, context, machine, params, status
from gaovm.daemon.config import foresight, room, staging
from gaovm.daemon.storage import records
from gaovm.model import states
from gaovm.spec import diff as differing


async def change(ctx: context.Context, call: context.Call, args: params.ConfigSet) -> Any:
    """Change the override layer: at once where it can be, else at the next start.

    Goes on when the caller goes away.
    """
    subject = ctx.find(args.name)
    if not args.changes and not args.discard:
        raise errors.InvalidParams("vm.config.set: nothing to change", field="changes")
    kept: list[str] = []

    def make() -> foresight.Layers:
        layers, warnings = _layers(subject.record, args.changes, discard=args.discard)
        kept.extend(warnings)
        return layers

    work = staging.change(subject, make)
    outcome = await ctx.to_its_end(f"vm {args.name}: config", work)
    return {
        "vm": status.vm_status(subject),
        "applied": _plain(outcome.applied),
        "staged": _plain(outcome.staged),
        "running": outcome.running,
        "restart_required": bool(outcome.staged),
        "pending_replaced": outcome.replaced and bool(outcome.staged),
        "overrides": subject.record.overrides,
        "warnings": [*kept, *outcome.warnings],
    }


async def diff(ctx: context.Context, call: context.Call, args: params.ConfigDiff) -> Any:
    """What the next start changes, and what the project file asks for beyond that."""
    subject = ctx.find(args.name)
    wanted: configs.Wanted | None = None
    if args.project is not None:
        asked = msgspec.structs.replace(args.project, name=subject.name)
        wanted = await ctx.load_config(asked, ctx.hub.paths)
    record = subject.record
    coming = record.pending or record.spec
    file: list[differing.Difference] | None = None
    warnings: tuple[str, ...] = ()
    if wanted is not None:
        warnings = wanted.warnings
        file = differing.differences(coming, foresight.combine(wanted.spec, record.overrides))
    return {
        "name": record.name,
        "state": subject.describe()[0],
        "running": record.state.observed not in states.AT_REST,
        "pending": _plain(differing.differences(record.spec, coming)),
        "file": None if file is None else _plain(file),
        "overrides": record.overrides,
        "warnings": list(warnings),
    }


async def plan(ctx: context.Context, call: context.Call, args: params.ConfigPlan) -> Any:
    """What a ``set``, an ``up`` or a start would do; does nothing."""
    warnings: list[str] = []
    layers = foresight.Layers()
    if args.changes is None and not args.discard and args.project is not None:
        asked = msgspec.structs.replace(args.project, name=args.name)
        wanted = await ctx.load_config(asked, ctx.hub.paths)
        warnings += wanted.warnings
        if args.name not in ctx.hub.machines:
            return _nothing_yet(args.name, [*warnings, *room.check(wanted.spec)])
        layers = foresight.Layers(base=wanted.spec, config_path=wanted.config_path)
    subject = ctx.find(args.name)
    if args.changes is not None or args.discard:
        layers, kept = _layers(subject.record, args.changes or {}, discard=args.discard)
        warnings += kept
    found = foresight.work_out(subject.record, layers)
    return _foreseen(subject, found, [*warnings, *room.check(found.wanted)])


def _nothing_yet(name: str, warnings: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "exists": False,
        "running": False,
        "now": [],
        "next_start": [],
        "restart_required": False,
        "warnings": warnings,
    }


def _foreseen(
    subject: machine.Machine, found: foresight.Plan, warnings: list[str]
) -> dict[str, Any]:
    return {
        "name": subject.name,
        "exists": True,
        "running": found.running,
        "now": _plain((*found.now, *found.live)),
        "next_start": _plain(found.staged),
        "restart_required": found.running and found.restart_required,
        "warnings": [*warnings, *found.warnings],
    }


def _layers(
    record: records.VmRecord, changes: dict[str, Any], *, discard: bool
) -> tuple[foresight.Layers, list[str]]:
    present, warnings = foresight.without_layer(record) if discard else (record.overrides, [])
    overrides = foresight.with_changes(present, changes)
    return foresight.Layers(overrides=overrides), warnings


def _plain(found: Iterable[differing.Difference]) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(difference) for difference in found]
