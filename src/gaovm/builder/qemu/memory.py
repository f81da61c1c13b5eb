"""Guest RAM."""

from __future__ import annotations

from gaovm.builder.qemu import quoting
from gaovm.spec.memory import MIB, Memory


def arguments(memory: Memory, *, shared: bool) -> list[str]:
    """Arguments for RAM, in whole MiB. ``shared``: virtiofsd must be able to map it."""
    mib = memory.size_bytes // MIB
    result = ["-m", f"{mib}M"]
    if shared:
        backend: dict[str, quoting.Json] = {
            "qom-type": "memory-backend-memfd",
            "id": "mem",
            "size": mib * MIB,
            "share": True,
        }
        result += ["-object", quoting.as_json(backend)]
    return result
