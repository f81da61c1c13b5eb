"""Guest RAM."""

from __future__ import annotations

from gaovm.builder.qemu import quoting
from gaovm.spec.memory import MIB, Memory

#: The descriptor of the file that holds the guest's RAM, if the driver makes one.
FD = "memory"
# The kernel maps huge pages only at addresses aligned to a huge page.
_HUGE_PAGE = 2 * MIB


def file_bytes(memory: Memory) -> int:
    """Return the size of that file: whole MiB."""
    return memory.size_bytes // MIB * MIB


def arguments(memory: Memory, *, shared: bool, huge: bool) -> list[str]:
    """Return the arguments for RAM, in whole MiB.

    ``shared``: virtiofsd must be able to map the RAM. ``huge``: shared RAM is then a file of the
    driver, in huge pages; shared memory that QEMU itself makes gets no huge pages.
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
