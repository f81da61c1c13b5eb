"""``vmType``, ``os``, ``arch`` and ``vmOpts.gaovm`` -> ``spec.boot``."""

from __future__ import annotations

from typing import cast, get_args

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.project.problems import Findings
from gaovm.project.sections import processors
from gaovm.spec import boot as spec_boot
from gaovm.spec.boot import Boot


def read(root: nodes.Table, context: Context) -> Boot:
    """Read the boot choices; each choice that the file leaves open stays ``auto``."""
    found = context.found
    vm_type = fields.scalar(root, "vmType")
    if vm_type is not None and vm_type.text == "vz":
        found.warning(vm_type, "this host has no vz; QEMU is used")
    elif vm_type is not None and vm_type.text not in ("qemu", "default", ""):
        what = f"{vm_type.text} is not supported; use qemu, or leave it out"
        found.problem(vm_type, what, remedy="write vmType: qemu, or take it out")
    guest_os = fields.scalar(root, "os")
    if guest_os is not None and guest_os.text not in ("Linux", "default", ""):
        what = f"only Linux guests are supported, found {guest_os.text}"
        found.problem(guest_os, what, remedy="use Lima for this guest, or an image of Linux")
    arch = fields.word(root, "arch", get_args(spec_boot.Arch), found) or context.host.arch
    own = fields.table(fields.table(root, "vmOpts"), "gaovm")
    machine = fields.word(own, "machine", get_args(spec_boot.MachineType), found)
    if machine in ("q35", "microvm") and arch != "x86_64":
        _unfit(own, f"machine {machine} needs arch x86_64", found)
    if machine == "virt" and arch != "aarch64":
        _unfit(own, "machine virt needs arch aarch64", found)
    accel = fields.word(own, "accel", get_args(spec_boot.Accelerator), found)
    kernel = fields.word(own, "kernel", get_args(spec_boot.KernelFlavour), found)
    return Boot(
        arch=cast("spec_boot.Arch", arch),
        machine=cast("spec_boot.MachineType", machine or "auto"),
        accelerator=cast("spec_boot.Accelerator", accel or "auto"),
        kernel=cast("spec_boot.KernelFlavour", kernel or "generic"),
        minimum_version=processors.read_minimum_version(root, context),
        extra_arguments=fields.arguments(own, "cmdline", found),
    )


def _unfit(own: nodes.Table, message: str, found: Findings) -> None:
    remedy = "take machine out: one that fits is chosen"
    found.problem(own, message, path=fields.below(own, "machine"), remedy=remedy)
