"""A project file reaches no further on this machine than a person has approved.

The file is in a directory that the guest can write, so the daemon never trusts it. Each time it
reads the file, and again at each start, it compares what the file asks for beyond its project and
loopback (``spec.reach``) with the last approval in the row: a link may lead elsewhere by then.
What a person says on the command line (``gaovm set``, ``gaovm port add``) is in other layers of
the config and needs no other approval.
"""

from __future__ import annotations

import hashlib
import os

import msgspec

from gaovm import errors
from gaovm.daemon.storage import records
from gaovm.daemon.vms import lookups, machine, project_file
from gaovm.daemon.vms.fleet import Fleet
from gaovm.spec import reach
from gaovm.spec.vm import VmSpec
from gaovm.wire.control import vms

#: A longer text is kept and compared, but not sent along to be shown.
_SHOWN_BYTES = 64 << 10


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a file asks for. ``project``: the real path of the project's directory.

    ``base``: what the row's own file reaches now, for a row that is older than approvals.
    """

    approval: records.Approval
    project: str
    base: tuple[reach.Reach, ...] = ()


async def examine(
    vm: machine.Machine | None, args: vms.ProjectFile, wanted: project_file.Wanted
) -> Asked:
    """Follow the links of what a file asks for. In a thread: a path may lie on a slow server."""
    old = None if vm is None else vm.record.base
    return await lookups.run(_examine, args.config_text, wanted, old)


def _examine(text: str, wanted: project_file.Wanted, old: VmSpec | None) -> Asked:
    reaches = (
        *reach.of(wanted.spec, wanted.project, os.path.realpath),
        *reach.of_files(wanted.outside, os.path.realpath(wanted.project)),
    )
    of_what = msgspec.json.encode([wanted.spec.name, text, reaches])
    digest = "sha256:" + hashlib.sha256(of_what).hexdigest()
    return Asked(
        approval=records.Approval(digest=digest, reaches=reaches),
        project=os.path.realpath(wanted.project),
        base=() if old is None else reach.of(old, wanted.project, os.path.realpath),
    )


async def check(vm: machine.Machine | None, asked: Asked, given: str | None) -> None:
    """Return if the file may have what it asks for: it needs no approval, or ``given`` is one.

    Raises:
        errors.ApprovalNeeded: a person has to approve it first.
    """
    found = _widenings(vm, asked)
    if found and given != asked.approval.digest:
        raise await _needed(vm, asked, found)


def _widenings(vm: machine.Machine | None, asked: Asked) -> tuple[reach.Widening, ...]:
    if vm is None:
        known: tuple[reach.Reach, ...] = reach.BASELINE
    elif vm.record.approved is None:
        known = asked.base or reach.BASELINE
    else:
        known = vm.record.approved.reaches
    return reach.widenings(known, asked.approval.reaches, asked.project)


def keep(fleet: Fleet, name: str, asked: Asked, text: str) -> None:
    """Keep the text that is in force now, to show later what has changed since."""
    known = fleet.machines.get(name)
    before = None if known is None else known.record.approved
    if before is None or before.digest != asked.approval.digest:
        fleet.store.keep_approved(name, asked.approval.digest, text)


async def check_paths(vm: machine.Machine) -> None:
    """Refuse to start a VM whose paths lead elsewhere than was approved.

    Raises:
        errors.ApprovalNeeded: a path does; it has no digest, because there is no file to approve.
    """
    record = vm.record
    if record.approved is None:
        return
    now, project = await lookups.run(_follow, record.spec, record.project)
    paths = [each for each in now if each.kind in reach.PATHS]
    found = reach.widenings(record.approved.reaches, paths, project)
    if found:
        raise errors.ApprovalNeeded(
            f"paths of VM {vm.name} lead elsewhere than when they were approved:" + _lines(found),
            remedy="look at the links in the project; an up asks whether this is meant",
            actions=(errors.Action("make_vm"),),
            details={"widenings": msgspec.to_builtins(list(found)), "first": False},
        )


def _follow(spec: VmSpec, project: str) -> tuple[tuple[reach.Reach, ...], str]:
    return reach.of(spec, project, os.path.realpath), os.path.realpath(project)


async def _needed(
    vm: machine.Machine | None, asked: Asked, found: tuple[reach.Widening, ...]
) -> errors.ApprovalNeeded:
    before = None if vm is None else vm.record.approved
    text = None
    if vm is not None and before is not None:
        text = await vm.fleet.store.approved_text(vm.name, before.digest)
    if text is not None and len(text) > _SHOWN_BYTES:
        text = None
    why = (
        "the project file was changed and reaches further on this machine than was approved:"
        if vm is not None
        else "the project file reaches beyond its project and loopback, and nobody approved that:"
    )
    return errors.ApprovalNeeded(
        why + _lines(found),
        remedy="read the file: a guest can write it",
        actions=(errors.Action("approve_project"),),
        details={
            "digest": asked.approval.digest,
            "first": vm is None,
            "widenings": msgspec.to_builtins(list(found)),
            "approved_text": text,
        },
    )


def _lines(found: tuple[reach.Widening, ...]) -> str:
    return "".join(f"\n  + {each.line()}" for each in found)
