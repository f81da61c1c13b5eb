"""Kernel, initramfs and the kernel's command line."""

from __future__ import annotations

from gaovm.builder import network
from gaovm.builder.document import BootFiles, File
from gaovm.builder.qemu import graphics, quoting, watchdog
from gaovm.builder.qemu.machine import console
from gaovm.spec.vm import VmSpec

# quiet: each line on an emulated serial port costs time; the kernel still prints panics.
# panic=-1: the kernel resets at once, which ends QEMU: the driver sees a panic without a timeout.
# cryptomgr.notests: the cipher self-tests take a tenth of an emulated boot.
_COMMON = "rw quiet panic=-1 net.ifnames=0 cryptomgr.notests"
# Under emulation on a busy host, the timer interrupt may come too late for the kernel's check of
# the timer's wiring. The kernel then calls the hardware broken and hangs. The wiring is correct.
_TCG_X86 = "no_timer_check"


def kernel_arguments(
    spec: VmSpec,
    machine: str,
    accelerator: str,
    tsc_khz: int | None = None,
) -> str:
    """Return the kernel's command line: our arguments, the image's, the config's; the last wins.

    ``tsc_khz`` is the rate of the host's time stamp counter. An image with its own boot loader gets
    none of them.
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
    """Return the argument that tells an emulated microVM the rate of its time stamp counter.

    The counter is the host's, and such a guest can only measure it with the PIT. On a busy host the
    measurement fails ("Unable to calibrate against PIT") and the boot hangs.
    """
    told = machine == "microvm" and accelerator == "tcg" and tsc_khz
    return f"tsc_early_khz={tsc_khz}" if told else ""


KERNEL, INITRD = "kernel", "initrd"


def files(artefacts: BootFiles) -> tuple[File, ...]:
    """Return the files the driver opens for the boot; QEMU reopens them by descriptor."""
    if artefacts.kernel is None or artefacts.loader != "kernel":
        return ()
    result = [File(fd=KERNEL, path=artefacts.kernel)]
    if artefacts.initrd is not None:
        result.append(File(fd=INITRD, path=artefacts.initrd))
    return tuple(result)


def arguments(artefacts: BootFiles, command_line: str) -> list[str]:
    """Return the arguments that load the kernel directly; none for an image's own loader."""
    opened = files(artefacts)
    if not opened:
        return []
    result = []
    for file in opened:
        result += [f"-{file.fd}", f"/dev/fd/{quoting.descriptor(file.fd)}"]
    return [*result, "-append", command_line]
