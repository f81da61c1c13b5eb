"""System-call filters: an interpreter runs them for every machine, a child runs one for real."""

from __future__ import annotations

import errno
import struct
import subprocess
import sys

import pytest

from gaovm import errors
from gaovm.platform.linux import seccomp

ALLOW, KILL = 0x7FFF0000, 0x80000000
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
RULES = (
    seccomp.Rule("fchmod", (seccomp.Check(1, 0o6000),)),
    seccomp.Rule("mknodat", (seccomp.Check(2, 0o170000, 0o060000),)),
    seccomp.Rule("openat", (seccomp.Check(2, 0x40), seccomp.Check(3, 0o6000)), errno.EACCES),
    seccomp.Rule("chmod", (seccomp.Check(1, 0o6000),)),
    seccomp.Rule("io_uring_setup", error=errno.ENOSYS),
)


def refused(number: int) -> int:
    return 0x50000 | number


def run(code: bytes, arch: int, number: int, *arguments: int) -> int:
    """Return the kernel's answer; knows the few instructions, as bpf(2) defines them."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *[*arguments, *[0] * 6][:6])
    steps = list(struct.iter_unpack("=HBBI", code))
    at = value = 0
    while True:
        kind, taken, not_taken, operand = steps[at]
        at += 1
        if kind == 0x20:
            (value,) = struct.unpack_from("<I", data, operand)
        elif kind == 0x54:
            value &= operand
        elif kind == 0x06:
            return int(operand)
        else:
            hit = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}
            at += taken if hit[kind] else not_taken


@pytest.mark.parametrize(
    ("machine", "fchmod", "mknodat", "openat"),
    [("x86_64", 91, 259, 257), ("aarch64", 52, 33, 56)],
)
def test_a_rule_applies_if_all_its_checks_match(
    machine: str, fchmod: int, mknodat: int, openat: int
) -> None:
    code, arch = seccomp.program(RULES, machine), ARCH[machine]
    assert run(code, arch, fchmod, 3, 0o4755) == refused(errno.EPERM)
    assert run(code, arch, fchmod, 3, 0o2755 | 1 << 40) == refused(errno.EPERM)
    assert run(code, arch, fchmod, 0o4755, 0o1777) == ALLOW
    assert run(code, arch, mknodat, 3, 0, 0o060600) == refused(errno.EPERM)
    assert run(code, arch, mknodat, 3, 0, 0o020600) == ALLOW
    assert run(code, arch, openat, 3, 0, 0x41, 0o4755) == refused(errno.EACCES)
    assert run(code, arch, openat, 3, 0, 0x41, 0o755) == ALLOW
    assert run(code, arch, openat, 3, 0, 0x1, 0o4755) == ALLOW
    assert run(code, arch, 425) == refused(errno.ENOSYS)
    assert run(code, arch, 1) == ALLOW


def test_calls_of_another_architecture_are_killed() -> None:
    code = seccomp.program(RULES, "x86_64")
    assert run(code, 0x40000003, 15, 0, 0o4755) == KILL  # i386
    assert run(code, ARCH["x86_64"], 0x40000000 | 91, 3, 0o4755) == refused(errno.ENOSYS)
    assert run(seccomp.program(RULES, "aarch64"), 0x40000028, 15) == KILL  # arm


def test_a_call_that_a_machine_lacks_needs_no_rule() -> None:
    assert run(seccomp.program(RULES, "aarch64"), ARCH["aarch64"], 90, 0, 0o4755) == ALLOW
    assert run(seccomp.program(RULES, "x86_64"), ARCH["x86_64"], 90, 0, 0o4755) == refused(1)


def test_bad_rules_and_unknown_machines_are_errors() -> None:
    with pytest.raises(errors.HostError, match="riscv64"):
        seccomp.program(RULES, "riscv64")
    with pytest.raises(ValueError, match="no_such"):
        seccomp.program([seccomp.Rule("no_such")], "x86_64")
    with pytest.raises(ValueError, match="six"):
        seccomp.program([seccomp.Rule("fchmod", (seccomp.Check(6, 1),))], "x86_64")


CHILD = """
import os, sys, tempfile
from gaovm.platform.linux import seccomp
install = seccomp.installer([seccomp.Rule("fchmod", (seccomp.Check(1, 0o6000),))])
install()
with tempfile.TemporaryFile() as file:
    os.fchmod(file.fileno(), 0o755)
    try:
        os.fchmod(file.fileno(), 0o4755)
    except PermissionError:
        pid = os.fork()
        if not pid:
            os.execv(sys.executable, [sys.executable, "-c", AGAIN])
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
sys.exit(3)
"""
AGAIN = """
import os, tempfile
words = open("/proc/self/status").read().split()
assert words[words.index("Seccomp:") + 1] == "2"
assert words[words.index("NoNewPrivs:") + 1] == "1"
with tempfile.TemporaryFile() as file:
    try:
        os.fchmod(file.fileno(), 0o2755)
    except PermissionError:
        raise SystemExit(7)
"""


def test_a_filter_holds_in_this_process_and_after_exec() -> None:
    code = CHILD.replace("AGAIN", repr(AGAIN))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 7, done.stderr.decode()
