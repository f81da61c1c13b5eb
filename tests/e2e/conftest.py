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
    """Where the images of the first world that booted are kept for those that come later."""
    return tmp_path_factory.mktemp("images") / "checked"


def keep(world: World, images: Path) -> None:
    """Keep the images of a world, unless another's are there."""
    if not images.exists() and any(world.home.glob("images/*/verified.json")):
        shutil.copytree(world.home / "images", images, copy_function=os.link)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Iterator[World]:
    """The world that most tests share; at the end nothing of it may be running."""
    assert shutil.which("qemu-system-x86_64"), "QEMU is not installed: run scripts/setup"
    world = make_world(tmp_path_factory.mktemp("world"), images)
    yield world
    world.stop()


@pytest.fixture(scope="session")
def vm(world: World, images: Path) -> Path:
    """A running VM; the value is its project directory, the name is ``shared-dev``."""
    project = world.project("shared")
    world.run("up", cwd=project, timeout=1200)
    keep(world, images)
    return project


@pytest.fixture
def fresh(tmp_path: Path, images: Path) -> Iterator[World]:
    """A world of one's own, for tests that kill."""
    world = make_world(tmp_path, images)
    yield world
    keep(world, images)
    world.stop()
