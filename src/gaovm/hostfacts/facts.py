"""All host facts that a document needs, in one call."""

from __future__ import annotations

import os
from pathlib import Path

from gaovm.builder import backends
from gaovm.hostfacts import accelerator, host, limits, programs
from gaovm.model.facts import HostFacts
from gaovm.platform import huge_pages, processes, system


def collect(home: Path) -> HostFacts:
    """Collect the facts; ``home`` is ``$GAOVM_HOME``, which holds the cached result of the probe.

    With a valid cache this takes a few milliseconds and starts no process; without, up to 3 s.

    Raises:
        errors.HostError: GaoVM does not know this architecture.
    """
    found = programs.find_all(backends.programs())
    free = limits.memory()
    measured = accelerator.measured(home, found.values())
    return HostFacts(
        arch=host.arch(),
        system="darwin" if system.name() == "Darwin" else "linux",
        root=os.geteuid() == 0,
        cpus=limits.cpus(),
        memory_total_bytes=free.total_bytes,
        memory_available_bytes=free.available_bytes,
        boot_id=processes.boot_id(),
        accelerators=measured.accelerators,
        tsc_khz=measured.tsc_khz,
        programs=found,
        huge_shared_memory=huge_pages.available(),
        virtiofsd=programs.virtiofsd(),
        passt=programs.passt(),
        uefi=programs.uefi(),
    )
