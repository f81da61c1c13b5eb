"""The list of modules is in load order, has each module once, and no built-in one."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.images import kmods

DEP = """\
kernel/v/virtio.ko: kernel/v/virtio_ring.ko
kernel/v/virtio_ring.ko:
kernel/v/virtio_pci.ko: kernel/v/virtio.ko kernel/v/virtio_ring.ko
kernel/block/virtio_blk.ko: kernel/v/virtio.ko kernel/v/virtio_ring.ko
kernel/char/virtio_console.ko.xz: kernel/v/virtio.ko kernel/v/virtio_ring.ko
kernel/net/9p/9pnet.ko:
kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko
kernel/arch/x86/crypto/crc32c-intel.ko:
"""
BUILTIN = {"ext4"}


def test_dependencies_come_first_and_once() -> None:
    modules = kmods.resolve(kmods.parse_dep(DEP), BUILTIN)
    names = [module.name for module in modules]
    assert names == [
        "virtio_ring",
        "virtio",
        "virtio_pci",
        "virtio_blk",
        "virtio_console",
        "crc32c_intel",
        "9pnet",
        "9p",
    ]
    assert [module.stage for module in modules] == ["boot"] * 6 + ["9p"] * 2


def test_a_dependency_of_a_boot_module_is_a_boot_module() -> None:
    modules = kmods.resolve(kmods.parse_dep(DEP), BUILTIN, {"boot": ["9p"], "late": ["virtio"]})
    assert {module.name: module.stage for module in modules} == {
        "9pnet": "boot",
        "9p": "boot",
        "virtio_ring": "late",
        "virtio": "late",
    }


def test_a_module_of_an_optional_stage_is_in_later_stages_too() -> None:
    stages = {"9p": ["9p"], "virtiofs": ["virtio"], "late": ["9pnet", "virtio"]}
    modules = kmods.resolve(kmods.parse_dep(DEP), BUILTIN, stages)
    assert [(module.stage, module.name) for module in modules] == [
        ("9p", "9pnet"),
        ("9p", "9p"),
        ("virtiofs", "virtio_ring"),
        ("virtiofs", "virtio"),
        ("late", "9pnet"),
        ("late", "virtio_ring"),
        ("late", "virtio"),
    ]


def test_the_watchdogs_modules_have_their_own_stage() -> None:
    wdt = "kernel/w/i6300esb.ko: kernel/w/watchdog.ko\nkernel/w/watchdog.ko:\n"
    modules = kmods.resolve(kmods.parse_dep(DEP + wdt), BUILTIN)
    assert [(module.name, module.stage) for module in modules[-2:]] == [
        ("watchdog", "watchdog"),
        ("i6300esb", "watchdog"),
    ]


def test_a_kernel_without_virtio_blk_is_refused() -> None:
    dep = {k: v for k, v in kmods.parse_dep(DEP).items() if k != "virtio_blk"}
    with pytest.raises(errors.ImageBuildFailed, match="virtio_blk"):
        kmods.resolve(dep, BUILTIN)


def test_a_missing_dependency_is_named() -> None:
    dep = {k: v for k, v in kmods.parse_dep(DEP).items() if k != "9pnet"}
    with pytest.raises(errors.ImageBuildFailed, match="9pnet"):
        kmods.resolve(dep, BUILTIN)


def test_builtin_names_are_canonical() -> None:
    assert kmods.parse_builtin("kernel/crypto/crc32c-generic.ko\n\n") == {"crc32c_generic"}


def test_modules_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.ko.xz").write_bytes(lzma.compress(b"module"))
    (tmp_path / "b.ko").write_bytes(b"plain")
    assert kmods.read(tmp_path / "a.ko.xz") == b"module"
    assert kmods.read(tmp_path / "b.ko") == b"plain"
    (tmp_path / "c.ko.zst").write_bytes(b"?")
    with pytest.raises(errors.ImageBuildFailed, match=r"c\.ko\.zst"):
        kmods.read(tmp_path / "c.ko.zst")
