"""Run a few instructions in a KVM guest and print what happened, as one line of JSON.

This is a separate program (``python -I kvm_probe.py``, standard library only): whatever the kernel
does to it, the caller only loses a child. It makes a VM with one vCPU in 64-bit ring 0. The vCPU
runs a loop, takes one ``INT3`` through the IDT and reports by port I/O. A host without real
hardware virtualisation either fails at the exception or takes far too long for the loop.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import struct
import sys
import time

GET_API_VERSION = 0xAE00
CREATE_VM = 0xAE01
GET_VCPU_MMAP_SIZE = 0xAE04
GET_SUPPORTED_CPUID = 0xC008AE05
CREATE_VCPU = 0xAE41
SET_TSS_ADDR = 0xAE47
SET_USER_MEMORY_REGION = 0x4020AE46
RUN = 0xAE80
GET_REGS = 0x8090AE81
SET_REGS = 0x4090AE82
GET_SREGS = 0x8138AE83
SET_SREGS = 0x4138AE84
SET_CPUID2 = 0x4008AE90

TURNS = 20_000
API_VERSION = 12
MEMORY = 2 << 20
PML4, PDPT, PD, IDT, GDT = 0x1000, 0x2000, 0x3000, 0x4000, 0x5000
CODE, HANDLER, STACK = 0x8000, 0x8100, 0x10000
REGISTERS = "<18Q"
RBX, RSP, RIP, RFLAGS = 1, 6, 16, 17

# mov ecx, TURNS; 1: dec ecx; jnz 1b; int3; out 0x10, al; hlt
PROGRAM = b"\xb9" + struct.pack("<I", TURNS) + b"\xff\xc9\x75\xfc\xcc\xe6\x10\xf4"
# inc rbx; iretq
ON_INT3 = b"\x48\xff\xc3\x48\xcf"


def fill(memory: mmap.mmap) -> None:
    """Write page tables (identity, 2 MiB), GDT, IDT with a gate for INT3, program and handler."""

    def put(address: int, data: bytes) -> None:
        memory[address : address + len(data)] = data

    put(PML4, struct.pack("<Q", PDPT | 3))
    put(PDPT, struct.pack("<Q", PD | 3))
    put(PD, struct.pack("<Q", 0x83))
    put(GDT, struct.pack("<QQQ", 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF))
    low = (HANDLER & 0xFFFF) | (0x08 << 16) | (0x8E00 << 32) | ((HANDLER >> 16) << 48)
    put(IDT + 3 * 16, struct.pack("<QQ", low, 0))
    put(CODE, PROGRAM)
    put(HANDLER, ON_INT3)


def segment(selector: int, kind: int, *, long: bool) -> bytes:
    """Return a flat ``kvm_segment``: present, ring 0."""
    flags = (1, 0, 0 if long else 1, 1, 1 if long else 0, 1, 0, 0, 0)
    return struct.pack("<QIHB9B", 0, 0xFFFFFFFF, selector, kind, *flags)


def special_registers(old: bytes) -> bytes:
    """Return the ``kvm_sregs`` of 64-bit ring 0; task register and LDT stay."""
    data = bytearray(old)
    code, flat = segment(8, 11, long=True), segment(16, 3, long=False)
    data[0:24] = code
    for index in range(1, 6):
        data[index * 24 : index * 24 + 24] = flat
    data[192:208] = struct.pack("<QH6x", GDT, 23)
    data[208:224] = struct.pack("<QH6x", IDT, 0x0FFF)
    cr0, cr3, cr4, efer = 0x80000033, PML4, 0x20, 0x500
    data[224:264] = struct.pack("<5Q", cr0, 0, cr3, cr4, 0)
    data[264:272] = struct.pack("<Q", efer)
    return bytes(data)


def probe() -> dict[str, object]:
    """Run the program once; times in milliseconds. Raises OSError if the kernel refuses a step."""
    device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    if fcntl.ioctl(device, GET_API_VERSION, 0) != API_VERSION:
        return {"ok": False, "why": "the KVM interface has another version"}
    vm = fcntl.ioctl(device, CREATE_VM, 0)
    if os.uname().machine != "x86_64":
        return {"ok": True, "why": "a VM can be made; code was not run on this architecture"}
    memory = mmap.mmap(-1, MEMORY)
    fill(memory)
    host = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    fcntl.ioctl(vm, SET_TSS_ADDR, 0x7FFBD000)
    fcntl.ioctl(vm, SET_USER_MEMORY_REGION, struct.pack("<IIQQQ", 0, 0, 0, MEMORY, host))
    cpu = fcntl.ioctl(vm, CREATE_VCPU, 0)
    cpuid = bytearray(struct.pack("<II", 100, 0) + bytes(40 * 100))
    fcntl.ioctl(device, GET_SUPPORTED_CPUID, cpuid, True)
    fcntl.ioctl(cpu, SET_CPUID2, cpuid, True)
    state = mmap.mmap(cpu, fcntl.ioctl(device, GET_VCPU_MMAP_SIZE, 0))
    sregs = fcntl.ioctl(cpu, GET_SREGS, bytes(312))
    fcntl.ioctl(cpu, SET_SREGS, special_registers(sregs))
    registers = [0] * 18
    registers[RSP], registers[RIP], registers[RFLAGS] = STACK, CODE, 2
    fcntl.ioctl(cpu, SET_REGS, struct.pack(REGISTERS, *registers))
    begin = time.perf_counter()
    fcntl.ioctl(cpu, RUN, 0)
    took_ms = (time.perf_counter() - begin) * 1000
    (reason,) = struct.unpack_from("<I", state, 8)
    after = struct.unpack(REGISTERS, fcntl.ioctl(cpu, GET_REGS, bytes(144)))
    return {"ok": True, "exit": reason, "ms": took_ms, "exceptions": after[RBX], "rip": after[RIP]}


def main() -> int:
    """Print the result, always as one line."""
    try:
        result = probe()
    except OSError as exc:
        result = {"ok": False, "why": f"{exc.strerror} (errno {exc.errno})"}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
