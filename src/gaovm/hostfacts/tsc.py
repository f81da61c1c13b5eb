"""Measure the rate of the host's time stamp counter: no file of an unpatched kernel has it.

An emulated x86 guest reads the same counter. On a busy host the guest's kernel may fail to measure
the rate, so the builder tells it (its ``boot``).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time

from gaovm.hostfacts import host

# rdtsc; shl rdx, 32; or rax, rdx; ret
_CODE = b"\x0f\x31\x48\xc1\xe2\x20\x48\x09\xd0\xc3"
# The clock has a precision of a microsecond or better: 20 parts in a million of this span.
_SPAN_S = 0.05
_TRIES = 20


def khz() -> int | None:
    """Measure the rate for 50 ms; None if it is not fixed or the system lets us map no code."""
    if os.uname().machine != "x86_64" or "constant_tsc" not in (host.cpu_flags() or ()):
        return None
    try:
        with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as page:
            page.write(_CODE)
            view = (ctypes.c_char * len(_CODE)).from_buffer(page)
            address = ctypes.addressof(view)
            del view
            return _measure(address)
    except (OSError, ValueError):
        return None


def _measure(address: int) -> int | None:
    libc = ctypes.CDLL(None, use_errno=True)
    executable = mmap.PROT_READ | mmap.PROT_EXEC
    size = ctypes.c_size_t(mmap.PAGESIZE)
    if libc.mprotect(ctypes.c_void_p(address), size, executable) != 0:
        return None
    counter = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)
    first, begin = _sample(counter)
    time.sleep(_SPAN_S)
    last, end = _sample(counter)
    return round((last - first) * 1e6 / (end - begin)) if end > begin else None


def _sample(counter: ctypes._CFunctionType) -> tuple[int, int]:
    """Return the counter and the nanosecond of its reading, from the quickest of some tries."""
    found = []
    for _ in range(_TRIES):
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        ticks = counter()
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        found.append((after - before, ticks, (before + after) // 2))
    _, ticks, at = min(found)
    return ticks, at
