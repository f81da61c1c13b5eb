"""Real machines: one shared world with one running VM, and fresh worlds for faults."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.world import World, make_world


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = str(Path(__file__).parent)
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where images of the first world that booted are kept for later worlds."""
    return tmp_path_factory.mktemp("images") / "checked"


def keep(world: World, images: Path) -> None:
    """Keep a world's images, unless some are there already."""
    if not images.exists() and any(world.home.glob("images/*/verified.json")):
        shutil.copytree(world.home / "images", images, copy_function=os.link)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[World]:
    """Make the world that most tests share; at the end nothing of it may run."""
    assert shutil.which("qemu-system-x86_64"), "QEMU is not installed: run scripts/setup"
    world = make_world(tmp_path_factory.mktemp("world"), images)
    yield world
    world.stop()


@pytest.fixture(scope="session")
def vm(world: World, images: Path) -> Path:
    """Run a VM named ``shared-dev``; the value is its project directory."""
    project = world.project("shared")
    world.run("up", cwd=project, timeout=1200)
    keep(world, images)
    return project


@pytest.fixture
def fresh(tmp_path: Path, images: Path) -> Iterator[World]:
    """Make a separate world, for tests that kill."""
    world = make_world(tmp_path, images)
    yield world
    keep(world, images)
    world.stop()
