"""Makes the image of a distribution as its cloud images are: cloud-init, GRUB, UEFI, nothing of us.

mmdebstrap unpacks Debian, ``mke2fs`` makes the root file system, and this module writes the
partition table and the EFI system partition. The result is kept in ``$GAOVM_CACHE/test-images``
under a digest of this file: a changed recipe makes a new image.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
import uuid
import zlib
from pathlib import Path

from gaovm.daemon import paths
from gaovm.images import mirrors

SUITE, COMPONENTS = "bookworm", ("main",)
PACKAGES = (
    # what boots
    "systemd-sysv,udev,dbus,linux-image-cloud-amd64,initramfs-tools,grub-efi-amd64",
    # what makes it a cloud image
    "cloud-init,cloud-guest-utils,openssh-server,sudo,libpam-systemd,iproute2,netbase,ca-certificates",
)
ROOT_BYTES = 1400 << 20
ESP_BYTES = 16 << 20
SECTOR = 512
_FIRST = 2048  # sector of the EFI system partition
_TAIL = 33 * SECTOR  # the second copy of the partition table
_EFI_SYSTEM = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_LINUX_ROOT = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
_GRUB_EARLY = """\
search --no-floppy --label rootfs --set=root
set prefix=($root)/boot/grub
configfile $prefix/grub.cfg
"""
_GRUB = """\
set timeout=0
linux /vmlinuz root=LABEL=rootfs ro console=tty0 console=ttyS0,115200
initrd /initrd.img
boot
"""
_FSTAB = "LABEL=rootfs / ext4 rw,discard,errors=remount-ro 0 1\n"
# $1 is the root directory. Everything here a cloud image has too; none of it knows of GaoVM.
_CUSTOMIZE = r"""
set -eu
printf '%s' "$FSTAB" >"$1/etc/fstab"
mkdir -p "$1/boot/grub"
printf '%s' "$GRUB" >"$1/boot/grub/grub.cfg"
printf '%s' "$GRUB_EARLY" >"$1/tmp/early.cfg"
chroot "$1" grub-mkimage -O x86_64-efi -o /tmp/BOOTX64.EFI -p /boot/grub -c /tmp/early.cfg \
  part_gpt ext2 normal configfile linux search search_label boot
mv "$1/tmp/BOOTX64.EFI" "$OUT/BOOTX64.EFI"
rm "$1/tmp/early.cfg"
: >"$1/etc/machine-id"
rm -f "$1"/etc/ssh/ssh_host_*
printf 'cloud' >"$1/etc/hostname"
printf 'LANG=C.UTF-8\n' >"$1/etc/default/locale"
printf 'locale: C.UTF-8\n' >"$1/etc/cloud/cloud.cfg.d/10-image.cfg"
chroot "$1" systemctl -q enable systemd-networkd
chroot "$1" passwd -q -l root
"""


def key() -> str:
    """Return the digest of the recipe: all of this file."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:20]


def find() -> Path | None:
    """Return the cached image, if there is one."""
    path = paths.cache_directory() / "test-images" / f"{key()}.qcow2"
    return path if path.is_file() else None


def make() -> Path:
    """Return the image, a qcow2; the first call takes some minutes. Needs root."""
    found = find()
    if found is not None:
        return found
    folder = paths.cache_directory() / "test-images"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.qcow2"):
        old.unlink()
    with tempfile.TemporaryDirectory(dir=folder) as work:
        finished = _build(Path(work))
        target = folder / f"{key()}.qcow2"
        finished.rename(target)
    return target


def _build(work: Path) -> Path:
    root = work / "root"
    _debootstrap(work, root)
    raw = work / "disk.raw"
    start = _FIRST * SECTOR + ESP_BYTES
    with raw.open("wb") as file:
        file.truncate(start + ROOT_BYTES + _TAIL)
    subprocess.run(
        [
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-L",
            "rootfs",
            "-d",
            root,
            "-E",
            f"offset={start},root_owner=0:0",
            raw,
            f"{ROOT_BYTES >> 10}k",
        ],
        check=True,
    )
    shutil.rmtree(root)
    size = raw.stat().st_size
    with raw.open("r+b") as file:
        file.write(_protective(size))
        for place, table in _partition_tables(size):
            file.seek(place)
            file.write(table)
        file.seek(_FIRST * SECTOR)
        file.write(_fat((work / "BOOTX64.EFI").read_bytes()))
    made = work / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, made], check=True)
    return made


def _debootstrap(work: Path, root: Path) -> None:
    sources = mirrors.choose(mirrors.host_sources(), SUITE, COMPONENTS)
    settings = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True)
    (work / "apt.conf").write_text(mirrors.build_settings(settings.stdout))
    hook = work / "customize.sh"
    hook.write_text(_CUSTOMIZE)
    texts = {"FSTAB": _FSTAB, "GRUB": _GRUB, "GRUB_EARLY": _GRUB_EARLY, "OUT": str(work)}
    subprocess.run(
        [
            *("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase"),
            *(f"--include={names}" for names in PACKAGES),
            *("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*"),
            *("--dpkgopt=path-exclude=/usr/share/locale/*/*", f"--aptopt={work / 'apt.conf'}"),
            *(f'--customize-hook=sh {hook} "$1"', SUITE, str(root)),
            *(source.line() for source in sources),
        ],
        check=True,
        env={**os.environ, **texts},
    )


def _protective(size: int) -> bytes:
    """Return the boot sector of a disk with a GPT: one partition that covers all of it."""
    entry = struct.pack("<B3sB3sII", 0, b"\0\2\0", 0xEE, b"\xff" * 3, 1, size // SECTOR - 1)
    return (bytes(446) + entry).ljust(510, b"\0") + b"\x55\xaa"


def _partition_tables(size: int) -> list[tuple[int, bytes]]:
    """Return both copies of the GPT with their places (UEFI specification, 5.3)."""
    last = size // SECTOR - 1
    root = _FIRST + ESP_BYTES // SECTOR
    entries = _entry(_EFI_SYSTEM, _FIRST, root - 1, "ESP")
    entries += _entry(_LINUX_ROOT, root, root + ROOT_BYTES // SECTOR - 1, "root")
    entries = entries.ljust(128 * 128, b"\0")

    def header(own: int, other: int, table: int) -> bytes:
        def pack(check: int) -> bytes:
            return struct.pack(
                "<8sIIIIQQQQ16sQIII",
                *(b"EFI PART", 0x10000, 92, check, 0, own, other, 34, last - 33),
                *(uuid.uuid5(uuid.NAMESPACE_OID, "disk").bytes_le, table, 128, 128),
                zlib.crc32(entries),
            )

        return pack(zlib.crc32(pack(0))).ljust(SECTOR, b"\0")

    return [
        (SECTOR, header(1, last, 2) + entries),
        ((last - 32) * SECTOR, entries + header(last, 1, last - 32)),
    ]


def _entry(kind: str, first: int, last: int, name: str) -> bytes:
    own = uuid.uuid5(uuid.NAMESPACE_OID, name).bytes_le
    text = name.encode("utf-16-le").ljust(72, b"\0")
    return struct.pack("<16s16sQQQ72s", uuid.UUID(kind).bytes_le, own, first, last, 0, text)


def _fat(program: bytes) -> bytes:
    """Return a FAT16 file system with ``/EFI/BOOT/BOOTX64.EFI`` (Microsoft's FAT specification)."""
    cluster, reserved, roots = 4 * SECTOR, 1, 512
    sectors = ESP_BYTES // SECTOR
    fat_sectors = -(-(sectors // 4 + 2) * 2 // SECTOR)
    boot = struct.pack(
        "<3s8sHBHBHHBHHHIIBBBI11s8s",
        *(b"\xeb\x3c\x90", b"MSWIN4.1", SECTOR, 4, reserved, 2, roots, 0, 0xF8, fat_sectors),
        *(32, 64, _FIRST, sectors, 0x80, 0, 0x29, 1, b"ESP        ", b"FAT16   "),
    )
    count = -(-len(program) // cluster)
    table = [0xFFF8, 0xFFFF, 0xFFFF, 0xFFFF, *range(5, 4 + count), 0xFFFF]  # EFI, BOOT, the program
    fat = struct.pack(f"<{len(table)}H", *table).ljust(fat_sectors * SECTOR, b"\0")

    def record(name: bytes, attribute: int, first: int, size: int = 0) -> bytes:
        return struct.pack("<11sB14xHI", name, attribute, first, size)

    dots = (b".          ", b"..         ")
    root = record(b"EFI        ", 16, 2).ljust(roots * 32, b"\0")
    outer = record(dots[0], 16, 2) + record(dots[1], 16, 0) + record(b"BOOT       ", 16, 3)
    inner = record(dots[0], 16, 3) + record(dots[1], 16, 2)
    inner += record(b"BOOTX64 EFI", 32, 4, len(program))
    data = outer.ljust(cluster, b"\0") + inner.ljust(cluster, b"\0") + program
    head = boot.ljust(510, b"\0") + b"\x55\xaa"
    return (head + fat * 2 + root + data).ljust(ESP_BYTES, b"\0")
