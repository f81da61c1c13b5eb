"""Check the VM's size against this host when it is decided: no probe, no process."""

from __future__ import annotations

from gaovm.builder import fit
from gaovm.hostfacts import host, limits
from gaovm.model import facts
from gaovm.spec import vm


def check(spec: vm.VmSpec) -> list[str]:
    """Return what a user should know of the VM's size here; see ``fit.check``.

    Raises:
        errors.ConfigError: the VM does not fit.
    """
    memory = limits.memory()
    found = facts.HostFacts(
        arch=host.arch(),
        cpus=limits.cpus(),
        memory_total_bytes=memory.total_bytes,
        memory_available_bytes=memory.available_bytes,
    )
    return fit.check(spec, found)
