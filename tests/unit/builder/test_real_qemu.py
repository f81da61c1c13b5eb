"""The installed QEMU accepts every argument we make (it starts with stopped CPUs, then quits)."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import msgspec
import pytest
from tests.unit.builder import samples

from gaovm.builder import qcow2
from gaovm.builder.document import BootFiles, DiskDevice
from gaovm.builder.qemu import build
from gaovm.spec.boot import Boot, MachineType
from gaovm.spec.disks import LARGEST_BYTES, serial
from gaovm.spec.shares import Share
from gaovm.vmmanager.qemu import lifetime

QEMU = shutil.which("qemu-system-x86_64")


def files(directory: Path) -> BootFiles:
    """A disk and a kernel that never runs, with names that need every kind of quoting."""
    directory.mkdir()
    disk, kernel = directory / "d,'\"ü\n.qcow2", directory / "k, <fd:qmp>"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "1G"], check=True)
    kernel.write_bytes(bytes(8192))
    base = directory / "base, ü"
    base.write_bytes(bytes(1 << 20))
    # no initrd: QEMU loads one only with a real kernel
    return BootFiles(disk=str(disk), base=str(base), kernel=str(kernel))


def additional(directory: Path, count: int) -> tuple[DiskDevice, ...]:
    """Make empty disks, qcow2 and raw in turn."""
    found = []
    for number in range(count):
        path, kind = directory / f"disk{number}", ("qcow2", "raw")[number % 2]
        made = qcow2.new(1 << 30, room_bytes=LARGEST_BYTES)
        path.write_bytes(made.head if kind == "qcow2" else bytes(1 << 20))
        if kind == "qcow2":
            os.truncate(path, made.file_bytes)
        found.append(DiskDevice(path=str(path), format=kind, serial=serial(str(number))))
    return tuple(found)


@pytest.mark.parametrize(("machine", "shares", "count"), [("q35", 20, 8), ("microvm", 2, 2)])
def test_qemu_starts_with_the_document(
    tmp_path: Path, machine: MachineType, shares: int, count: int
) -> None:
    assert QEMU, "qemu-system-x86_64 is not installed"
    directory = tmp_path / 'a, b=c "q" ü'
    artefacts = msgspec.structs.replace(files(directory), additional=additional(directory, count))
    spec = samples.spec(
        *(
            Share(location=str(directory), mount_point=f"/m{n}", type="9p", writable=n == 0)
            for n in range(shares)
        ),
        boot=Boot(machine=machine, accelerator="tcg"),
        memory_bytes=128 << 20,
    )
    host = msgspec.structs.replace(samples.HOST, programs={"qemu-system-x86_64": QEMU})
    document = build.build(spec, host, artefacts)
    opened = lifetime.open_files(document)
    pairs = {name: socket.socketpair() for name in document.fds if name not in opened}
    fds = {name: pair[1].fileno() for name, pair in pairs.items()}
    fds |= {name: file.fileno() for name, file in opened.items()}
    argv = [*document.resolve(fds), "-S"]
    with contextlib.ExitStack() as stack:
        for pair in pairs.values():
            stack.callback(pair[0].close)
        child = subprocess.Popen(argv, pass_fds=list(fds.values()), stderr=subprocess.PIPE)
        stack.callback(child.communicate)
        stack.callback(child.kill)
        for file in (*opened.values(), *(pair[1] for pair in pairs.values())):
            file.close()
        monitor = pairs["qmp"][0]
        monitor.settimeout(20)
        stream = stack.enter_context(monitor.makefile("rw", encoding="utf-8"))
        greeting = stream.readline()
        assert greeting, child.communicate()[1].decode()
        assert "QMP" in json.loads(greeting)
        stream.write('{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n')
        stream.flush()
        _, complaints = child.communicate(timeout=20)
        assert (child.returncode, complaints) == (0, b"")
