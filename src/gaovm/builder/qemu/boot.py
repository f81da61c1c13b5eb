"""Kernel, initramfs and the kernel's command line."""

from __future__ import annotations

from gaovm.builder import network
from gaovm.builder.document import BootFiles, File
from gaovm.builder.qemu import graphics, quoting, watchdog
from gaovm.builder.qemu.machine import console
from gaovm.spec.vm import VmSpec

# quiet: each line on an emulated serial port costs; panics are printed all the same.
# panic=-1: reset at once, which ends QEMU, so that a panic is seen without a timeout.
# cryptomgr.notests: the self-tests of ciphers take a tenth of an emulated boot.
_COMMON = "rw quiet panic=-1 net.ifnames=0 cryptomgr.notests"
# Emulated on a busy host, the timer interrupt may come too late for the kernel's check of the
# wiring, which then declares the hardware broken and hangs. The wiring is known to be right.
_TCG_X86 = "no_timer_check"


def kernel_arguments(
    spec: VmSpec,
    machine: str,
    accelerator: str,
    tsc_khz: int | None = None,
) -> str:
    """The kernel's command line. What comes later wins: ours, then the image's, then the config's.

    ``tsc_khz``: the rate of the host's time stamp counter.
    """
    words = [
        graphics.kernel_argument(spec),
        f"console={console(machine)}",
        "root=/dev/vda rootfstype=ext4",
        _COMMON,
        _TCG_X86 if accelerator == "tcg" and machine != "virt" else "",
        _counter(machine, accelerator, tsc_khz),
        f"gaovm.hostname={spec.guest.hostname}",
        network.kernel_argument(spec),
        watchdog.kernel_argument(spec.supervision.watchdog),
        spec.image.kernel_arguments,
        spec.boot.extra_arguments,
    ]
    return " ".join(" ".join(word.split()) for word in words if word.strip())


def _counter(machine: str, accelerator: str, tsc_khz: int | None) -> str:
    """An emulated microVM has no timer but the PIT to measure its counter, the host's, by.

    On a busy host that fails ("Unable to calibrate against PIT") and the boot stands still.
    """
    told = machine == "microvm" and accelerator == "tcg" and tsc_khz
    return f"tsc_early_khz={tsc_khz}" if told else ""


KERNEL, INITRD = "kernel", "initrd"


def files(artefacts: BootFiles) -> tuple[File, ...]:
    """What the driver opens for the boot; QEMU opens it again through its descriptor."""
    result = [File(fd=KERNEL, path=artefacts.kernel)]
    if artefacts.initrd is not None:
        result.append(File(fd=INITRD, path=artefacts.initrd))
    return tuple(result)


def arguments(artefacts: BootFiles, command_line: str) -> list[str]:
    """Arguments that load the kernel directly."""
    result = []
    for file in files(artefacts):
        result += [f"-{file.fd}", f"/dev/fd/{quoting.descriptor(file.fd)}"]
    return [*result, "-append", command_line]
