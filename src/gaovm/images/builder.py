"""Builds a Debian image: run mmdebstrap, pick modules for the initramfs, make an ext4 file system.

It works in one directory of the caller and leaves three files there (``disk.raw``, ``vmlinuz``,
``modules.cpio*``); the caller removes the directory in any case. It does not know the store.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shlex
import shutil
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from gaovm import errors
from gaovm.aio import commands
from gaovm.builder import packages as debian
from gaovm.images import (
    digests,
    initramfs,
    manifest,
    mirrors,
    namespaces,
    progress,
    recipes,
    vmlinux,
)

# debian:12 needs 350 MB for the root, 370 MB for the disk, 140 MB for packages (measured). The rest
# is margin for larger kernels.
NEEDED_BYTES = 1200 << 20
_LIMIT_S = 3600.0  # a slow network takes minutes; a build that takes an hour hangs
_NO_SPACE = (
    "No space left on device",
    "ENOSPC",
    "Disk quota exceeded",
    "Could not allocate block in ext2",
)


@dataclass(frozen=True, kw_only=True)
class Built:
    """A finished build: its files in the working directory by role, and the kernel's release."""

    kernel_release: str
    files: dict[manifest.Role, str]


def hooks() -> bytes:
    """Return the text of all hook scripts, which is part of a recipe's key."""
    folder = resources.files("gaovm.images") / "hooks"
    names = ("setup.sh", "customize.sh", "pack.sh")
    return b"\0".join((folder / name).read_bytes() for name in names)


async def build(
    recipe: recipes.Recipe,
    work: Path,
    packages: Path,
    mirror: str | None,
    report: progress.BuildProgress,
) -> Built:
    """Build ``recipe`` in ``work``, with ``packages`` as the cache of downloaded .debs.

    The caller may cancel it.

    Raises: ProgramMissing, PermissionMissing, DiskFull, UsageError (mirror), ImageBuildFailed.
    """
    namespaces.require_build()
    _require_arch(recipe.arch)
    check_space(work, NEEDED_BYTES)
    report.phase("index", "preparing")
    root = work / "root"
    await _debootstrap(recipe, work, packages, mirror, report)
    _keep_packages(packages)
    release = (work / "kernel-release").read_text().strip()
    report.phase("modules", "selecting kernel modules")
    files = await digests.in_thread(_boot_files, root, release, work)
    report.phase("pack", "making the file system")
    done = await namespaces.run(
        ["sh", str(work / "hooks" / "pack.sh"), str(root), str(work / "disk.raw")],
        timeout_s=_LIMIT_S,
    )
    _check(done, "making the file system", work)
    await namespaces.remove(root)
    return Built(kernel_release=release, files={"disk": "disk.raw", **files})


def _boot_files(
    _stop: digests.Stop, root: Path, release: str, work: Path
) -> dict[manifest.Role, str]:
    """Write the kernel to boot and the modules' segment; return the files by role."""
    files: dict[manifest.Role, str] = {"kernel": "vmlinuz"}
    elf = vmlinux.extract((work / "vmlinuz").read_bytes())
    if elf is not None:
        (work / "vmlinux").write_bytes(elf)
        files = {"kernel": "vmlinux", "bzimage": "vmlinuz"}
    (work / initramfs.MODULES_FILE).write_bytes(initramfs.modules_segment(root, release))
    return {**files, "modules": initramfs.MODULES_FILE}


def _require_arch(arch: str) -> None:
    """Check that this host runs programs of ``arch``.

    Raises: ProgramMissing.
    """
    if arch == platform.machine() or Path(f"/proc/sys/fs/binfmt_misc/qemu-{arch}").exists():
        return
    raise errors.ProgramMissing(
        f"this host cannot run programs of {arch}, which the build needs",
        remedy=debian.remedy("qemu-user"),
    )


def check_space(directory: Path, needed: int) -> None:
    """Check that the file system of ``directory`` has ``needed`` bytes free.

    Raises: DiskFull.
    """
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise disk_full(directory, needed, free)


def disk_full(directory: Path, needed: int | None, free: int | None = None) -> errors.DiskFull:
    """Make the error for a full disk. Its message has the needed and the free space in MiB."""
    free = shutil.disk_usage(directory).free if free is None else free
    wanted = f"{needed >> 20} MiB needed, " if needed is not None else ""
    return errors.DiskFull(
        f"not enough space in {directory.parent}: {wanted}{free >> 20} MiB free",
        remedy="free some space, or point GAOVM_HOME and GAOVM_CACHE at another file system",
        details={"needed_bytes": needed, "free_bytes": free},
    )


async def _debootstrap(
    recipe: recipes.Recipe,
    work: Path,
    packages: Path,
    mirror: str | None,
    report: progress.BuildProgress,
) -> None:
    """Make the root directory with the kernel's modules, and ``vmlinuz`` beside it."""
    sources = await asyncio.to_thread(_sources, recipe, mirror)
    dump = await commands.run(["apt-config", "dump"], env=namespaces.environment(), timeout_s=30.0)
    settings = dump.stdout.decode("utf-8", "replace")
    folder = work / "hooks"
    folder.mkdir()
    for entry in (resources.files("gaovm.images") / "hooks").iterdir():
        if entry.name.endswith(".sh"):
            (folder / entry.name).write_bytes(entry.read_bytes())
    (work / "build.apt.conf").write_text(mirrors.build_settings(settings))
    (work / "guest.apt.conf").write_text(mirrors.guest_settings(settings))
    (work / "excludes").write_text("".join(f"{line}\n" for line in recipe.module_excludes))
    packages.mkdir(parents=True, exist_ok=True)
    keyrings = {s.signed_by for s in sources if s.signed_by}
    setup: list[str | Path] = ["sh", folder / "setup.sh", "ROOT", packages, *sorted(keyrings)]
    customize: list[str | Path] = [
        "sh",
        folder / "customize.sh",
        "ROOT",
        recipe.kernel_package,
        work,
        packages,
    ]
    customize += [work / "excludes", work / "guest.apt.conf"]
    argv = [
        "mmdebstrap",
        "--verbose",
        *recipe.arguments(),
        f"--aptopt={work / 'build.apt.conf'}",
        "--skip=download/empty",
        "--skip=essential/unlink",
        f"--setup-hook={_hook(setup)}",
        f"--customize-hook={_hook(customize)}",
        recipe.suite,
        str(work / "root"),
        *(source.line() for source in sources),
    ]
    done = await namespaces.run(argv, on_line=report.line, timeout_s=_LIMIT_S)
    _check(done, "mmdebstrap", work)


def _sources(recipe: recipes.Recipe, mirror: str | None) -> list[mirrors.Source]:
    if mirror:
        return mirrors.explicit(mirror, recipe.suite, recipe.components)
    found = mirrors.choose(mirrors.host_sources(), recipe.suite, recipe.components)
    return [_with_existing_keyring(source) for source in found]


def _with_existing_keyring(source: mirrors.Source) -> mirrors.Source:
    if source.signed_by is None or Path(source.signed_by).is_file():
        return source
    return mirrors.Source(uri=source.uri, suite=source.suite, components=source.components)


def _hook(words: list[str | Path]) -> str:
    """Return a hook's shell text; mmdebstrap passes the root directory as ``$1``."""
    return " ".join('"$1"' if word == "ROOT" else shlex.quote(str(word)) for word in words)


def _keep_packages(packages: Path) -> None:
    """Replace the cached .debs by those of this build, so that the cache does not grow."""
    fresh = packages / "new"
    if not fresh.is_dir():
        return
    for old in packages.glob("*.deb"):
        old.unlink(missing_ok=True)
    for deb in fresh.glob("*.deb"):
        deb.replace(packages / deb.name)
    shutil.rmtree(fresh, ignore_errors=True)


def _check(done: commands.Completed, what: str, work: Path) -> None:
    if done.returncode == 0:
        return
    tail = done.stderr.decode("utf-8", "replace").strip()[-4000:]
    if any(sign in tail for sign in _NO_SPACE) or shutil.disk_usage(work).free < 16 << 20:
        raise disk_full(work, NEEDED_BYTES)
    lines = tail.splitlines()
    wrong = [
        line
        for line in lines
        if line.startswith(("E:", "W:", "gaovm:", "dpkg: error", "mke2fs:", "unshare:"))
    ]
    raise errors.ImageBuildFailed(
        f"{what} failed with status {done.returncode}: {(wrong or lines or ['no output'])[-1]}",
        remedy=_remedy(tail),
        actions=(errors.Action("check_host"),) if _lacks_namespaces(tail) else (),
        details={
            "status": done.returncode,
            "tail": tail,
            "uid": os.geteuid(),
            "at": int(time.time()),
        },
    )


def _lacks_namespaces(tail: str) -> bool:
    return "unshare:" in tail or "newuidmap" in tail


def _remedy(tail: str) -> str:
    if "NO_PUBKEY" in tail or "is not signed" in tail:
        return "this host lacks the mirror's key: apt-get install debian-archive-keyring"
    if "Could not resolve" in tail or "Failed to fetch" in tail or "Unable to fetch" in tail:
        return "check the network and the mirror, or name another one"
    if _lacks_namespaces(tail):
        return "this host does not let you make user namespaces"
    return "the builder's last lines are in details.tail; try again with another mirror"
