"""Guest RAM."""

from __future__ import annotations

from gaovm.builder.qemu import quoting
from gaovm.spec.memory import MIB, Memory

#: The descriptor of the file that holds the guest's RAM, where the driver makes one.
FD = "memory"
# Addresses have to be whole huge pages for such pages to be mapped.
_HUGE_PAGE = 2 * MIB


def file_bytes(memory: Memory) -> int:
    """How large that file is: whole MiB."""
    return memory.size_bytes // MIB * MIB


def arguments(memory: Memory, *, shared: bool, huge: bool) -> list[str]:
    """Arguments for RAM, in whole MiB.

    ``shared``: virtiofsd must be able to map it; ``huge``: it is then the driver's file, in huge
    pages, which shared memory that QEMU makes by itself does not get.
    """
    size = file_bytes(memory)
    result = ["-m", f"{size // MIB}M"]
    if shared:
        kind: dict[str, quoting.Json] = {"qom-type": "memory-backend-memfd"}
        if huge:
            path = f"/dev/fd/{quoting.descriptor(FD)}"
            kind = {"qom-type": "memory-backend-file", "mem-path": path, "align": _HUGE_PAGE}
        backend = {**kind, "id": "mem", "size": size, "share": True}
        result += ["-object", quoting.as_json(backend)]
    return result
