"""A build with programs of the test's: what they are asked to do, and what their failures mean."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gaovm import errors
from gaovm.aio import commands
from gaovm.hostfacts import subids
from gaovm.images import builder, mirrors, namespaces, progress, recipes

RELEASE = "6.1.0-test"
DEP = """\
kernel/v/virtio.ko:
kernel/v/virtio_pci.ko: kernel/v/virtio.ko
kernel/b/virtio_blk.ko: kernel/v/virtio.ko
kernel/c/virtio_console.ko: kernel/v/virtio.ko
"""
APT = 'Acquire::http::Proxy "http://proxy.example:1";\nAcquire::Check-Date "false";\nDir "/";\n'
RECIPE = recipes.find("debian:12", platform.machine())


class Programs:
    """Plays mmdebstrap and ``pack.sh``; notes their arguments; the named one can fail."""

    def __init__(self) -> None:
        self.ran: dict[str, list[str]] = {}
        self.failing, self.said = "", ""

    async def run(
        self,
        argv: Sequence[str],
        *,
        on_line: Callable[[str], None] | None = None,
        timeout_s: float,
    ) -> commands.Completed:
        """Play one program."""
        name = Path(argv[1]).name if argv[0] == "sh" else argv[0]
        self.ran[name] = list(argv)
        if name == self.failing:
            return commands.Completed(1, b"", self.said.encode(), truncated=False)
        if name == "mmdebstrap":
            root = argv[argv.index(RECIPE.suite) + 1]
            self._debootstrap(Path(root).parent)
            for line in ("I: downloading packages with apt...", "gaovm: kernel"):
                assert on_line is not None
                on_line(line)
        elif name == "pack.sh":
            Path(argv[-1]).write_bytes(b"ext4")
        return commands.Completed(0, b"", b"", truncated=False)

    def _debootstrap(self, work: Path) -> None:
        modules = work / "root" / "usr" / "lib" / "modules" / RELEASE
        modules.mkdir(parents=True)
        (modules / "modules.dep").write_text(DEP)
        (modules / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
        for line in DEP.splitlines():
            module = modules / line.partition(":")[0]
            module.parent.mkdir(parents=True, exist_ok=True)
            module.write_bytes(b"module")
        (work / "vmlinuz").write_bytes(b"not compressed")
        (work / "kernel-release").write_text(f"{RELEASE}\n")
        fresh = work.parent / "packages" / "new"
        fresh.mkdir()
        (fresh / "new.deb").touch()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Programs:
    async def apt_config(argv: list[str], **_: Any) -> commands.Completed:
        assert argv == ["apt-config", "dump"]
        return commands.Completed(0, APT.encode(), b"", truncated=False)

    played = Programs()
    monkeypatch.setattr(namespaces, "run", played.run)
    monkeypatch.setattr(namespaces, "require_build", lambda: None)
    monkeypatch.setattr(commands, "run", apt_config)
    return played


async def build(
    work: Path, mirror: str | None = "http://m.example/debian"
) -> tuple[builder.Built, list[progress.Progress]]:
    told: list[progress.Progress] = []
    report = progress.BuildProgress(told.append, lambda: 0.0)
    return await builder.build(RECIPE, work, work.parent / "packages", mirror, report), told


async def test_a_build_leaves_the_disk_the_kernel_and_its_modules(
    work: Path, programs: Programs
) -> None:
    packages = work.parent / "packages"
    packages.mkdir()
    (packages / "old.deb").touch()
    built, told = await build(work)
    assert built == builder.Built(
        kernel_release=RELEASE,
        files={"disk": "disk.raw", "kernel": "vmlinuz", "modules": "modules.cpio.lz4"},
    )
    assert all((work / name).stat().st_size for name in built.files.values())
    assert not (work / "root").exists()
    assert [path.name for path in packages.iterdir()] == ["new.deb"]  # the cache does not grow
    phases = [each.phase for each in told]
    assert phases == ["index", "download", "kernel", "modules", "pack"]


async def test_mmdebstrap_gets_the_recipe_the_hooks_and_the_hosts_settings(
    work: Path, programs: Programs
) -> None:
    await build(work)
    argv = programs.ran["mmdebstrap"]
    assert set(RECIPE.arguments()) < set(argv)
    assert argv[-3:] == [
        "bookworm",
        str(work / "root"),
        "deb http://m.example/debian bookworm main",
    ]
    hooks = {name: text for name, _, text in (word.partition("-hook=") for word in argv) if text}
    packages = work.parent / "packages"
    assert hooks["--setup"] == f'sh {work}/hooks/setup.sh "$1" {packages}'
    assert hooks["--customize"].startswith(
        f'sh {work}/hooks/customize.sh "$1" {RECIPE.kernel_package} {work} {packages} '
    )
    assert "Proxy" in (work / "build.apt.conf").read_text()
    guest = (work / "guest.apt.conf").read_text()
    assert "Proxy" not in guest and "Check-Date" in guest
    excludes = (work / "excludes").read_text().splitlines()
    assert tuple(excludes) == RECIPE.module_excludes


async def test_without_a_mirror_the_hosts_sources_count_but_not_a_keyring_that_is_missing(
    work: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    keyring = tmp_path / "key.gpg"
    keyring.touch()
    found = [
        mirrors.Source(
            uri=f"http://{suite}.example", suite=suite, components=("main",), signed_by=key
        )
        for suite, key in (
            ("bookworm", str(keyring)),
            ("bookworm-updates", "/no/such/key.gpg"),
            ("trixie", None),
        )
    ]
    monkeypatch.setattr(mirrors, "host_sources", lambda: found)
    await build(work, mirror=None)
    argv = programs.ran["mmdebstrap"]
    assert argv[-2:] == [
        f"deb [signed-by={keyring}] http://bookworm.example bookworm main",
        "deb http://bookworm-updates.example bookworm-updates main",
    ]
    (setup,) = [word for word in argv if word.startswith("--setup-hook=")]
    assert setup.endswith(f" {keyring}")


@pytest.mark.parametrize(
    ("failing", "said", "error", "message", "remedy"),
    [
        ("mmdebstrap", "E: cannot\nlast", "ImageBuildFailed", "E: cannot", "another mirror"),
        ("mmdebstrap", "E: NO_PUBKEY 0E98404D386FA1D9", "ImageBuildFailed", "NO_PUBKEY", "keyring"),
        ("mmdebstrap", "E: Failed to fetch x", "ImageBuildFailed", "fetch", "check the network"),
        ("mmdebstrap", "unshare: not permitted", "ImageBuildFailed", "unshare", "user namespaces"),
        ("mmdebstrap", "", "ImageBuildFailed", "no output", "another mirror"),
        ("mmdebstrap", "No space left on device", "DiskFull", "not enough space", "GAOVM_HOME"),
        ("pack.sh", "mke2fs: wrong", "ImageBuildFailed", "file system failed", "another mirror"),
    ],
)  # fmt: skip
async def test_a_failure_says_what_helps(
    work: Path, programs: Programs, failing: str, said: str, error: str, message: str, remedy: str
) -> None:
    programs.failing, programs.said = failing, said
    with pytest.raises(errors.GaoError) as info:
        await build(work)
    assert type(info.value).__name__ == error
    assert message in info.value.message
    assert remedy in (info.value.remedy or "")
    assert bool(info.value.actions) == ("unshare" in said)


async def test_what_a_build_needs_is_checked_first(
    work: Path, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(errors.DiskFull) as full:
        await build(work)
    assert full.value.details["needed_bytes"] == 1 << 60
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(Path, "exists", lambda path: False)
    with pytest.raises(errors.ProgramMissing, match="cannot run programs of"):
        await build(work)
    assert programs.ran == {}


def test_missing_programs_and_ids_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.ProgramMissing, match="no-such-program") as missing:
        namespaces.require(["sh", "no-such-program"])
    assert missing.value.details["programs"] == ["no-such-program"]
    monkeypatch.setattr(shutil, "which", lambda name, path: name)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    namespaces.require_build()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(subids, "obstacle", lambda: "/etc/subuid gives too few")
    with pytest.raises(errors.PermissionMissing, match="gives too few for an image build"):
        namespaces.require_build()


def test_a_build_gets_the_callers_proxies_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:1")
    monkeypatch.setenv("APT_CONFIG", "/mine")
    found = namespaces.environment()
    assert found["https_proxy"] == "http://proxy.example:1"
    assert "APT_CONFIG" not in found
    assert found["HOME"] == "/root"


async def test_a_program_is_the_first_process_of_its_namespace() -> None:
    lines: list[str] = []
    done = await namespaces.run(
        ["sh", "-c", "echo $$; umask; id -u; echo wrong >&2; exit 3"],
        on_line=lines.append,
        timeout_s=20.0,
    )
    assert done.returncode == 3
    assert lines == ["1", "0022", "0", "wrong"]


async def test_a_tree_that_stays_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(argv: Sequence[str], **_: Any) -> commands.Completed:
        return commands.Completed(1, b"", b"rm: not permitted\n", truncated=False)

    tree = tmp_path / "tree"
    tree.mkdir()
    monkeypatch.setattr(namespaces, "run", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "rmtree", lambda path, ignore_errors: None)
    with pytest.raises(errors.HostError, match="rm: not permitted"):
        await namespaces.remove(tree)
    monkeypatch.undo()
    await namespaces.remove(tree)
    assert not tree.exists()
