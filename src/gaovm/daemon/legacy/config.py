"""The one config of old clients: read from our specs, written as our override layer.

Their defaults are the project file. ``set`` writes a whole config there: what it leaves out returns
to the project file's value. ``patch`` changes what it names. Their form has values that a spec
cannot hold (another kernel file, another disk file); these are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from gaovm import errors
from gaovm.daemon.config import changes, planning
from gaovm.daemon.dispatch import context
from gaovm.daemon.legacy import vms
from gaovm.daemon.vms import machine
from gaovm.spec.vm import VmSpec
from gaovm.wire import convert

_MIB = 1 << 20
_Unset = msgspec.UnsetType
_UNSET = msgspec.UNSET
_Side = Annotated[int, msgspec.Meta(ge=64)]


class _Boot(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    loader: Literal["linux", "auto"] | _Unset = _UNSET
    kernel_path: str | _Unset | None = _UNSET
    initrd_path: str | _Unset | None = _UNSET
    command_line: str | _Unset | None = _UNSET


class _Disk(msgspec.Struct, forbid_unknown_fields=True):
    path: str | _Unset | None = _UNSET
    size: Annotated[int, msgspec.Meta(ge=64)] | _Unset | None = msgspec.field(
        default=_UNSET, name="sizeMiB"
    )


class _Network(msgspec.Struct, forbid_unknown_fields=True):
    mode: Literal["shared"] | _Unset = _UNSET


class _Graphics(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool | _Unset = _UNSET
    width: _Side | _Unset = _UNSET
    height: _Side | _Unset = _UNSET


class _Config(msgspec.Struct, forbid_unknown_fields=True):
    """Their config; what a client leaves out is unset."""

    cpu: Annotated[int, msgspec.Meta(ge=1)] | _Unset = _UNSET
    memory: Annotated[int, msgspec.Meta(ge=128 * _MIB)] | _Unset = _UNSET
    boot: _Boot = msgspec.field(default_factory=_Boot)
    disk: _Disk = msgspec.field(default_factory=_Disk)
    network: _Network = msgspec.field(default_factory=_Network)
    graphics: _Graphics = msgspec.field(default_factory=_Graphics)


class _Set(msgspec.Struct, forbid_unknown_fields=True):
    config: _Config
    id: str = vms.VM_ID


class _Patch(msgspec.Struct, forbid_unknown_fields=True):
    patch: _Config
    id: str = vms.VM_ID


#: The words of our layer that a whole old config decides; the others stay as they are.
_WORDS = frozenset(
    ("cpus", "memory", "disk", "cmdline", "graphics.enabled", "graphics.width", "graphics.height")
)


async def get(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """Return the current and the pending config."""
    vm = vms.machine_of(ctx)
    return {**_both(vm), "hasPending": vm.record.pending is not None}


async def replace(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """``vm.config.set``.

    Raises:
        errors.InvalidParams: a value is wrong, unknown, or not possible; nothing changed.
    """
    config = convert.decode(_Set, "vm.config.set", data).config
    vm = vms.machine_of(ctx)

    def make() -> planning.Layers:
        record = vm.record
        kept = {word: value for word, value in record.overrides.items() if word not in _WORDS}
        disk, _ = planning.without_layer(record)  # a disk that has grown keeps its size
        return planning.Layers(overrides=_merged({**kept, **disk}, _words(vm, config)))

    return await _change(ctx, vm, make)


async def patch(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """``vm.config.patch``.

    Raises:
        errors.InvalidParams: see ``replace``.
    """
    config = convert.decode(_Patch, "vm.config.patch", data).patch
    vm = vms.machine_of(ctx)
    source: list[str] = []

    def make() -> planning.Layers:
        record = vm.record
        source.append("current" if record.pending is None else "pending")
        return planning.Layers(overrides=_merged(record.overrides, _words(vm, config)))

    result = await _change(ctx, vm, make)
    return {**result, "patchedFrom": source[0]}


async def _change(ctx: context.Daemon, vm: machine.Machine, make: Any) -> dict[str, Any]:
    # Their config is one unit: if a part must wait, all of it waits.
    work = changes.change(vm, make, whole=True)
    try:
        outcome = await ctx.to_its_end(f"vm {vm.name}: config", work)
    except (errors.ConfigError, errors.DiskShrink) as exc:
        raise errors.InvalidParams(exc.message, field=exc.field) from exc
    if outcome.staged:
        return {
            "applied": False,
            # false for a disk that grows as soon as the booting guest answers
            "restartRequired": outcome.restart_required,
            "pendingReplaced": outcome.replaced,
            **_both(vm),
        }
    return {"applied": True, "restartRequired": outcome.restart_required, **_both(vm)}


def _words(vm: machine.Machine, config: _Config) -> dict[str, Any]:
    """Return the overrides that mean what an old config says.

    Raises:
        errors.InvalidParams: it asks for something that a spec cannot hold.
    """
    _check(vm, config)
    base = vm.record.base or vm.record.spec
    said: Mapping[str, Any] = {
        "cpus": config.cpu,
        "memory": _UNSET if config.memory is _UNSET else f"{config.memory}B",
        "disk": f"{config.disk.size * _MIB}B" if isinstance(config.disk.size, int) else _UNSET,
        "graphics.enabled": config.graphics.enabled,
        "graphics.width": config.graphics.width,
        "graphics.height": config.graphics.height,
    }
    words = {word: value for word, value in said.items() if value is not _UNSET}
    arguments = config.boot.command_line
    if arguments is not _UNSET:
        # null means no argument, even if the project file has some
        same = (arguments or "") == base.boot.extra_arguments
        words["cmdline"] = None if same else arguments or ""
    return words


def _merged(present: Mapping[str, Any], words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the layer with other words; None removes a word."""
    after = {**present, **words}
    return {word: value for word, value in after.items() if value is not None}


def _check(vm: machine.Machine, config: _Config) -> None:
    for field, given in (
        ("boot.kernelPath", config.boot.kernel_path),
        ("boot.initrdPath", config.boot.initrd_path),
    ):
        if given not in (_UNSET, None):
            raise errors.InvalidParams(
                f"{field}: a VM boots the kernel of its image; expected null, or another image in "
                "the project file (images[].kernel)",
                field=field,
            )
    disk = disk_path(vm)
    if config.disk.path not in (_UNSET, None, disk):
        raise errors.InvalidParams(
            f"disk.path: the disk of a VM lies in its own directory; expected null or {disk}",
            field="disk.path",
        )


def _both(vm: machine.Machine) -> dict[str, Any]:
    record, disk = vm.record, disk_path(vm)
    pending = None if record.pending is None else of_spec(record.pending, disk)
    return {"current": of_spec(record.spec, disk), "pending": pending}


def disk_path(vm: machine.Machine) -> str:
    """Return where the VM's disk lies."""
    return str(vm.fleet.paths.vm_dir(vm.name) / "disk.qcow2")


def of_spec(spec: VmSpec, disk: str) -> dict[str, Any]:
    """Return a spec in the old form."""
    graphics = spec.graphics
    return {
        "cpu": spec.processors.count,
        "memory": spec.memory.size_bytes,
        "boot": {
            "loader": "linux",
            "kernelPath": None,
            "initrdPath": None,
            "commandLine": spec.boot.extra_arguments or None,
        },
        "disk": {"path": disk, "sizeMiB": spec.disk.size_bytes // _MIB},
        "network": {"mode": "shared"},
        "graphics": {
            "enabled": graphics.enabled,
            "width": graphics.width,
            "height": graphics.height,
        },
    }
