"""vCPUs."""

from __future__ import annotations

from gaovm.builder.qemu import quoting
from gaovm.spec.processors import Processors


def model(arch: str, accelerator: str) -> str:
    """Return the CPU model: every feature of the host (accelerator), or of TCG."""
    if accelerator != "tcg":
        return "host"
    if arch == "aarch64":
        # the standard pointer-authentication algorithm makes TCG half as fast
        return quoting.joined("max", {"pauth-impdef": True})
    # With this feature the kernel copies by `rep movsb`, which TCG executes byte by byte: boots
    # take 10 % longer, bulk copies three times as long.
    return quoting.joined("max", {"erms": False})


def arguments(processors: Processors, arch: str, accelerator: str) -> list[str]:
    """Return the arguments for the CPU model and the number of vCPUs."""
    count = processors.count
    topology = {"cpus": count, "sockets": 1, "cores": count, "threads": 1}
    return ["-cpu", model(arch, accelerator), "-smp", quoting.joined("", topology)]
