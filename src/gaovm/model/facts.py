"""What the host offers, as data: ``hostfacts`` collects it, ``builder`` decides with it."""

from __future__ import annotations

from typing import Literal

import msgspec

from gaovm.spec.base import Frozen
from gaovm.spec.boot import Arch


class AcceleratorFact(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether an accelerator works here, as found by running code in it, and why (not)."""

    name: Literal["kvm", "hvf"]
    usable: bool
    reason: str


class VirtiofsdFact(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A virtiofsd that was found. The two flavours take different options.

    ``c`` is the older one, written in C, which runs as root only; ``rust`` its successor.
    """

    path: str
    flavour: Literal["c", "rust"]
    usable: bool
    reason: str


class PasstFact(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A passt that was found: it carries a guest's network outside the hypervisor."""

    path: str
    usable: bool
    reason: str


class HostFacts(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The facts a document depends on. ``programs`` has each that was found: its path, by name."""

    arch: Arch
    system: Literal["linux", "darwin"] = "linux"
    root: bool = False
    cpus: int = 1
    memory_total_bytes: int = 0
    memory_available_bytes: int = 0
    boot_id: str = ""
    accelerators: tuple[AcceleratorFact, ...] = ()
    #: The rate of the time stamp counter in kHz, where there is one and it is known.
    tsc_khz: int | None = None
    programs: dict[str, str] = msgspec.field(default_factory=dict)
    #: Whether memory that virtiofsd maps too can be had in huge pages: ``platform.huge_pages``.
    huge_shared_memory: bool = False
    virtiofsd: VirtiofsdFact | None = None
    virtiofsd_missing: str = "no virtiofsd is installed"
    passt: PasstFact | None = None
