"""``vm.config.*``: change a VM's config, compare it, predict a change."""

from __future__ import annotations

import msgspec

from gaovm.spec.diff import Difference
from gaovm.wire import anyjson
from gaovm.wire.control.bounds import Changes
from gaovm.wire.control.status import VmStatus
from gaovm.wire.control.target import OfVm
from gaovm.wire.control.vms import Up


class Set(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``changes``: words to values, null takes one away; ``discard`` first drops all overrides."""

    changes: Changes = msgspec.field(default_factory=dict)
    discard: bool = False


class Diff(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With ``project`` the daemon compares the project file as it is now, too."""

    project: Up | None = None


class Plan(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to predict: ``changes``; with ``project``, an ``up``; with neither, a start."""

    changes: Changes | None = None
    discard: bool = False
    project: Up | None = None


class SetResult(msgspec.Struct, frozen=True, kw_only=True):
    """What changed at once (``applied``), and what waits for the next start (``staged``).

    ``pending_replaced``: another change waited already, and this one replaced it.
    """

    vm: VmStatus
    applied: tuple[Difference, ...]
    staged: tuple[Difference, ...]
    running: bool
    restart_required: bool
    pending_replaced: bool
    overrides: anyjson.Object
    warnings: tuple[str, ...]


class DiffResult(msgspec.Struct, frozen=True, kw_only=True):
    """``pending``: what the next start changes; ``file``: what the project file asks for beyond.

    ``file`` is null when the caller gave no project.
    """

    name: str
    state: str
    running: bool
    pending: tuple[Difference, ...]
    file: tuple[Difference, ...] | None
    overrides: anyjson.Object
    warnings: tuple[str, ...]


class PlanResult(msgspec.Struct, frozen=True, kw_only=True):
    """What would change at once (``now``) and what at the next start; nothing has changed.

    ``exists`` false: there is no such VM yet, an ``up`` would make it.
    """

    name: str
    exists: bool
    running: bool
    now: tuple[Difference, ...]
    next_start: tuple[Difference, ...]
    restart_required: bool
    warnings: tuple[str, ...]
