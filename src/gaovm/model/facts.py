"""The host's facts as data: ``hostfacts`` collects them, ``builder`` decides with them."""

from __future__ import annotations

from typing import Literal

import msgspec

from gaovm.spec.base import Frozen
from gaovm.spec.boot import Arch


class AcceleratorFact(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether an accelerator works here, and the reason; the host check runs code in it."""

    name: Literal["kvm", "hvf"]
    usable: bool
    reason: str


class VirtiofsdFact(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A virtiofsd on this host. The two flavours take different options.

    ``c`` is the older one, written in C, which runs only as root; ``rust`` is its successor.
    """

    path: str
    flavour: Literal["c", "rust"]
    usable: bool
    reason: str


class PasstFact(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A passt on this host: it carries a guest's network outside of the hypervisor."""

    path: str
    usable: bool
    reason: str


class UefiFact(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """UEFI firmware for guests: the program, and the variables with which a new VM begins."""

    code: str
    variables: str


class HostFacts(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The facts that a document depends on. ``programs`` maps each found program to its path."""

    arch: Arch
    system: Literal["linux", "darwin"] = "linux"
    root: bool = False
    cpus: int = 1
    memory_total_bytes: int = 0
    memory_available_bytes: int = 0
    boot_id: str = ""
    accelerators: tuple[AcceleratorFact, ...] = ()
    #: The rate of the time stamp counter in kHz; None without a counter or a known rate.
    tsc_khz: int | None = None
    programs: dict[str, str] = msgspec.field(default_factory=dict)
    #: Whether memory shared with virtiofsd can use huge pages: ``platform.huge_pages``.
    huge_shared_memory: bool = False
    virtiofsd: VirtiofsdFact | None = None
    virtiofsd_missing: str = "no virtiofsd is installed"
    passt: PasstFact | None = None
    #: UEFI firmware by the architecture of its guests.
    uefi: dict[str, UefiFact] = msgspec.field(default_factory=dict)
