"""Names, arguments and keys of recipes."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gaovm import errors
from gaovm.images import builder, recipes


def test_generic_and_cloud_kernels() -> None:
    assert recipes.find("debian:12", "x86_64").kernel_package == "linux-image-amd64"
    assert recipes.find("debian:12", "aarch64").kernel_package == "linux-image-arm64"
    cloud = recipes.find("debian:12", "x86_64", "cloud")
    assert cloud.kernel_package == "linux-image-cloud-amd64"


@pytest.mark.parametrize(
    ("name", "arch", "kernel", "word"),
    [
        ("debian:99", "x86_64", "generic", "debian:12"),
        ("debian", "x86_64", "generic", "debian:12"),
        ("debian:12", "riscv64", "generic", "aarch64"),
        ("debian:12", "x86_64", "tiny", "cloud"),
    ],
)
def test_an_unknown_recipe_lists_the_known_ones(
    name: str, arch: str, kernel: str, word: str
) -> None:
    with pytest.raises(errors.ImageUnknown, match=word):
        recipes.find(name, arch, kernel)


def test_every_field_changes_the_key() -> None:
    recipe = recipes.find("debian:12", "x86_64")
    key = recipe.key(b"hooks")
    assert key == recipes.find("debian:12", "x86_64").key(b"hooks")
    assert key != recipe.key(b"other")
    for field in dataclasses.fields(recipe):
        old = getattr(recipe, field.name)
        new = old + 1 if isinstance(old, int) else old + type(old)("x")
        changes: dict[str, Any] = {field.name: new}
        assert dataclasses.replace(recipe, **changes).key(b"hooks") != key, field.name


def test_arguments_have_what_the_recipe_decides() -> None:
    arguments = recipes.find("debian:12", "aarch64").arguments()
    assert "--architectures=arm64" in arguments
    assert "--variant=minbase" in arguments
    include = next(a for a in arguments if a.startswith("--include="))
    assert {"systemd-sysv", "sudo", "udev", "kmod"} <= set(include[10:].split(","))


def test_excludes_keep_what_a_guest_needs() -> None:
    excludes = recipes.MODULE_EXCLUDES
    assert "*/kernel/sound" in excludes
    for kept in ("fs/9p", "drivers/virtio", "drivers/gpu/drm", "drivers/net", "fs/overlayfs"):
        assert f"*/kernel/{kept}" not in excludes


def test_hook_scripts_are_part_of_the_package() -> None:
    hooks = builder.hooks()
    assert hooks.count(b"#!/bin/sh") == 3
