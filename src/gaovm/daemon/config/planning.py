"""Decide what a change of a VM's config would do, from data alone, before it is done.

A VM's config has two layers: the project file as last read (``base``), and over it the values of
``gaovm set`` (``overrides``). Both together are what is wanted. ``spec`` is what is in force. If
the two differ while the VM runs, each field has its time (``spec.diff``): at once, or at the next
start. Until then it is in ``pending``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon.storage import records
from gaovm.model import states
from gaovm.spec import diff, vm
from gaovm.wire import anyjson

#: The readiness of a VM that is starting: its guest cannot be changed yet.
_TOO_EARLY = (None, states.Readiness.BOOTING)


class Layers(msgspec.Struct, frozen=True, kw_only=True):
    """What a config is made of; None leaves that layer as it is."""

    base: vm.VmSpec | None = None
    overrides: Mapping[str, Any] | None = None
    config_path: str | None = None
    approved: records.Approval | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A change, worked out.

    ``spec`` and ``pending`` are what the record holds right after the change. ``by_driver`` are
    fields of ``pending`` that the driver can change in the running VM, ``soon`` those that it can
    change once the guest answers. ``now``, ``live`` and ``staged`` say the same as differences: in
    force at once, in force when the driver has done it, in force at the next start.
    """

    base: vm.VmSpec
    overrides: anyjson.Object
    config_path: str
    approved: records.Approval | None
    wanted: vm.VmSpec
    spec: vm.VmSpec
    pending: vm.VmSpec | None
    running: bool
    by_driver: tuple[diff.Field, ...]
    soon: tuple[diff.Field, ...]
    now: tuple[diff.Difference, ...]
    live: tuple[diff.Difference, ...]
    staged: tuple[diff.Difference, ...]
    warnings: tuple[str, ...]
    whole: bool

    @property
    def restart_required(self) -> bool:
        """Whether a part of the change can take effect only by a start."""
        return any(found.restart for found in (*self.now, *self.live, *self.staged))


def work_out(record: records.VmRecord, layers: Layers, *, whole: bool = False) -> Plan:
    """Work out the change that brings the layers into force.

    With ``whole`` nothing changes live if something else has to wait for a start.

    Raises:
        errors.ConfigError: an override is wrong.
        errors.DiskShrink: the disk would have to become smaller.
    """
    base = layers.base or record.base or record.spec
    overrides = dict(record.overrides if layers.overrides is None else layers.overrides)
    wanted = combine(base, overrides)
    running = record.state.observed not in states.AT_REST
    _check_disk(record, wanted, running=running)
    spec, pending, by_driver = _split(record, wanted, running=running, whole=whole)
    soon = by_driver if record.state.readiness in _TOO_EARLY else ()
    by_driver = () if soon else by_driver
    reached = diff.take(spec, wanted, lambda field: field in by_driver)
    return Plan(
        base=base,
        overrides=overrides,
        config_path=layers.config_path or record.config_path,
        approved=layers.approved or record.approved,
        wanted=wanted,
        spec=spec,
        pending=pending,
        running=running,
        by_driver=by_driver,
        soon=soon,
        now=tuple(diff.differences(record.spec, spec)),
        live=tuple(diff.differences(spec, reached)),
        staged=tuple(diff.differences(reached, wanted)),
        warnings=tuple(_warnings(record, wanted, soon)),
        whole=whole,
    )


def is_on_its_way(record: records.VmRecord) -> bool:
    """Whether the VM starts or runs and its guest does not answer yet."""
    up = record.state.observed in (states.Observed.STARTING, states.Observed.RUNNING)
    return up and record.state.readiness in _TOO_EARLY


def combine(base: vm.VmSpec, overrides: Mapping[str, Any]) -> vm.VmSpec:
    """Return the base with the overrides over it.

    Raises:
        errors.ConfigError: an override is wrong.
    """
    if not overrides:
        return base
    # This loads the YAML reader; a daemon whose users never set anything does not need it.
    from gaovm.project import overrides as layer

    return layer.apply(base, overrides)


def with_changes(present: Mapping[str, Any], changes: Mapping[str, Any]) -> anyjson.Object:
    """Return the overrides with some changed; remove those that become empty."""
    empty = {word for word, value in changes.items() if value in (None, "")}
    after = {**present, **changes}
    return {word: value for word, value in after.items() if word not in empty}


def without_layer(record: records.VmRecord) -> tuple[anyjson.Object, list[str]]:
    """Return what remains of discarded overrides, and why.

    A disk that has grown cannot shrink, so its size stays.
    """
    base = record.base or record.spec
    if "disk" in record.overrides and record.spec.disk.size_bytes > base.disk.size_bytes:
        return {"disk": record.overrides["disk"]}, [
            "the disk keeps its size: it only grows (a VM that is made again gets a new one)"
        ]
    return {}, []


def _split(
    record: records.VmRecord, wanted: vm.VmSpec, *, running: bool, whole: bool
) -> tuple[vm.VmSpec, vm.VmSpec | None, tuple[diff.Field, ...]]:
    """Return what is in force at once, what waits, and what of that a driver can do."""
    if not running:
        if record.pending is not None and not whole and not diff.differing(record.pending, wanted):
            return record.spec, record.pending, ()  # nothing new: it comes with the start
        return wanted, None, ()
    differing = diff.differing(record.spec, wanted)
    if not differing:
        return record.spec, None, ()
    if whole and any(field.when is diff.When.START for field in differing):
        return record.spec, wanted, ()
    spec = diff.take(record.spec, wanted, lambda field: field.when is diff.When.DAEMON)
    waiting = diff.differing(spec, wanted)
    up = record.state.observed in (states.Observed.STARTING, states.Observed.RUNNING)
    by_driver = tuple(field for field in waiting if up and field.when is diff.When.DRIVER)
    return spec, wanted if waiting else None, by_driver


def _check_disk(record: records.VmRecord, wanted: vm.VmSpec, *, running: bool) -> None:
    now, size = record.spec.disk.size_bytes, wanted.disk.size_bytes
    if size < now and (record.disk_used or running):
        raise errors.DiskShrink(
            f"disk: {size >> 20} MiB is smaller than the disk of VM {record.name} "
            f"({now >> 20} MiB)",
            field="disk",
            remedy="a disk only grows; a VM that is made again gets a new one",
            actions=(errors.Action("destroy_vm", name=record.name), errors.Action("make_vm")),
        )


def _warnings(
    record: records.VmRecord, wanted: vm.VmSpec, soon: tuple[diff.Field, ...]
) -> list[str]:
    now, found = record.spec, []
    if soon:
        words = ", ".join(field.word for field in soon)
        found.append(f"{words}: in force as soon as the guest answers, at the latest at its start")
    if record.disk_used and (wanted.image != now.image or wanted.boot.arch != now.boot.arch):
        found.append(
            "the image has changed; this VM keeps the disk it was made with until it is destroyed"
        )
    return found
