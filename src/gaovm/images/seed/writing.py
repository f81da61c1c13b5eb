"""Write the seed into a VM's directory."""

from __future__ import annotations

from pathlib import Path

from gaovm.aio import files
from gaovm.images.seed import files as contents
from gaovm.spec.vm import VmSpec

_MAX_AGENT_BYTES = 64 << 20


def write(path: Path, spec: VmSpec, agent: Path, instance: str) -> None:
    """Write the seed of a VM, with the agent's program. Blocking. Does nothing if it is there.

    Raises:
        errors.DiskFull, errors.HostError: it cannot be written.
    """
    with files.open_regular(agent) as file:
        program = file.read(_MAX_AGENT_BYTES)
    image = contents.image(spec, program, instance)
    try:
        if path.stat().st_size == len(image) and path.read_bytes() == image:
            return
    except OSError:
        pass
    files.write_atomic(path, image)
