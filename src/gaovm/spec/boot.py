"""How the VM starts: machine type, accelerator, kernel flavour, extra kernel arguments."""

from __future__ import annotations

from typing import Literal

from gaovm.spec.base import Frozen

Arch = Literal["x86_64", "aarch64"]
MachineType = Literal["auto", "q35", "virt", "microvm"]
Accelerator = Literal["auto", "kvm", "hvf", "tcg"]
KernelFlavour = Literal["generic", "cloud"]


class Boot(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Boot choices. For ``auto``, the builder decides from host facts; status shows the decision.

    ``backend`` is a name in the table of back ends; "" means the default one. ``minimum_version``
    is the oldest version of its hypervisor that will do, such as ``8.2.1``.
    """

    arch: Arch = "x86_64"
    machine: MachineType = "auto"
    accelerator: Accelerator = "auto"
    kernel: KernelFlavour = "generic"
    extra_arguments: str = ""
    backend: str = ""
    minimum_version: str = ""
