"""The initramfs: a segment of kernel modules, which is part of the image, and one of the agent.

The contract with the agent is part 1 of ``docs/reference/agent-protocol.md``. Both segments are
cpio archives in LZ4's legacy frame. Measured, LZ4 boots as fast as no compression and halves the
agent; gzip and zstd cost 0.15 s on an emulated processor. The kernel unpacks one segment after the
other.
"""

from __future__ import annotations

import struct
from pathlib import Path

import lz4.block

from gaovm.aio import files
from gaovm.images import cpio, kmods

MODULES_FILE = "modules.cpio.lz4"
LIST_FILE = "modules.list"
_LEGACY_MAGIC = 0x184C2102
_BLOCK_BYTES = 8 << 20
_MAX_AGENT_BYTES = 64 << 20


def modules_segment(root: Path, release: str) -> bytes:
    """Make the modules' segment of the kernel ``release``, which is unpacked below ``root``.

    Raises: ImageBuildFailed when the kernel lacks what a guest needs.
    """
    directory = root / "usr" / "lib" / "modules" / release
    modules = kmods.select(directory)
    paths = {module.name: module.path for module in modules}
    lines = "".join(f"{module.stage} /modules/{module.name}.ko\n" for module in modules)
    return compress(
        cpio.archive(
            [
                cpio.directory("modules"),
                *(
                    cpio.file(f"modules/{name}.ko", kmods.read(directory / path))
                    for name, path in paths.items()
                ),
                cpio.file(LIST_FILE, lines.encode()),
            ]
        )
    )


def agent_segment(agent: bytes) -> bytes:
    """Make the segment with ``/init`` and the console node, which the kernel opens first."""
    return compress(
        cpio.archive(
            [
                cpio.file("init", agent, 0o755),
                cpio.directory("dev"),
                cpio.character_node("dev/console", 5, 1),
            ]
        )
    )


def compress(data: bytes) -> bytes:
    """Compress ``data`` to LZ4's legacy frame, which the kernel reads.

    A block size of 0 at the end lets another segment follow; padding keeps that one aligned.
    """
    out = bytearray(struct.pack("<I", _LEGACY_MAGIC))
    for start in range(0, len(data), _BLOCK_BYTES):
        block = lz4.block.compress(
            data[start : start + _BLOCK_BYTES],
            mode="high_compression",
            compression=9,
            store_size=False,
        )
        out += struct.pack("<I", len(block)) + block
    return bytes(out) + bytes(4 + -len(out) % 4)


def write(modules: Path | None, agent: Path, output: Path) -> None:
    """Write the initramfs of an image's modules and an agent, atomically.

    ``modules`` is None for a kernel that needs none.
    """
    with agent.open("rb") as file:
        program = file.read(_MAX_AGENT_BYTES)
    first = modules.read_bytes() if modules is not None else b""
    files.write_atomic(output, first + agent_segment(program), 0o444)
