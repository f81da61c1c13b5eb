"""Check whether a VM fits on its host: refuse it beyond the limits, warn below them."""

from __future__ import annotations

from gaovm import errors
from gaovm.model import facts
from gaovm.spec import vm

#: The most virtual CPUs for each host CPU: more of them would only wait for each other.
CPUS_PER_CPU = 4
_MIB = 1 << 20


def check(spec: vm.VmSpec, host: facts.HostFacts) -> list[str]:
    """Return warnings about a VM's size on this host.

    The limits are all of the host's memory, and four virtual CPUs for each host CPU. Memory has no
    limit when the host's memory is not known (0).

    Raises:
        errors.ConfigError: the VM exceeds a limit.
    """
    return _memory(spec.memory.size_bytes, host) + _cpus(spec.processors.count, host)


def _memory(size: int, host: facts.HostFacts) -> list[str]:
    total, free = host.memory_total_bytes, host.memory_available_bytes
    if not total:
        return []
    if size > total:
        raise errors.ConfigError(
            f"memory: {_mib(size)} is more than this host has ({_mib(total)})",
            field="memory",
            remedy="set less `memory`, in the project file or over it",
            actions=(errors.Action("set_config", key="memory", value="2GiB"),),
        )
    if size > free:
        return [
            f"memory: {_mib(size)} is more than the {_mib(free)} that this host has free now: "
            "the host may swap, or end processes"
        ]
    return []


def _cpus(count: int, host: facts.HostFacts) -> list[str]:
    if count > host.cpus * CPUS_PER_CPU:
        raise errors.ConfigError(
            f"cpus: {count} is more than {CPUS_PER_CPU} for each of this host's {host.cpus} CPUs",
            field="cpus",
            remedy=f"set at most {host.cpus * CPUS_PER_CPU} `cpus`, in the project file or over it",
            actions=(errors.Action("set_config", key="cpus", value="2"),),
        )
    if count > host.cpus:
        return [f"cpus: {count} on a host with {host.cpus} CPUs: they take turns"]
    return []


def _mib(size: int) -> str:
    return f"{size / (_MIB << 10):.1f} GiB" if size >= _MIB << 10 else f"{size // _MIB} MiB"
