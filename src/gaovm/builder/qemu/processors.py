"""vCPUs."""

from __future__ import annotations

from gaovm.builder.qemu import quoting
from gaovm.spec.processors import Processors


def model(arch: str, accelerator: str) -> str:
    """The CPU model: all of the host's under an accelerator, else all that TCG can do."""
    if accelerator != "tcg":
        return "host"
    if arch == "aarch64":
        # the real pointer-authentication algorithm costs TCG half of its speed
        return quoting.joined("max", {"pauth-impdef": True})
    # With it the kernel copies by `rep movsb`, which TCG carries out byte by byte: boots take
    # 10 % longer, bulk copies three times as long.
    return quoting.joined("max", {"erms": False})


def arguments(processors: Processors, arch: str, accelerator: str) -> list[str]:
    """Arguments for the CPU model and the number of vCPUs."""
    count = processors.count
    topology = {"cpus": count, "sockets": 1, "cores": count, "threads": 1}
    return ["-cpu", model(arch, accelerator), "-smp", quoting.joined("", topology)]
