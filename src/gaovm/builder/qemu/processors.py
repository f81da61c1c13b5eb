"""vCPUs."""

from __future__ import annotations

from gaovm import errors
from gaovm.builder.choices import Choice
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


def _check(processors: Processors, arch: str, accelerator: Choice) -> None:
    """Refuse guests of the guest where the host gives them no hardware help.

    With KVM on x86_64 the CPU model of the host has what they need.

    Raises:
        errors.ConfigError: the config asks for them, and the accelerator has none.
    """
    if not processors.nested or (accelerator.name == "kvm" and arch == "x86_64"):
        return
    why = accelerator.reason if accelerator.name != "kvm" else f"not for {arch}"
    raise errors.ConfigError(
        f"nestedVirtualization needs KVM on x86_64; here {accelerator.name} runs the guest: {why}",
        field="nestedVirtualization",
        remedy="take nestedVirtualization out",
    )


def arguments(processors: Processors, arch: str, accelerator: Choice) -> list[str]:
    """Return the arguments for the CPU model and the number of vCPUs.

    A config that is shared with machines that have an accelerator may ask for the host's model:
    emulation has everything it offers instead.

    Raises:
        errors.ConfigError: the config asks for nested guests, and there can be none here.
    """
    _check(processors, arch, accelerator)
    wanted, count = processors.model, processors.count
    if not wanted or (accelerator.name == "tcg" and wanted.partition(",")[0] == "host"):
        wanted = model(arch, accelerator.name)
    topology = {"cpus": count, "sockets": 1, "cores": count, "threads": 1}
    return ["-cpu", wanted, "-smp", quoting.joined("", topology)]
