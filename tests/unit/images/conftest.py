"""An image store with a fake builder, which tests can hold and let fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaovm.images import builder, progress, recipes, store


class FakeBuilder:
    """Writes a small image and counts its runs; ``gate`` holds it, ``failure`` makes it fail."""

    def __init__(self) -> None:
        self.started = 0
        self.finished = 0
        self.gate: asyncio.Event | None = None
        self.failure: Exception | None = None
        self.entered = asyncio.Event()
        self.disk = b"disk" * 1000

    async def __call__(
        self,
        recipe: recipes.Recipe,
        work: Path,
        packages: Path,
        mirror: str | None,
        report: progress.BuildProgress,
    ) -> builder.Built:
        """Do what the real builder does: write the image's files."""
        self.started += 1
        (work / "root").mkdir()
        (work / "root" / "half").write_text("made")
        (work / "disk.raw").write_bytes(self.disk)
        report.phase("index", f"building {recipe.name} from {mirror}")
        self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        (work / "vmlinuz").write_bytes(b"kernel")
        (work / "modules.cpio").write_bytes(b"modules!")
        self.finished += 1
        return builder.Built(
            kernel_release="6.1",
            files={"disk": "disk.raw", "kernel": "vmlinuz", "modules": "modules.cpio"},
        )


@pytest.fixture
def fake() -> FakeBuilder:
    """Return the builder of ``images``."""
    return FakeBuilder()


@pytest.fixture
def images(tmp_path: Path, fake: FakeBuilder) -> Iterator[store.ImageStore]:
    """Return a store in ``tmp_path/home``, with its cache in ``tmp_path/cache``; end it clean."""
    yield store.ImageStore(tmp_path / "home", tmp_path / "cache", build=fake)
    assert leftovers_in(tmp_path) == []


def leftovers_in(path: Path) -> list[Path]:
    """Return the working directories below ``path``."""
    return list(path.rglob(".tmp.*"))
