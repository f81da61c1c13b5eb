"""System-call filters on numbers and plain arguments: built here, installed before exec.

A filter is a classic BPF program over ``struct seccomp_data`` (include/uapi/linux/seccomp.h). It
sees the number of the call, the architecture and six arguments, but never what a pointer points to.
An installed filter stays, through exec and in every child.

Numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h (arm64).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import TYPE_CHECKING, NamedTuple

from gaovm import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of include/uapi/linux/audit.h
_ARCHES: dict[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
#: Calls by name, with their number on each machine that has them.
_NUMBERS: dict[str, dict[str, int]] = {
    "open": {"x86_64": 2},
    "mkdir": {"x86_64": 83},
    "creat": {"x86_64": 85},
    "socket": {"x86_64": 41, "aarch64": 198},
    "chmod": {"x86_64": 90},
    "fchmod": {"x86_64": 91, "aarch64": 52},
    "mknod": {"x86_64": 133},
    "openat": {"x86_64": 257, "aarch64": 56},
    "mkdirat": {"x86_64": 258, "aarch64": 34},
    "mknodat": {"x86_64": 259, "aarch64": 33},
    "ftruncate": {"x86_64": 77, "aarch64": 46},
    "lsetxattr": {"x86_64": 189, "aarch64": 6},
    "fchmodat": {"x86_64": 268, "aarch64": 53},
    "io_uring_setup": {"x86_64": 425, "aarch64": 425},
    "openat2": {"x86_64": 437, "aarch64": 437},
    "fchmodat2": {"x86_64": 452, "aarch64": 452},
}
# An x86_64 call with this bit is the same call in x32 form, under a number that no rule names.
_X32 = 0x40000000

# include/uapi/linux/bpf_common.h, filter.h: the instructions that we use
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT = 0x15, 0x35, 0x45
# include/uapi/linux/seccomp.h
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
# include/uapi/linux/prctl.h
_SET_NO_NEW_PRIVS, _SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_MAX_INSTRUCTIONS = 4096  # BPF_MAXINSNS


class Check(NamedTuple):
    """What one argument (0 to 5) must be: ``value`` under ``mask``; without a value, any bit of it.

    The filter compares the lower 32 bits, which is all that the kernel uses of a mode or of flags;
    with ``upper`` it compares the other 32.
    """

    argument: int
    mask: int
    value: int | None = None
    upper: bool = False


class Rule(NamedTuple):
    """A call that fails with ``error`` if all checks hold; without checks it always fails.

    With the error 0 the call does nothing and returns 0.
    """

    call: str
    checks: tuple[Check, ...] = ()
    error: int = errno.EPERM


class _Step(NamedTuple):
    """One instruction; a jump, taken or not, skips that many of the next instructions."""

    code: int
    operand: int
    taken: int = 0
    not_taken: int = 0


def program(rules: Iterable[Rule], machine: str) -> bytes:
    """Build the filter for a machine (``platform.machine``). It allows what no rule names.

    A call of another architecture ends the process: rules do not know its numbers. Rules for calls
    that the machine does not have are left out.

    Raises:
        errors.HostError: we do not know the machine's numbers.
        ValueError: a rule names an unknown call or argument: a defect.
    """
    if machine not in _ARCHES:
        raise errors.HostError(f"no system-call filter is known for {machine}")
    steps = [
        _Step(_LOAD, _ARCH_AT),
        _Step(_IF_EQUAL, _ARCHES[machine], taken=1),
        _Step(_RETURN, _KILL),
    ]
    if machine == "x86_64":
        steps += [
            _Step(_LOAD, _NUMBER_AT),
            _Step(_IF_AT_LEAST, _X32, not_taken=1),
            _Step(_RETURN, _ERRNO | errno.ENOSYS),
        ]
    for rule in rules:
        if rule.call not in _NUMBERS:
            raise ValueError(f"a rule for an unknown call, {rule.call}")
        number = _NUMBERS[rule.call].get(machine)
        if number is not None:
            steps += _block(rule, number)
    steps.append(_Step(_RETURN, _ALLOW))
    if len(steps) > _MAX_INSTRUCTIONS:
        raise ValueError("the filter is too long")
    return b"".join(
        struct.pack("=HBBI", step.code, step.taken, step.not_taken, step.operand) for step in steps
    )


def _block(rule: Rule, number: int) -> list[_Step]:
    """Return the instructions of one rule; a check that fails jumps past them."""
    conditions = [[_Step(_LOAD, _NUMBER_AT), _Step(_IF_EQUAL, number)]]
    for check in rule.checks:
        if not 0 <= check.argument <= 5:
            raise ValueError("a call has six arguments")
        # little-endian: the lower half is first
        load = _Step(_LOAD, _ARGUMENTS_AT + 8 * check.argument + 4 * check.upper)
        if check.value is None:
            conditions.append([load, _Step(_IF_ANY_BIT, check.mask)])
        else:
            conditions.append([load, _Step(_AND, check.mask), _Step(_IF_EQUAL, check.value)])
    left = sum(map(len, conditions)) + 1
    steps = []
    for step in (step for condition in conditions for step in condition):
        left -= 1
        jumps = step.code in (_IF_EQUAL, _IF_ANY_BIT)
        steps.append(step._replace(not_taken=left) if jumps else step)
    return [*steps, _Step(_RETURN, _ERRNO | rule.error)]


class _Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def installer(rules: Iterable[Rule]) -> Callable[[], None]:
    """Return a function that puts this process under the filter, with ``no_new_privs``, for good.

    All preparation happens here: the function may run between fork and exec. It raises ``OSError``
    if the kernel does not accept the filter.

    Raises:
        errors.HostError: this is not Linux, or we do not know the machine's numbers.
    """
    if not sys.platform.startswith("linux"):
        raise errors.HostError("no system-call filter: this is no Linux")
    code = program(rules, platform.machine())
    buffer = ctypes.create_string_buffer(code, len(code))
    header = _Program(len(code) // 8, ctypes.addressof(buffer))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4

    def install() -> None:
        # name ``buffer`` here so that it lives as long as this function
        if (
            not buffer
            or prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            or prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(header), 0, 0)
        ):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return install
